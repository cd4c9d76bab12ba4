package failover_test

import (
	"maps"
	"slices"
	"testing"
	"time"
)

// A projector that stands still long enough to lose its lanes comes back in the
// middle of what it was doing, and does no harm: what it saves is compared,
// what it tells again has the same id, and what it counts does not fit.
func TestAStalledProjectorDoesNoHarm(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shape{})
	door := w.gavel("door")
	first := w.gavel("project")
	second := w.gavel("project")
	news := w.watchNews()
	load := w.callbacks(takeoverLoad, door.url)
	for n := range stalls {
		w.allOwned([]*gavel{first, second})
		if len(first.owned()) < len(second.owned()) {
			first, second = second, first
		}
		lanes := w.stall(news, first)
		first.thaw()
		w.allOwned([]*gavel{first, second})
		if owned := second.owned(); !containsAll(owned, lanes) {
			t.Errorf("stall %d: the lanes %v went back, of them %v stayed", n+1, lanes, owned)
		}
	}
	if missing := unanswered(load.stop()); missing != "" {
		t.Error(missing)
	}
	w.converges()
}

// stall freezes a projector until its lanes are worked by another.
func (w *world) stall(news *firsts, p *gavel) (lanes []int) {
	w.t.Helper()
	owned := p.owned()
	began := time.Now()
	p.freeze()
	w.t.Logf("the last of %d lanes told again after %s", len(owned), w.silence(news, owned, began))
	return slices.Sorted(maps.Keys(owned))
}

func containsAll(have map[int]bool, want []int) bool {
	return !slices.ContainsFunc(want, func(lane int) bool { return !have[lane] })
}
