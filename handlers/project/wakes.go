package project

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"gavel/events"
	"gavel/internal/crashpoint"
)

// appendAtOnce is how many entries are appended to the journal at once: entries that
// wait together become one message, which holds about as many.
const appendAtOnce = events.MaxGroupEntries

// Alarms delivers the alarms of all lanes when they are due. An alarm is delivered
// again unless fn returns nil.
type Alarms interface {
	Alarms(ctx context.Context, fn func(context.Context, []events.Key) error) error
}

// Appender appends an entry to the lane of a conference.
type Appender interface {
	Append(ctx context.Context, conferenceSid string, e events.Entry) error
}

// Wakes appends a wake-up to the journal for each alarm. The conference is evaluated
// behind everything that was accepted earlier, so the delay of an alarm, its
// redeliveries and its process do not matter.
type Wakes struct {
	Timers  Alarms
	Journal Appender
	// Now is our own clock, for the time of the entries.
	Now func() time.Time
	// Doubt returns why the machine's clock is in doubt, or nil: NATS rings by a clock as well, so
	// alarms wait meanwhile. Without it the clock is never in doubt.
	Doubt func() error
}

// doubtEvery is how often an alarm that waits for a clock in doubt checks it.
const doubtEvery = time.Second

// Run runs until ctx ends. An alarm whose append fails is delivered again.
func (w Wakes) Run(ctx context.Context) error {
	err := w.Timers.Alarms(ctx, func(ctx context.Context, keys []events.Key) error {
		crashpoint.Pass(crashpoint.AlarmFetched)
		defer crashpoint.Pass(crashpoint.WakePublished)
		for w.Doubt != nil && w.Doubt() != nil {
			if err := wait(ctx, doubtEvery); err != nil {
				return err
			}
		}
		return wake(ctx, w.Journal, keys, w.Now())
	})
	if err != nil {
		return fmt.Errorf("wake conferences: %w", err)
	}
	return nil
}

// wake appends a wake-up for each conference, all acknowledged.
func wake(ctx context.Context, journal Appender, keys []events.Key, now time.Time) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(appendAtOnce)
	for _, key := range keys {
		g.Go(func() error { return journal.Append(ctx, key.ConferenceSid, events.NewWake(key, now)) })
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("append %d wake-ups: %w", len(keys), err)
	}
	return nil
}
