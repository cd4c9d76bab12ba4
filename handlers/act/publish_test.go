package act_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"gavel/events"
	"gavel/handlers/act"
	"gavel/internal/bus"
	"gavel/rules"
)

// office is a real NATS with a subscriber to notifications.
type office struct {
	notices *bus.Notices
	desk    *nats.Subscription
}

func opensOffice(t *testing.T, subject string) *office {
	t.Helper()
	b, err := bus.Open(t.Context(), bus.Config{
		DataDir: t.TempDir(), Sync: bus.SyncInterval, Listen: "127.0.0.1:0", JournalMaxBytes: 1 << 28,
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	token, err := os.ReadFile(b.Info().TokenFile)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := nats.Connect(b.Info().URL, nats.Token(strings.TrimSpace(string(token))))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	desk, err := conn.SubscribeSync(subject)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	return &office{b.Notices(), desk}
}

func publish(subject string) rules.Decision {
	return held(rules.StepPublish, map[string]string{"subject": subject})
}

func TestAMessageOfARuleReachesSubscribers(t *testing.T) {
	t.Parallel()
	o := opensOffice(t, "calls.>")
	p := act.NewPublisher(o.notices, func() time.Time { return toldAt })
	notifiers := act.Notifiers{rules.StepPublish: p}
	got, err := notifiers.Notify(t.Context(), publish("calls.held.support-7"))
	if want := (events.Outcome{Result: events.Done, At: toldAt}); err != nil || got != want {
		t.Fatalf("ended %+v, %v", got, err)
	}
	m, err := o.desk.NextMsgWithContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if m.Subject != "calls.held.support-7" || m.Header.Get("Nats-Msg-Id") != "ee6bbd8a4d01a25c87b222e747bcb7aa" {
		t.Errorf("received on %s with %v", m.Subject, m.Header)
	}
	if diff := cmp.Diff(heldMessage, string(m.Data)); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
	if _, err := notifiers.Notify(t.Context(), webhookTo("https://example.com")); err == nil {
		t.Error("a step without a notifier must end with an error")
	}
}

// TestASubjectIsCheckedAsItCameOut: the values of expressions come from anyone who calls in.
func TestASubjectIsCheckedAsItCameOut(t *testing.T) {
	t.Parallel()
	o := opensOffice(t, "calls.>")
	p := act.NewPublisher(o.notices, func() time.Time { return toldAt })
	for _, subject := range []string{
		"", ".", "calls.", ".calls", "calls..held", "calls.*", "calls.>", "calls.a b", "calls.a\r\nPUB x", "calls.\x00", "calls.\xff",
		"gavel", "gavel.journal.0", "gavel.actions.x", "$SYS.REQ.SERVER.PING", "$JS.API.STREAM.DELETE.GAVEL_JOURNAL", "_INBOX.x",
		"calls." + strings.Repeat("x", 5000),
	} {
		got, err := p.Notify(t.Context(), publish(subject))
		if want := (events.Outcome{Result: events.Failed, Why: "subject", At: toldAt}); err != nil || got != want {
			t.Errorf("%q ended %+v, %v", subject, got, err)
		}
	}
	long := publish("calls.held")
	long.Data = map[string]string{"all": strings.Repeat("x", 3<<20)}
	if got, err := p.Notify(t.Context(), long); err != nil || got.Why != "data" {
		t.Errorf("too much ended %+v, %v", got, err)
	}
	// The next message received is the first valid one.
	if _, err := p.Notify(t.Context(), publish("calls.held")); err != nil {
		t.Fatal(err)
	}
	if m, err := o.desk.NextMsgWithContext(t.Context()); err != nil || m.Subject != "calls.held" {
		t.Errorf("received %v, %v", m, err)
	}
}

type deaf struct{}

func (deaf) Publish(context.Context, string, string, []byte) error { return errors.New("no answer") }

func TestWithoutNATSItIsPublishedLater(t *testing.T) {
	t.Parallel()
	got, err := act.NewPublisher(deaf{}, time.Now).Notify(t.Context(), publish("calls.held"))
	if err == nil || got.Result != "" {
		t.Errorf("ended %+v, %v", got, err)
	}
}
