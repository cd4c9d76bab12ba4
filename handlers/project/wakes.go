package project

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"gavel/events"
	"gavel/internal/crashpoint"
)

// appendAtOnce is how many entries are under way to the journal at once: those
// that wait together become one message, which holds about as many.
const appendAtOnce = events.MaxGroupEntries

// Rings are the alarms as they go off, of all lanes. What fn returned nil for
// does not ring again.
type Rings interface {
	Rings(ctx context.Context, fn func(context.Context, []events.Key) error) error
}

// Appender adds an entry to the lane of a conference.
type Appender interface {
	Append(ctx context.Context, conferenceSid string, e events.Entry) error
}

// Wakes brings what rings into the journal, where it is judged behind all that
// was accepted earlier. So it does not matter how late an alarm rings, how
// often, or in which process.
type Wakes struct {
	Timers  Rings
	Journal Appender
	// Now is our own clock, which the entries are stamped with.
	Now func() time.Time
}

// Run does so until ctx ends. What the journal does not take rings again.
func (w Wakes) Run(ctx context.Context) error {
	err := w.Timers.Rings(ctx, func(ctx context.Context, keys []events.Key) error {
		crashpoint.Pass(crashpoint.AlarmFetched)
		defer crashpoint.Pass(crashpoint.WakePublished)
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
