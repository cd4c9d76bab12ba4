package act

import (
	"context"
	"fmt"

	"gavel/events"
	"gavel/rules"
)

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
