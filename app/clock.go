package app

import (
	"context"
	"time"

	"gavel/internal/bus"
	"gavel/internal/clock"
	"gavel/internal/twilio"
)

const (
	// trimEvery is how often old news and old decisions are removed.
	trimEvery = 10 * time.Minute
	// confirmEvery is how often Twilio is called while the machine's clock is in doubt.
	confirmEvery = 30 * time.Second
)

// openClock compares the machine's clock with what Twilio has signed, before anything that expires.
func (a *App) openClock(ctx context.Context) error {
	usage, err := a.bus.Journal().Usage(ctx)
	if err != nil {
		return err
	}
	a.clock, err = clock.Open(ctx, clock.Config{
		Bucket: a.bus.Brakes(), Newest: usage.Newest, Wall: a.Wall,
		Report: func(doubt error) { a.bus.Store().Report(bus.ClockDoubted, doubt) },
	})
	if err != nil {
		return err
	}
	a.Go("clock", a.clock.Run)
	a.Go("clock of Twilio", every(confirmEvery, a.confirmClock))
	if a.Roles.Has(Project) {
		a.Go("old messages", every(trimEvery, a.trim))
	}
	return nil
}

// confirmClock reads Twilio's clock while the machine's is in doubt: after a week without callbacks
// the next one may be hours away.
func (a *App) confirmClock(ctx context.Context) {
	if a.clock.Doubt() == nil {
		return
	}
	if at, err := twilio.Time(ctx, a.TwilioAPI); err == nil {
		a.clock.Confirm(at)
	}
}

func (a *App) trim(ctx context.Context) {
	if err := a.bus.Trim(ctx, a.clock.Passed(), a.Keep); err != nil && ctx.Err() == nil {
		a.log.Warn("old messages not removed", "component", "bus", "error", err)
	}
}

// every returns a part that calls fn at once and then at intervals.
func every(interval time.Duration, fn func(context.Context)) func(context.Context) error {
	return func(ctx context.Context) error {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			fn(ctx)
			select {
			case <-tick.C:
			case <-ctx.Done():
				return nil
			}
		}
	}
}
