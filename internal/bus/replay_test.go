package bus_test

import (
	"testing"
	"time"

	"gavel/events"
)

// A stream has at most 1,000 consumers, and the server removes an unused one only
// after five minutes.
func TestReadersLeaveNoConsumerBehind(t *testing.T) {
	t.Parallel()
	b := open(t)
	mustDecide(t, b, decisions(1, 3)...)
	if _, _, err := b.Actions().Before(testContext(t), events.Key{}, 0, 10); err != nil {
		t.Fatal(err)
	}
	key := events.Key{AccountSid: account, ConferenceSid: conference}
	if err := b.Journal().Append(testContext(t), conference, events.NewWake(key, time.Unix(1_700_000_000, 0))); err != nil {
		t.Fatal(err)
	}
	if err := b.Journal().Read(testContext(t), 0, 1, 1<<62, func(events.Group) error { return nil }); err != nil {
		t.Fatal(err)
	}
	js := jetStream(t, client(t, b))
	for _, stream := range []string{"GAVEL_ACTIONS", "GAVEL_JOURNAL"} {
		s, err := js.Stream(testContext(t), stream)
		if err != nil {
			t.Fatal(err)
		}
		for c := range s.ListConsumers(testContext(t)).Info() {
			if c.Config.Durable == "" {
				t.Errorf("%s has the consumer %s", stream, c.Name)
			}
		}
	}
}
