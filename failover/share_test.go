package failover_test

import (
	"testing"
	"time"
)

// movedWithin is how long a lane may be silent when it moves from one projector to another while
// both are healthy. The promise after a kill is 5 s; a healthy pair takes about 0.7 s, and up to 1.6 s on
// a busy machine.
const movedWithin = 3 * time.Second

// Healthy projectors start and stop: each time the lanes are shared again, and
// the callers of a lane that moves hardly notice. It runs alone: the processes of other tests would
// be part of the silence.
func TestLanesMoveWithoutAPauseWhenProjectorsStartAndStop(t *testing.T) {
	w := newWorld(t, shape{})
	door := w.gavel("door")
	projectors := []*gavel{w.gavel("project")}
	news := w.watchNews()
	load := w.callbacks(takeoverLoad, door.url)
	w.shared(projectors...)
	for range 2 {
		w.handsOver(news, "one started", func() []*gavel {
			projectors = append(projectors, w.gavel("project"))
			return projectors
		})
	}
	for range rounds {
		w.handsOver(news, "one stopped", func() []*gavel {
			if code := projectors[0].stop(); code != 0 {
				t.Errorf("a projector exited with %d", code)
			}
			projectors = projectors[1:]
			return projectors
		})
		w.handsOver(news, "another started", func() []*gavel {
			projectors = append(projectors, w.gavel("project"))
			return projectors
		})
	}
	if missing := unanswered(load.stop()); missing != "" {
		t.Error(missing)
	}
	w.converges()
}

// handsOver makes lanes move, and fails if one of them is silent for too long.
func (w *world) handsOver(news *firsts, why string, change func() []*gavel) {
	w.t.Helper()
	pass(w.t, settleTime)
	news.forget(w.journalEnd())
	projectors := change()
	w.shared(projectors...)
	pass(w.t, settleTime)
	silent := news.longest()
	w.t.Logf("%s: no lane was silent for longer than %s", why, silent.Round(time.Millisecond))
	if silent > movedWithin {
		w.t.Errorf("a lane was silent for longer than %s", movedWithin)
	}
}
