package project

import (
	"context"
	"fmt"

	"gavel/events"
)

// batchGroups bounds the journal messages of one batch. At about ten entries each
// they change the 500 records above which a Redis pipeline gains nothing.
const batchGroups = 128

// receiver is the first stage: it fetches journal messages and parses them.
type receiver struct {
	lane      Lane
	evaluates bool // rules are evaluated
	recorder  *recorder
	// spare are batches for reuse.
	spare <-chan *batch
}

func (r *receiver) run(ctx context.Context, received chan<- *batch) error {
	for {
		groups, err := r.lane.Next(ctx, batchGroups)
		if err != nil {
			return fmt.Errorf("fetch groups of the lane: %w", err)
		}
		b, err := r.parse(groups)
		if err != nil {
			return err
		}
		if err := pass(ctx, received, b); err != nil {
			return err
		}
	}
}

// parse returns the groups as a batch. The error wraps errHole and a *chain.Fault if groups are missing
// before one of them.
func (r *receiver) parse(groups []events.Group) (*batch, error) {
	var b *batch
	select {
	case b = <-r.spare:
	default:
		b = new(batch)
	}
	b.groups = groups
	for i := range groups {
		b.read.Read(groups[i], r.evaluates)
		if r.recorder == nil {
			continue
		}
		if f := r.recorder.add(&groups[i]); f != nil {
			return nil, fmt.Errorf("%w: %w", errHole, f)
		}
	}
	if r.recorder != nil {
		b.record = r.recorder.record
	}
	return b, nil
}
