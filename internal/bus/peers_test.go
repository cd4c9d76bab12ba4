package bus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gavel/events"
	"gavel/internal/bus"
)

// hands records which projector last received a group of each lane.
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
	off = sync.OnceFunc(func() {
		cancel()
		working.Wait()
		closeBus(t, b)
	})
	t.Cleanup(off)
	return off
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

// inEachLane appends an entry of a conference in each lane.
func inEachLane(t testing.TB, b *bus.Bus) {
	t.Helper()
	lanes := b.Info().Lanes
	told := map[int]bool{}
	for n := 0; len(told) < lanes; n++ {
		sid := fmt.Sprintf("CF%032x", n)
		if lane := events.Lane(sid, lanes); !told[lane] {
			told[lane] = true
			if err := b.Journal().Append(testContext(t), sid, entry("n=1")); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Healthy projectors share the lanes: a later projector gets some, and the one
// that remains when the other stops gets all.
func TestProjectorsShareTheLanes(t *testing.T) {
	t.Parallel()
	first := open(t, func(c *bus.Config) { c.Lanes = 8 })
	second, _ := secondProcess(t, first)
	h := &hands{last: map[int]string{}}
	works := func(who string, lanes int) {
		t.Helper()
		eventually(t, fmt.Sprintf("the %s to work %d lanes", who, lanes), func() bool {
			inEachLane(t, first)
			return h.count(who) == lanes
		})
	}
	h.works(t, "first", first)
	works("first", 8)
	goHome := h.works(t, "second", second)
	works("second", 4)
	works("first", 4)
	goHome()
	works("first", 8)
}

// A projector that has announced its stop must not send another beat when it
// releases its lanes: the others would wait for it to claim them.
func TestTheLastBeatOfAProjectorAnnouncesItsStop(t *testing.T) {
	t.Parallel()
	b := open(t, func(c *bus.Config) { c.Lanes = 8 })
	nc := client(t, b)
	beats, err := nc.SubscribeSync("gavel.projectors")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	second, _ := secondProcess(t, b)
	inEachLane(t, b)
	for _, lane := range second.Lanes() {
		mustResume(t, lane)
		take(t, lane, 1)
	}
	closeBus(t, second)
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	var last string
	for n, _, _ := beats.Pending(); n > 0; n, _, _ = beats.Pending() {
		m, err := beats.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		last = string(m.Data)
	}
	if !strings.Contains(last, `"gone":true`) || !strings.Contains(last, `"lanes":[0,1,2,3,4,5,6,7]`) {
		t.Errorf("the last beat is %s", last)
	}
}

// A projector that claims no lane blocks the others only until its time limit;
// the lanes that it reports as held stay with it.
func TestALaneThatItsProjectorDoesNotClaimIsClaimedByAnother(t *testing.T) {
	t.Parallel()
	b := open(t, func(c *bus.Config) { c.Lanes = 8 })
	nc := client(t, b)
	ctx, cancel := context.WithCancel(testContext(t))
	var working sync.WaitGroup
	t.Cleanup(func() { cancel(); working.Wait() })
	working.Go(func() {
		for ctx.Err() == nil {
			_ = nc.Publish("gavel.projectors", []byte(`{"id":"elder","lanes":[3]}`))
			_ = nc.Publish("gavel.projectors", []byte(`{"id":"","lanes":[99]}`)) // not a projector
			_ = nc.Publish("gavel.projectors", []byte(`what?`))
			pause(ctx, 100*time.Millisecond)
		}
	})
	resumed := make(chan int, 8)
	for _, lane := range b.Lanes() {
		working.Go(func() {
			if _, _, err := lane.Resume(ctx); err == nil {
				resumed <- lane.Number()
			}
		})
	}
	began, got := time.Now(), map[int]bool{}
	for len(got) < 7 {
		got[receive(t, "a lane", resumed)] = true
		if len(got) == 5 && time.Since(began) < 5*time.Second {
			t.Errorf("more than its half was taken after %v", time.Since(began))
		}
	}
	want := map[int]bool{0: true, 1: true, 2: true, 4: true, 5: true, 6: true, 7: true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lanes resumed (-want +got):\n%s", diff)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
