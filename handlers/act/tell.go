package act

import (
	"context"
	"errors"

	"gavel/events"
	"gavel/internal/crashpoint"
)

// checkTellDeadline ends a notification that nobody takes.
func (t *task) checkTellDeadline(ctx context.Context) error {
	if t.age() > MaxTellAge {
		return t.expire(ctx, events.Expired)
	}
	return nil
}

// tell tells others, at least once and under one id. There is no intent before
// it: that it is told twice harms nobody.
func (t *task) tell(ctx context.Context) error {
	outcome, err := t.Teller.Tell(ctx, t.decision)
	if err == nil {
		crashpoint.Pass(crashpoint.Called)
		return ended{outcome}
	}
	if ctx.Err() != nil {
		return err
	}
	t.log.Warn("nobody was told", "do", t.decision.Do, "error", err)
	later := again{why: whyUntold}
	var notNow *NotNow
	if errors.As(err, &notNow) {
		later.after = notNow.After
	}
	return later
}
