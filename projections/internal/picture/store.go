package picture

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"

	"gavel/events"
	"gavel/projections"
)

// Store keeps the picture in an engine. It is safe for concurrent use; each
// lane has one writer and any number of readers.
type Store struct {
	engine  Engine
	lanes   []*lane
	sweeper *sweeper
	// pointers is the readers' last snapshot of the lanes.
	pointers atomic.Pointer[snapshot]
}

var _ projections.Store = (*Store)(nil)

// New returns a store of that many lanes, which must equal the journal's
// number. It owns the engine from then on.
func New(engine Engine, lanes int, log *slog.Logger) (*Store, error) {
	if lanes < 1 || lanes > events.Shards {
		return nil, fmt.Errorf("open picture: %d lanes, want 1 to %d", lanes, events.Shards)
	}
	s := &Store{engine: engine, sweeper: newSweeper(engine, log)}
	for n := range lanes {
		s.lanes = append(s.lanes, &lane{number: n, shards: laneShards(n, lanes)})
	}
	s.pointers.Store(&snapshot{})
	return s, nil
}

// Close stops the sweeping of old key spaces, which continues at the next
// start, and closes the engine.
func (s *Store) Close() error {
	s.sweeper.stop()
	return s.engine.Close()
}

// lane returns the lane of that number. A wrong number is a programming error, not Redis's.
func (s *Store) lane(n int) (*lane, error) {
	if n < 0 || n >= len(s.lanes) {
		return nil, fmt.Errorf("lane %d does not exist: the picture has %d lanes", n, len(s.lanes))
	}
	return s.lanes[n], nil
}

// apply executes one change.
func (s *Store) apply(ctx context.Context, c Change) (SaveResult, error) {
	out, err := s.engine.Apply(ctx, []Change{c})
	if err != nil {
		return SaveResult{}, err
	}
	return out[0], nil
}
