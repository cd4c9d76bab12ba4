package failover_test

import (
	"testing"
	"time"
)

// A projector that is suspended for long enough to lose its lanes resumes in
// the middle of its work, and does no harm: its saves are compare-and-set, the
// news it publishes again has the same id, and its counts are rejected.
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

// stall suspends a projector until other projectors own its lanes.
func (w *world) stall(news *firsts, p *gavel) {
	w.t.Helper()
	owned := p.owned()
	began := time.Now()
	p.freeze()
	w.t.Logf("the last of %d lanes published again after %s", len(owned), w.silence(news, owned, began))
}
