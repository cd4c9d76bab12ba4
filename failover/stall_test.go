package failover_test

import (
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
		w.shared(first, second)
		w.stall(news, first)
		first.thaw()
		first, second = second, first
		t.Logf("stall %d is over", n+1)
	}
	w.shared(first, second)
	if missing := unanswered(load.stop()); missing != "" {
		t.Error(missing)
	}
	w.converges()
}

// stall freezes a projector until its lanes are worked by another.
func (w *world) stall(news *firsts, p *gavel) {
	w.t.Helper()
	owned := p.owned()
	began := time.Now()
	p.freeze()
	w.t.Logf("the last of %d lanes told again after %s", len(owned), w.silence(news, owned, began))
}
