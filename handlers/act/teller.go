package act

import (
	"context"
	"fmt"
	"time"

	"gavel/events"
	"gavel/rules"
)

// Teller tells others what a rule decided: the steps publish and webhook.
type Teller interface {
	// Tell does so once and says how it ended: done, or failed for good. After
	// an error it is told again later, under the same id; a NotNow says how
	// much later at least.
	Tell(ctx context.Context, d rules.Decision) (events.Outcome, error)
}

// NotNow is the error of who would rather be told later.
type NotNow struct {
	// After is how long to wait at least.
	After time.Duration
	// Err is why. It holds neither an address nor a name.
	Err error
}

// Error says why.
func (n *NotNow) Error() string { return n.Err.Error() }

// Unwrap returns why.
func (n *NotNow) Unwrap() error { return n.Err }

// Tellers are who tells, by kind of step.
type Tellers map[rules.StepKind]Teller

// Tell lets the step's teller do it. Without one the decision waits: another
// process may have it.
func (t Tellers) Tell(ctx context.Context, d rules.Decision) (events.Outcome, error) {
	teller, ok := t[d.Do]
	if !ok {
		return events.Outcome{}, fmt.Errorf("tell: nobody performs %s", d.Do)
	}
	return teller.Tell(ctx, d)
}
