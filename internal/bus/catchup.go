package bus

import (
	"context"
	"fmt"
	"time"
)

// catchUpEvery is how often somebody who waits for a lane asks how far it is.
const catchUpEvery = 25 * time.Millisecond

// CatchUp waits until all that is in the journal by now is acknowledged by the
// projectors, wherever they are. It asks again and again, for nobody tells.
func (b *Bus) CatchUp(ctx context.Context) error {
	for _, l := range b.lanes {
		last, err := b.journal.Last(ctx, l.number)
		if err == nil {
			err = l.reach(ctx, last)
		}
		if err != nil {
			return fmt.Errorf("catch up with lane %d: %w", l.number, err)
		}
	}
	return nil
}

// reach waits until the lane's ack floor is at a stream sequence.
func (l *Lane) reach(ctx context.Context, sequence uint64) error {
	for {
		floor, err := l.Floor(ctx)
		if err != nil || floor >= sequence {
			return err
		}
		if err := wait(ctx, catchUpEvery); err != nil {
			return err
		}
	}
}
