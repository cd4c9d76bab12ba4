package act_test

import (
	"net/http"
	"testing"
	"time"

	"gavel/internal/twilio/twiliofake"
	"gavel/projections"
)

// orphaned is a room where one participant is alone for long enough.
func orphaned(w *world) *room {
	w.Helper()
	r := w.enter("support", "agent", "customer")
	r.leave("agent")
	r.wake(2 * time.Minute)
	return r
}

func TestTwilioSaysWhenToComeBack(t *testing.T) {
	t.Parallel()
	w := open(t, endOrphaned)
	w.fake.SetWeather(twiliofake.Weather{
		On: []twiliofake.Call{twiliofake.EndConference}, Times: 1, Status: http.StatusTooManyRequests, RetryAfter: 40 * time.Second,
	})
	w.perform()
	r := orphaned(w)

	if wait := w.waits("too-many"); wait != 40*time.Second {
		t.Errorf("it comes back after %s", wait)
	}
	w.clock.advance(40 * time.Second)
	r.ends("end done")
	if got, want := w.fake.Tally(twiliofake.EndConference), (twiliofake.Tally{Asked: 2, Done: 1}); got != want {
		t.Errorf("Twilio was asked %+v, want %+v", got, want)
	}
}

// A failure may hide that it was done: then it shows.
func TestAFailureThatHidesTheDeedIsLookedThrough(t *testing.T) {
	t.Parallel()
	for name, weather := range map[string]twiliofake.Weather{
		"500":    {Status: http.StatusInternalServerError, CarriedOut: true},
		"silent": {Silent: true, CarriedOut: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t, endOrphaned)
			w.patience = 500 * time.Millisecond
			weather.On = []twiliofake.Call{twiliofake.EndConference}
			w.fake.SetWeather(weather)
			w.perform()
			r := orphaned(w)
			r.ends("end done seen")
			if got := w.fake.Tally(twiliofake.EndConference).Asked; got != 1 {
				t.Errorf("Twilio was asked %d times", got)
			}
		})
	}
}

func TestWhatFailedIsTriedAgain(t *testing.T) {
	t.Parallel()
	for why, weather := range map[string]twiliofake.Weather{
		"failing": {Status: http.StatusBadGateway},
		"silent":  {Silent: true},
	} {
		t.Run(why, func(t *testing.T) {
			t.Parallel()
			w := open(t, endOrphaned)
			w.patience = 500 * time.Millisecond
			weather.On, weather.Times = []twiliofake.Call{twiliofake.EndConference}, 1
			w.fake.SetWeather(weather)
			w.perform()
			r := orphaned(w)
			w.clock.advance(w.waits(why))
			r.ends("end done")
			if got := r.status(); got != projections.StatusCompleted {
				t.Errorf("the conference is %s", got)
			}
		})
	}
}

// Nothing is done unseen: where Twilio cannot be asked how things stand, the
// decision waits, and expires in the end.
func TestWithoutALookNothingIsDone(t *testing.T) {
	t.Parallel()
	w := open(t, endOrphaned)
	w.fake.SetWeather(twiliofake.Weather{On: []twiliofake.Call{twiliofake.ListParticipants}, Status: http.StatusServiceUnavailable})
	w.perform()
	r := orphaned(w)
	for range 20 { // tries, all within the five minutes
		if len(r.outcomes()) > 0 {
			break
		}
		w.await("it waits or has ended", func() bool {
			_, waits := w.clock.alarm("failing")
			return waits || len(r.outcomes()) > 0
		})
		w.clock.advance(time.Minute)
	}
	r.ends("end expired failing")
	if got := w.fake.Tally(twiliofake.EndConference).Asked; got != 0 {
		t.Errorf("Twilio was asked %d times to end it", got)
	}
	if got, want := w.letters(), "rule end-orphaned: end was not done within 5m0s (failing)"; len(got) != 1 || got[0] != want {
		t.Errorf("the dead letters are %q, want %q", got, want)
	}
}

// A proxy answers before Twilio does, with its own page: nothing was done, whatever the status says.
func TestThePageOfAProxyIsNoAnswerOfTwilio(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]int{"success": http.StatusOK, "not found": http.StatusNotFound, "forbidden": http.StatusForbidden} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t, endOrphaned)
			w.patience = 500 * time.Millisecond
			w.storm = map[int]int{1: status} // without a body
			w.perform()
			r := orphaned(w)
			w.clock.advance(w.waits("failing"))
			r.ends("end done")
			if got := r.status(); got != projections.StatusCompleted {
				t.Errorf("the conference is %s", got)
			}
		})
	}
}
