package bus_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"gavel/events"
	"gavel/internal/bus"
)

// hands tells which of several projectors was last given a group of each lane.
type hands struct {
	mu   sync.Mutex
	last map[int]string
}

func (h *hands) note(lane int, who string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last[lane] = who
}

func (h *hands) count(who string) (lanes int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, owner := range h.last {
		if owner == who {
			lanes++
		}
	}
	return lanes
}

// works lets a projector work whatever lanes it gets, until it is called off,
// which gives them free.
func (h *hands) works(t testing.TB, who string, b *bus.Bus) (off func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var working sync.WaitGroup
	for _, lane := range b.Lanes() {
		working.Go(func() { h.work(ctx, t, who, lane) })
	}
	return sync.OnceFunc(func() {
		cancel()
		working.Wait()
		closeBus(t, b)
	})
}

func (h *hands) work(ctx context.Context, t testing.TB, who string, lane *bus.Lane) {
	for ctx.Err() == nil {
		if _, _, err := lane.Resume(ctx); err != nil {
			continue
		}
		for {
			groups, err := lane.Next(ctx, 10)
			if err != nil {
				if ctx.Err() == nil && !errors.Is(err, bus.ErrLaneMoved) {
					t.Errorf("%s, lane %d: %v", who, lane.Number(), err)
				}
				break
			}
			h.note(lane.Number(), who)
			if lane.Ack(ctx, groups) != nil {
				break
			}
		}
	}
}

// Projectors that are well share the lanes: who comes later gets some, and who
// stays when another goes gets all.
func TestProjectorsShareTheLanes(t *testing.T) {
	t.Parallel()
	const lanes = 8
	first := open(t, func(c *bus.Config) { c.Lanes = lanes })
	calls := make([]string, lanes) // a conference in each lane
	for n, found := 0, 0; found < lanes; n++ {
		sid := fmt.Sprintf("CF%032x", n)
		if lane := events.Lane(sid, lanes); calls[lane] == "" {
			calls[lane], found = sid, found+1
		}
	}
	second, _ := secondProcess(t, first)
	h := &hands{last: map[int]string{}}
	told := func() {
		for _, sid := range calls {
			if err := first.Journal().Append(testContext(t), sid, entry("n=1")); err != nil {
				t.Fatal(err)
			}
		}
	}
	stop := h.works(t, "first", first)
	t.Cleanup(stop)
	eventually(t, "the first to work all lanes", func() bool { told(); return h.count("first") == lanes })
	goHome := h.works(t, "second", second)
	t.Cleanup(goHome)
	eventually(t, "the two to share the lanes", func() bool { told(); return h.count("second") == lanes/2 })
	goHome()
	eventually(t, "the first to work all lanes again", func() bool { told(); return h.count("first") == lanes })
}
