package failover_test

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

const (
	// takeoverWithin is Gavel's promise: the first news from each lane that was
	// taken over comes within 5 s of the end of its owner.
	takeoverWithin = 5 * time.Second
	// takeoverLoad keeps every lane busy: with eight lanes each gets a dozen
	// callbacks a second.
	takeoverLoad = 100
)

// One of two projectors is killed again and again, always the one that works
// more lanes, under load.
func TestALaneOutlivesItsProjector(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shape{})
	w.killProjectors(kills)
	w.converges()
}

func (w *world) killProjectors(times int) {
	w.t.Helper()
	door := w.gavel("door")
	projectors := []*gavel{w.gavel("project"), w.gavel("project")}
	news := w.watchNews()
	load := w.callbacks(takeoverLoad, door.url)
	w.allOwned(projectors)
	var took []time.Duration
	for n := range times {
		slices.SortFunc(projectors, func(a, b *gavel) int { return len(b.owned()) - len(a.owned()) })
		took = append(took, w.takesOver(news, projectors[0]))
		w.t.Logf("kill %d: the last lane told again after %s", n+1, took[n].Round(time.Millisecond))
		projectors[0] = w.gavel("project")
	}
	if missing := unanswered(load.stop()); missing != "" {
		w.t.Error(missing)
	}
	slices.Sort(took)
	w.t.Logf("take-over of all lanes, %d times: median %s, longest %s", times,
		took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
}

// allOwned waits until each lane is worked by one process.
func (w *world) allOwned(projectors []*gavel) {
	w.t.Helper()
	eventually(w.t, func() string {
		owners := 0
		for _, p := range projectors {
			owners += len(p.owned())
		}
		if owners != w.lanes {
			return fmt.Sprintf("%d lanes have %d owners", w.lanes, owners)
		}
		return ""
	})
}

// takesOver kills a projector and returns how long the last of its lanes was
// silent.
func (w *world) takesOver(news *firsts, victim *gavel) time.Duration {
	w.t.Helper()
	lanes := victim.owned()
	began := time.Now()
	victim.kill()
	return w.silence(news, lanes, began)
}

// silence waits for news from lanes of what was journaled from now on.
func (w *world) silence(news *firsts, lanes map[int]bool, since time.Time) time.Duration {
	w.t.Helper()
	news.forget(w.journalEnd())
	var last time.Time
	within(w.t, patience, func() string {
		heard := news.heard()
		for lane := range lanes {
			if heard[lane].IsZero() {
				return fmt.Sprintf("lane %d tells nothing", lane)
			}
			if heard[lane].After(last) {
				last = heard[lane]
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

// Three projectors start at the same moment into waiting callbacks, and two of
// them stand by for the same lanes when the third is killed. Each time they have
// to agree on one owner for each lane, and soon.
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
		w.allOwned(projectors)
		slices.SortFunc(projectors, func(a, b *gavel) int { return len(b.owned()) - len(a.owned()) })
		t.Logf("with %d to take over from the one killed, the last lane told again after %s", len(projectors)-1,
			w.takesOver(news, projectors[0]).Round(time.Millisecond))
		projectors = projectors[1:]
	}
	w.allOwned(projectors)
	if missing := unanswered(load.stop()); missing != "" {
		t.Error(missing)
	}
	w.converges()
}
