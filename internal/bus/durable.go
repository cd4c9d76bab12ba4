package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// durable is a durable pull consumer that several processes may share. Its
// messages come until they are settled, however often.
type durable struct {
	js      jetstream.JetStream
	stream  string
	name    string
	filters []string
	// most bounds what is delivered and not settled, over all processes.
	most int
	// patience is after what time a message that nobody settled comes again;
	// zero is ackWait.
	patience time.Duration
	log      *slog.Logger
}

// open finds the consumer, or makes it.
func (d durable) open(ctx context.Context) (consumer jetstream.Consumer, err error) {
	config := jetstream.ConsumerConfig{
		Durable:        d.name,
		FilterSubjects: d.filters,
		AckPolicy:      jetstream.AckExplicitPolicy,
		AckWait:        cmp.Or(d.patience, ackWait),
		MaxDeliver:     -1,
		MaxAckPending:  d.most,
	}
	consumer, err = d.js.CreateOrUpdateConsumer(ctx, d.stream, config)
	if err != nil {
		return nil, fmt.Errorf("make consumer %s of %s: %w", d.name, d.stream, err)
	}
	return consumer, nil
}

// run calls take again and again until ctx ends, which is no error, and finds
// or makes the consumer anew when take fails.
func (d durable) run(ctx context.Context, take func(context.Context, jetstream.Consumer) error) error {
	var consumer jetstream.Consumer
	err := retrying(ctx, isTransient, func(ctx context.Context) (err error) {
		consumer, err = d.open(ctx)
		return err
	})
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	pause := pauses()
	for ctx.Err() == nil {
		err := take(ctx, consumer)
		if errors.Is(err, nats.ErrConnectionClosed) {
			return err
		}
		if err == nil {
			pause.Reset()
		} else if wait(ctx, pause.NextBackOff()) == nil {
			consumer = d.mend(ctx, consumer, err)
		}
	}
	return nil
}

// mend makes the consumer anew, should it be gone.
func (d durable) mend(ctx context.Context, old jetstream.Consumer, why error) jetstream.Consumer {
	var consumer jetstream.Consumer
	err := attempt(ctx, func(ctx context.Context) (err error) {
		consumer, err = d.open(ctx)
		return err
	})
	if err == nil {
		return consumer
	}
	if ctx.Err() == nil {
		d.log.Warn("consumer gets nothing", "consumer", d.name, "why", why, "err", err)
	}
	return old
}

// fetch asks for at most `most` messages and gives each to fn when it comes. It
// returns when all came, or d is over.
func fetch(consumer jetstream.Consumer, most int, d time.Duration, fn func(jetstream.Msg)) error {
	batch, err := consumer.Fetch(most, jetstream.FetchMaxWait(d))
	if err != nil {
		return err
	}
	for m := range batch.Messages() {
		fn(m)
	}
	return batch.Error()
}
