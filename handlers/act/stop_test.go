package act_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gavel/events"
	"gavel/internal/twilio/twiliofake"
)

func TestWhatIsStoppedWaitsAndGoesOn(t *testing.T) {
	t.Parallel()
	w := open(t, endOrphaned)
	w.must(w.brakes.Stop(t.Context(), "drill", "kate"))
	w.perform()
	r := orphaned(w)
	wait := w.waits("stopped")
	if got := w.fake.Tally(twiliofake.FetchConference).Asked; got != 0 {
		t.Errorf("Twilio was asked %d times how things stand", got)
	}
	w.must(w.brakes.Resume(t.Context(), "over", "kate"))
	w.clock.advance(wait)
	r.ends("end done")
}

// The machine's clock is 40 days ahead, and then corrected: nothing has expired meanwhile, and no
// alarm was set by it.
func TestADecisionOutlivesAClockInDoubt(t *testing.T) {
	t.Parallel()
	w := open(t, endOrphaned)
	var asked atomic.Int64
	var doubted atomic.Bool
	w.config.Doubt = func() error {
		asked.Add(1)
		if doubted.Load() {
			return errors.New("40 days ahead")
		}
		return nil
	}
	doubted.Store(true)
	w.perform()
	r := orphaned(w)
	w.clock.advance(40 * 24 * time.Hour)
	w.await("the decision is tried", func() bool { return asked.Load() > 0 })
	w.clock.advance(-40 * 24 * time.Hour)
	if a := r.record().Actions; len(a) != 0 || w.clock.waiting() != 0 {
		t.Errorf("there are %d actions and %d alarms", len(a), w.clock.waiting())
	}
	doubted.Store(false)
	r.ends("end done")
}

func TestWhatIsStoppedForTooLongExpires(t *testing.T) {
	t.Parallel()
	w, r := stoppedOrphan(t)
	w.must(w.brakes.Resume(t.Context(), "over", "kate"))
	w.clock.advance(5*time.Minute + time.Second)
	r.ends("end expired stopped")
	if got, want := w.letters(), "rule end-orphaned: end was not done within 5m0s (stopped)"; len(got) != 1 || got[0] != want {
		t.Errorf("the dead letters are %q, want %q", got, want)
	}
	if got := w.fake.Tally(twiliofake.EndConference).Asked; got != 0 {
		t.Errorf("Twilio was asked %d times to end it", got)
	}
}

// Once Stop has returned nothing goes out any more but what was on the wire
// then, and is known to be.
func TestAStopUnderLoadLetsNothingOut(t *testing.T) {
	t.Parallel()
	const rooms = 150
	w := open(t, `
ceiling: {per_minute: 1000}
rules:
  - name: end-orphaned
    when: conference.status == "in-progress" && size(conference.live) == 1
    do:
      - end: {}
    limits: {per_minute: 1000, trip_after: 1000}
    mode: live
`)
	w.fake.SetWeather(twiliofake.Weather{On: []twiliofake.Call{twiliofake.EndConference}, Delay: 20 * time.Millisecond})
	p, _ := w.perform()
	var all []*room
	for n := range rooms {
		r := w.enter(fmt.Sprintf("room %d", n), "agent", "customer")
		r.leave("agent")
		all = append(all, r)
	}
	w.await("some calls are out", func() bool { return w.fake.Tally(twiliofake.EndConference).Asked > 10 })
	w.must(w.brakes.Stop(t.Context(), "too many", "kate"))
	before, onTheWire := len(w.writes()), p.OnTheWire()
	w.await("nothing is on the wire", func() bool { return len(p.OnTheWire()) == 0 })
	w.await("all the others wait", func() bool { return done(all)+w.clock.waiting() == rooms })
	for _, call := range w.writes()[before:] {
		if !slices.ContainsFunc(onTheWire, func(a events.Action) bool { return strings.Contains(call.Get("path"), a.ConferenceSid) }) {
			t.Errorf("a call was sent after the stop: %s", call.Get("path"))
		}
	}
	w.must(w.brakes.Resume(t.Context(), "over", "kate"))
	w.clock.advance(30 * time.Second)
	w.await("all are done", func() bool { return done(all) == rooms })
	if got := w.fake.Tally(twiliofake.EndConference).Done; got != rooms {
		t.Errorf("%d conferences were ended, want %d", got, rooms)
	}
}

// done counts the rooms whose record has the outcome done.
func done(all []*room) (n int) {
	for _, r := range all {
		for _, a := range r.record().Actions {
			if a.Outcome != nil && a.Outcome.Result == events.Done {
				n++
			}
		}
	}
	return n
}
