package failover_test

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

const (
	// takeoverWithin is Gavel's promise: a lane that was taken over publishes
	// its first news within 5 s of the end of its owner.
	takeoverWithin = 5 * time.Second
	// takeoverLoad keeps every lane busy: with eight lanes each gets about a
	// dozen callbacks a second.
	takeoverLoad = 100
)

// Projectors that share the lanes are killed in turn, under load: each time the
// last lane publishes within the promise.
func TestALaneIsTakenOverWhenItsProjectorIsKilled(t *testing.T) {
	t.Parallel()
	for _, projectors := range []int{2, 3} {
		t.Run(fmt.Sprintf("one of %d", projectors), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, shape{})
			w.killProjectors(projectors, kills)
			w.converges()
		})
	}
}

func (w *world) killProjectors(together, times int) {
	w.t.Helper()
	door := w.gavel("door")
	var projectors []*gavel
	for range together {
		projectors = append(projectors, w.gavel("project"))
	}
	news := w.watchNews()
	load := w.callbacks(takeoverLoad, door.url)
	var took []time.Duration
	for n := range times {
		w.shared(projectors...)
		victim := n % together
		took = append(took, w.takesOver(news, projectors[victim]))
		w.t.Logf("kill %d: the last lane published again after %s", n+1, took[n].Round(time.Millisecond))
		projectors[victim] = w.gavel("project")
	}
	w.shared(projectors...)
	if missing := unanswered(load.stop()); missing != "" {
		w.t.Error(missing)
	}
	slices.Sort(took)
	w.t.Logf("take-over of all lanes, %d kills: median %s, longest %s", times,
		took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
}

// shared waits until each lane has one owner, and no projector has two lanes more than another.
func (w *world) shared(projectors ...*gavel) {
	w.t.Helper()
	began := time.Now()
	eventually(w.t, func() string {
		owners, least, most := 0, w.lanes, 0
		for _, p := range projectors {
			owned := len(p.owned())
			owners, least, most = owners+owned, min(least, owned), max(most, owned)
		}
		if owners != w.lanes || most-least > 1 {
			return fmt.Sprintf("%d lanes have %d owners; the smallest share is %d lanes, the largest %d", w.lanes, owners, least, most)
		}
		return ""
	})
	w.t.Logf("%d projectors share the lanes after %s", len(projectors), time.Since(began).Round(time.Millisecond))
}

// takesOver kills a projector and returns how long the last of its lanes was silent.
func (w *world) takesOver(news *firsts, victim *gavel) time.Duration {
	w.t.Helper()
	lanes := victim.owned()
	began := time.Now()
	victim.kill()
	return w.silence(news, lanes, began)
}

// silence waits for news in these lanes of entries journaled from now on, and
// returns the longest wait.
func (w *world) silence(news *firsts, lanes map[int]bool, since time.Time) time.Duration {
	w.t.Helper()
	news.forget(w.journalEnd())
	var last time.Time
	within(w.t, patience, func() string {
		first := news.firstNews()
		for lane := range lanes {
			if first[lane].IsZero() {
				return fmt.Sprintf("lane %d publishes nothing", lane)
			}
			if first[lane].After(last) {
				last = first[lane]
			}
		}
		return ""
	})
	silent := last.Sub(since)
	if silent > takeoverWithin {
		w.t.Errorf("a lane was silent for %s, longer than %s", silent, takeoverWithin)
	}
	return silent
}

// Three projectors start at the same moment with callbacks waiting, and then stop one after the
// other. Each time the others must soon agree on one owner for each lane.
func TestProjectorsAgreeOnOneOwner(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shape{})
	door := w.gavel("door")
	load := w.callbacks(takeoverLoad, door.url)
	pass(t, settleTime)
	var projectors []*gavel
	for _, b := range []beginning{w.begin("project"), w.begin("project"), w.begin("project")} {
		projectors = append(projectors, w.awaitReady(b))
	}
	news := w.watchNews()
	for len(projectors) > 1 {
		w.shared(projectors...)
		t.Logf("with %d left to take over, the last lane published again after %s", len(projectors)-1,
			w.takesOver(news, projectors[0]).Round(time.Millisecond))
		projectors = projectors[1:]
	}
	w.shared(projectors...)
	if missing := unanswered(load.stop()); missing != "" {
		t.Error(missing)
	}
	w.converges()
}
