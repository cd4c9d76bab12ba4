package bus_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gavel/internal/bus"
)

// holding states which projector holds which lanes, as projectors report it.
type holding map[string][]int

func (h holding) deal(lanes int) []string {
	held := map[string]map[int]bool{}
	for id, have := range h {
		held[id] = map[int]bool{}
		for _, lane := range have {
			held[id][lane] = true
		}
	}
	return bus.Deal(lanes, held)
}

func TestLanesAreAssignedEvenlyAndMoveAsLittleAsPossible(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		held holding
		want []string
	}{
		"one alone has all":              {holding{"a": nil}, []string{"a", "a", "a", "a", "a", "a", "a", "a"}},
		"two who begin together":         {holding{"b": nil, "a": nil}, []string{"a", "a", "a", "a", "b", "b", "b", "b"}},
		"the elders have one more":       {holding{"a": nil, "b": nil, "c": nil}, []string{"a", "a", "a", "b", "b", "b", "c", "c"}},
		"one who comes gets half":        {holding{"a": {0, 1, 2, 3, 4, 5, 6, 7}, "b": nil}, []string{"a", "a", "a", "a", "b", "b", "b", "b"}},
		"a third gets one of each":       {holding{"a": {0, 2, 4, 6}, "b": {1, 3, 5, 7}, "c": nil}, []string{"a", "b", "a", "b", "a", "b", "c", "c"}},
		"who stays keeps what it has":    {holding{"b": {4, 5, 6}, "c": {3, 7}}, []string{"b", "c", "c", "c", "b", "b", "b", "c"}},
		"two who say they hold the same": {holding{"a": {0, 1, 2, 3}, "b": {0, 1, 2, 3, 4, 5, 6, 7}}, []string{"a", "a", "a", "a", "b", "b", "b", "b"}},
		"a ninth stands by": {
			holding{"a": nil, "b": nil, "c": nil, "d": nil, "e": nil, "f": nil, "g": nil, "h": nil, "i": {0}},
			[]string{"a", "b", "c", "d", "e", "f", "g", "h"},
		},
	} {
		if diff := cmp.Diff(c.want, c.held.deal(8)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// someHolding returns projectors that hold some of the lanes, each lane at most once.
func someHolding(r *rand.Rand, lanes, projectors int) holding {
	h := holding{}
	for n := range projectors {
		h[fmt.Sprintf("p%02d", n)] = nil
	}
	for lane := range lanes {
		if n := r.IntN(projectors + 1); n < projectors {
			id := fmt.Sprintf("p%02d", n)
			h[id] = append(h[id], lane)
		}
	}
	return h
}

func chances(t *testing.T, try func(r *rand.Rand, lanes int, h holding)) {
	t.Helper()
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 0))
		lanes := 1 + r.IntN(64)
		try(r, lanes, someHolding(r, lanes, 1+r.IntN(9)))
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func TestEveryLaneIsAssignedAndNoProjectorHasTwoMoreThanAnother(t *testing.T) {
	t.Parallel()
	chances(t, func(_ *rand.Rand, lanes int, h holding) {
		count := map[string]int{}
		for lane, owner := range h.deal(lanes) {
			if _, there := h[owner]; !there {
				t.Errorf("lane %d is assigned to %q", lane, owner)
			}
			count[owner]++
		}
		for id := range h {
			if n := count[id]; n != lanes/len(h) && n != (lanes+len(h)-1)/len(h) {
				t.Errorf("%s of %d has %d of %d lanes", id, len(h), n, lanes)
			}
		}
	})
}

// In whatever order projectors claim the lanes assigned to them and release the
// others, the assignment stays the same: that is why all of them reach the same
// result without waiting for each other.
func TestClaimsAndReleasesDoNotChangeTheAssignment(t *testing.T) {
	t.Parallel()
	chances(t, func(r *rand.Rand, lanes int, h holding) {
		want := h.deal(lanes)
		for _, lane := range r.Perm(lanes) {
			for id, have := range h {
				h[id] = slices.DeleteFunc(have, func(n int) bool { return n == lane && id != want[lane] })
			}
			if got := h.deal(lanes); !slices.Equal(got, want) {
				t.Errorf("after lane %d was released (-before +after):\n%s", lane, cmp.Diff(want, got))
			}
			if owner := want[lane]; !slices.Contains(h[owner], lane) && r.IntN(2) == 0 {
				h[owner] = append(h[owner], lane)
			}
			if got := h.deal(lanes); !slices.Equal(got, want) {
				t.Errorf("after lane %d was claimed (-before +after):\n%s", lane, cmp.Diff(want, got))
			}
		}
	})
}

// When a projector stops, only its lanes move.
func TestOnlyTheLanesOfAStoppedProjectorMove(t *testing.T) {
	t.Parallel()
	chances(t, func(r *rand.Rand, lanes int, h holding) {
		before := h.deal(lanes)
		settled := holding{}
		for id := range h {
			settled[id] = nil
		}
		for lane, owner := range before {
			settled[owner] = append(settled[owner], lane)
		}
		gone := fmt.Sprintf("p%02d", r.IntN(len(h)))
		if delete(settled, gone); len(settled) == 0 {
			return
		}
		for lane, owner := range settled.deal(lanes) {
			if before[lane] != gone && owner != before[lane] {
				t.Errorf("%s stopped, and lane %d moved from %s to %s", gone, lane, before[lane], owner)
			}
		}
	})
}
