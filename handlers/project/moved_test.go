package project_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"gavel/events"
	"gavel/handlers/project"
)

// awayLane is a lane that another projector owns. Elsewhere reports that from the nth call on.
type awayLane struct {
	project.Lane
	from, asked atomic.Int32
}

func (l *awayLane) Resume(ctx context.Context) (floor, last uint64, err error) {
	<-ctx.Done()
	return 0, 0, ctx.Err()
}

func (l *awayLane) Elsewhere() bool { return l.asked.Add(1) >= l.from.Load() }

// A rebuild must not wait for a lane that others work.
func TestARebuildIsOfTheLanesThatAreHere(t *testing.T) {
	t.Parallel()
	for name, from := range map[string]int32{"no lane is here": 1, "the lane leaves meanwhile": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newStack(t).config()
			away := &awayLane{Lane: c.Lanes[0]}
			away.from.Store(from)
			c.Lanes = []project.Lane{away}
			p, _ := run(t, c)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			if err := p.Rebuild(ctx, func(int, uint64, uint64) {}); !errors.Is(err, events.ErrLaneMoved) {
				t.Errorf("rebuild: %v", err)
			}
		})
	}
}

// movingLane fails once because it is another's, and is that one's from then on.
type movingLane struct {
	project.Lane
	resumed atomic.Bool
	again   chan struct{}
}

func (l *movingLane) Resume(ctx context.Context) (floor, last uint64, err error) {
	if l.resumed.Swap(true) {
		close(l.again)
		<-ctx.Done()
		return 0, 0, ctx.Err()
	}
	return l.Lane.Resume(ctx)
}

func (l *movingLane) Next(context.Context, int) ([]events.Group, error) {
	return nil, events.ErrLaneMoved
}

// A lane that moves to another projector is not an error, and its former owner
// resumes it again at once, because only that releases it.
func TestALaneThatMovedIsNotAnError(t *testing.T) {
	t.Parallel()
	c := newStack(t).config()
	lane := &movingLane{Lane: c.Lanes[0], again: make(chan struct{})}
	c.Lanes = []project.Lane{lane}
	p, _ := run(t, c)
	<-lane.again
	if got := p.States()[0]; !got.Elsewhere || got.Err != "" {
		t.Errorf("it stands: %+v", got)
	}
}
