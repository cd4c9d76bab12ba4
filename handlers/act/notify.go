package act

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gavel/events"
	"gavel/internal/crashpoint"
	"gavel/rules"
)

// Notifier performs a step that sends a notification: publish or webhook.
type Notifier interface {
	// Notify sends once and returns an outcome, which is final: done or failed. After an error the
	// notification is sent again later, under the same id; a *NotNow states the shortest delay.
	Notify(ctx context.Context, d rules.Decision) (events.Outcome, error)
}

// NotNow is the error of a notification that is to be sent again later.
type NotNow struct {
	// After is the shortest delay.
	After time.Duration
	// Err is the reason. It holds neither an address nor a name.
	Err error
}

// Error returns the reason.
func (n *NotNow) Error() string { return n.Err.Error() }

// Unwrap returns the reason.
func (n *NotNow) Unwrap() error { return n.Err }

// Notifiers are the notifiers by kind of step.
type Notifiers map[rules.StepKind]Notifier

// Notify calls the step's notifier. Without one the decision waits, because
// another process may have it.
func (n Notifiers) Notify(ctx context.Context, d rules.Decision) (events.Outcome, error) {
	notifier, ok := n[d.Do]
	if !ok {
		return events.Outcome{}, fmt.Errorf("notify: no notifier for step %s", d.Do)
	}
	return notifier.Notify(ctx, d)
}

// checkNotifyDeadline ends a notification that no receiver has accepted in time.
func (t *task) checkNotifyDeadline(ctx context.Context) error {
	if t.age() > MaxNotifyAge {
		return t.expire(ctx, events.Expired)
	}
	return nil
}

// notify sends the notification, at least once and under one id. No intent
// precedes it: a duplicate does no harm.
func (t *task) notify(ctx context.Context) error {
	outcome, err := t.Notifier.Notify(ctx, t.decision)
	if err == nil {
		crashpoint.Pass(crashpoint.Called)
		return ended{outcome}
	}
	if ctx.Err() != nil {
		return err
	}
	t.log.Warn("notification failed", "do", t.decision.Do, "error", err)
	later := again{why: whyUndelivered}
	var notNow *NotNow
	if errors.As(err, &notNow) {
		later.after = notNow.After
	}
	return later
}
