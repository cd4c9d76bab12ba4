package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"gavel/events"
)

const (
	// maxRings is how many rings one call gets at the most, and how many are
	// asked for at a time.
	maxRings = 500
	// ringsAtOnce is how many calls are under way: whoever hears them waits for
	// the journal, which acknowledges together what waits together.
	ringsAtOnce = 8
	// maxUnheard bounds the rings that are delivered and not acknowledged, over
	// all processes.
	maxUnheard = 32_768
	// ringsWait is how long a request for rings stands: longer than fetchWait,
	// because there are ringsAtOnce of them all the time.
	ringsWait = time.Second
	// gatherWait is how long a ring waits for others: NATS itself rings up to 250
	// ms late, and many ring together.
	gatherWait = 20 * time.Millisecond
)

// Rings calls fn with the conferences whose alarm rang, over all lanes, in
// batches of what has come, several at a time, until ctx ends; then it waits for
// those under way. Processes that call it share what rings. A ring is gone once
// fn returned nil, and comes again, to any of them, when it did not or took
// longer than 30 s. One conference may be in a batch twice.
func (t *Timers) Rings(ctx context.Context, fn func(context.Context, []events.Key) error) error {
	d := durable{
		js: js(t.conn), stream: timersStream, name: ringsConsumer, filters: []string{timersDuePrefix + ">"},
		most: maxUnheard, log: t.log,
	}
	var listeners errgroup.Group
	for range ringsAtOnce {
		listeners.Go(func() error {
			return d.run(ctx, func(ctx context.Context, consumer jetstream.Consumer) error {
				return t.listen(ctx, consumer, fn)
			})
		})
	}
	if err := listeners.Wait(); err != nil {
		return fmt.Errorf("hear alarms: %w", err)
	}
	return nil
}

// listen asks for rings once and hands over what comes, batch by batch: while fn
// works on one, the next gathers.
func (t *Timers) listen(ctx context.Context, consumer jetstream.Consumer, fn func(context.Context, []events.Key) error) error {
	batch, err := consumer.Fetch(maxRings, jetstream.FetchMaxWait(ringsWait))
	if err != nil {
		return err
	}
	for first := range batch.Messages() {
		t.hear(ctx, gather(first, batch.Messages()), fn)
	}
	return batch.Error()
}

// gather adds to the first message what comes within gatherWait.
func gather(first jetstream.Msg, more <-chan jetstream.Msg) []jetstream.Msg {
	gathered := []jetstream.Msg{first}
	over := time.NewTimer(gatherWait)
	defer over.Stop()
	for {
		select {
		case m, open := <-more:
			if !open {
				return gathered
			}
			gathered = append(gathered, m)
		case <-over.C:
			return gathered
		}
	}
}

// hear has fn work a batch, and settles all of it alike.
func (t *Timers) hear(ctx context.Context, rang []jetstream.Msg, fn func(context.Context, []events.Key) error) {
	keys := make([]events.Key, 0, len(rang))
	for _, m := range rang {
		if key, ok := keyOfRing(m.Subject()); ok {
			keys = append(keys, key)
		}
	}
	err := fn(ctx, keys)
	if err == nil {
		t.metrics.rings.Add(float64(len(rang)))
	} else if ctx.Err() == nil {
		t.log.Warn("alarms that rang come again", "alarms", len(rang), "err", err)
	}
	v := settle(err, deliveries(rang[0]))
	for _, m := range rang {
		tellVerdict(t.log, m, v)
	}
}

// deliveries is how often a message has been delivered, 0 where it does not say.
func deliveries(m jetstream.Msg) uint64 {
	at, err := m.Metadata()
	if err != nil {
		return 0
	}
	return at.NumDelivered
}
