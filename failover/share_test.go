package failover_test

import (
	"testing"
	"time"
)

// givenWithin is how long a lane may be silent that goes from one projector to
// another while both are well: half of what a take-over takes, with room for a
// crowded machine.
const givenWithin = 1500 * time.Millisecond

// Projectors come and go, all of them well: each time the lanes are shared anew,
// and the callers of a lane that changes hands hardly notice.
func TestProjectorsComeAndGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shape{})
	door := w.gavel("door")
	projectors := []*gavel{w.gavel("project")}
	news := w.watchNews()
	load := w.callbacks(takeoverLoad, door.url)
	w.shared(projectors...)
	for range 2 {
		w.handsOver(news, "one came", func() []*gavel {
			projectors = append(projectors, w.gavel("project"))
			return projectors
		})
	}
	for range rounds {
		w.handsOver(news, "one went", func() []*gavel {
			if code := projectors[0].stop(); code != 0 {
				t.Errorf("a projector ended with %d", code)
			}
			projectors = projectors[1:]
			return projectors
		})
		w.handsOver(news, "another came", func() []*gavel {
			projectors = append(projectors, w.gavel("project"))
			return projectors
		})
	}
	if missing := unanswered(load.stop()); missing != "" {
		t.Error(missing)
	}
	w.converges()
}

// handsOver lets lanes change hands, and wants none of them to be silent for
// long meanwhile.
func (w *world) handsOver(news *firsts, why string, change func() []*gavel) {
	w.t.Helper()
	pass(w.t, settleTime)
	news.forget(w.journalEnd())
	projectors := change()
	w.shared(projectors...)
	pass(w.t, settleTime)
	silent := news.longest()
	w.t.Logf("%s, and no lane was silent for longer than %s", why, silent.Round(time.Millisecond))
	if silent > givenWithin {
		w.t.Errorf("a lane was silent for longer than %s", givenWithin)
	}
}
