package bus_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
)

// formerConsumers are durable consumers as the first Gavel made them, by stream.
func formerConsumers() map[string]jetstream.ConsumerConfig {
	durable := func(name string, subjects []string, ackWait time.Duration, pending int) jetstream.ConsumerConfig {
		return jetstream.ConsumerConfig{
			Durable: name, FilterSubjects: subjects, AckPolicy: jetstream.AckExplicitPolicy,
			AckWait: ackWait, MaxDeliver: -1, MaxAckPending: pending,
		}
	}
	letters := durable("deadletters-gavel_dead_all", nil, 30*time.Second, 512)
	letters.FilterSubject = "gavel.dead.>"
	return map[string]jetstream.ConsumerConfig{
		"GAVEL_DEADLETTERS": letters,
		"GAVEL_TIMERS":      durable("rings", []string{"gavel.timers.due.>"}, 30*time.Second, 32_768),
		"GAVEL_LATER":       durable("dues", []string{"gavel.later.due.>"}, 10*time.Second, 4096),
		"GAVEL_ACTIONS":     durable("act-twilio", []string{"gavel.actions.>"}, 10*time.Second, 4096),
		"GAVEL_EVENTS":      durable("act-ended", []string{"gavel.events.*.*.announcement-end"}, 10*time.Second, 4096),
	}
}

func TestConsumersOfAFormerGavelGoOnAsTheyAre(t *testing.T) {
	t.Parallel()
	b := open(t)
	js := jetStream(t, client(t, b))
	made := map[string]jetstream.ConsumerConfig{}
	for stream, c := range formerConsumers() {
		consumer, err := js.CreateConsumer(testContext(t), stream, c)
		if err != nil {
			t.Fatal(err)
		}
		made[stream] = consumer.CachedInfo().Config
	}
	letters := watch(t, b, everyLetter)
	rang, _ := hear(t, b, everyRing)
	came, _ := dues(t, b, func(due) error { return nil })
	done := perform(t, b, "act-twilio", 1, everyDecision)
	background(t, "the following", func(ctx context.Context) error {
		return b.News().Follow(ctx, "act-ended", []events.Kind{"announcement-end"}, func(context.Context, events.StoredNews) error { return nil })
	})
	mustPut(t, b, refused(account, "one"))
	mustSet(t, b, 0, alarmsAt(time.Now(), 1, 1)...)
	mustLater(t, b, due{conferenceKey(1), decision(1).ID, ""}, time.Now())
	mustDecide(t, b, decision(1))
	receive(t, "a letter", letters)
	receive(t, "a ring", rang)
	receive(t, "what is due", came)
	receive(t, "a decision", done)
	for stream, before := range made {
		consumer, err := js.Consumer(testContext(t), stream, before.Durable)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, consumer.CachedInfo().Config); diff != "" {
			t.Errorf("%s changed (-before +after):\n%s", before.Durable, diff)
		}
	}
}
