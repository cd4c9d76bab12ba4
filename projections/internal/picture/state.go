package picture

import (
	"context"
	"fmt"

	"gavel/events"
	"gavel/projections"
)

// bytesField of the hash at stateKey is the lane's own state; appliedField is the state's position,
// which the pointer's stateField repeats. The state is not in the pointer itself, because every
// reader reads the pointer once a second.
const bytesField = "bytes"

// setState adds the commands that write a lane's own state and its position.
func (c *Change) setState(lane int, epoch string, at events.Position, state []byte) {
	c.do(SetFields, stateKey(epoch, lane), appliedField, at.String(), bytesField, string(state))
	c.do(SetFields, laneKey(lane), stateField, at.String())
}

// LaneState implements [projections.Writer].
func (s *Store) LaneState(ctx context.Context, lane int) ([]byte, error) {
	l, err := s.lockLane(lane)
	if err != nil {
		return nil, fmt.Errorf("read the lane's state: %w", err)
	}
	defer l.mu.Unlock()
	hashes, err := s.engine.Hashes(ctx, []string{stateKey(l.claim.epoch, lane), laneKey(lane)})
	if err != nil {
		return nil, fmt.Errorf("read the lane's state: %w", err)
	}
	state, p := hashes[0], parsePointer(hashes[1])
	switch {
	case p.epoch != l.claim.epoch || l.claim.applied.After(p.applied):
		return nil, l.lost("its pointer is gone or went back")
	case state[appliedField] != p.state && p.applied != l.claim.applied:
		return nil, fmt.Errorf("%w: lane %d is written by another process", projections.ErrConflict, lane)
	case state[appliedField] != p.state:
		return nil, l.lost("its state is at %q, not at %q", state[appliedField], p.state)
	case p.state == "":
		return nil, nil
	}
	return []byte(state[bytesField]), nil
}
