package act_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gavel/internal/twilio/twiliofake"
	"gavel/projections"
)

// One 404 proves nothing: not of the conference, not of its list, and not of the write itself.
func TestOneNotFoundIsAskedAgain(t *testing.T) {
	t.Parallel()
	for name, on := range map[string]twiliofake.Call{
		"conference": twiliofake.FetchConference, "list": twiliofake.ListParticipants, "write": twiliofake.EndConference,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t, endOrphaned)
			w.fake.SetWeather(twiliofake.Weather{On: []twiliofake.Call{on}, Times: 1, Status: http.StatusNotFound})
			w.perform()
			r := orphaned(w)
			why := "missing"
			if name == "list" {
				why = "failing"
			}
			wait := w.waits(why)
			if got := r.kinds(); slices.Contains(got, "healed") || slices.Contains(got, "outcome") {
				t.Errorf("the journal has %q", got)
			}
			w.clock.advance(wait)
			r.ends("end done")
			if got := r.status(); got != projections.StatusCompleted {
				t.Errorf("the conference is %s", got)
			}
		})
	}
}

// A leg that Twilio does not find and still lists is asked for again.
func TestALegThatIsListedIsNotGone(t *testing.T) {
	t.Parallel()
	w := open(t, everything)
	r := w.enter("kick-1", "agent", "customer")
	w.fake.SetWeather(twiliofake.Weather{On: []twiliofake.Call{twiliofake.KickParticipant}, Times: 1, Status: http.StatusNotFound})
	w.perform()
	w.clock.advance(w.waits("missing"))
	r.ends("kick done")
	if _, there := r.listed()["customer"]; there {
		t.Error("the customer is still in the conference")
	}
}

// Gavel asks at an address that has no conferences. What was to be done is unknown at the deadline.
func TestWhatTwilioNeverFindsIsUnknown(t *testing.T) {
	t.Parallel()
	w := open(t, endOrphaned)
	w.fake.SetWeather(twiliofake.Weather{Status: http.StatusNotFound})
	w.perform()
	r := orphaned(w)
	for range 20 { // tries, all within the five minutes
		if len(r.outcomes()) > 0 {
			break
		}
		w.await("it waits or has ended", func() bool {
			_, waits := w.clock.alarm("missing")
			return waits || len(r.outcomes()) > 0
		})
		w.clock.advance(time.Minute)
	}
	r.ends("end unknown missing")
	if got := w.letters(); len(got) != 1 || !strings.Contains(got[0], "(missing)") {
		t.Errorf("the dead letters are %q", got)
	}
}

// A leg that was taken off hold goes back although Twilio does not find it once.
func TestALegThatIsNotFoundOnceGoesBackOnHold(t *testing.T) {
	t.Parallel()
	w := open(t, setOnExit(`end_conference_on_exit: true, when_held: unhold`))
	r := w.enter("support", "agent", "customer")
	r.hold("customer")
	w.afterWrite = func(n int) {
		if n == 2 { // the flags are set; the next write puts the leg back
			w.fake.SetWeather(twiliofake.Weather{On: []twiliofake.Call{twiliofake.UpdateParticipant}, Times: 1, Status: http.StatusNotFound})
		}
	}
	w.perform()
	w.clock.advance(w.waits("unheld"))
	r.ends("update-participant done")
	if got := r.listed()["customer"]; !got.Hold || !got.End {
		t.Errorf("Twilio has %s", fmt.Sprintf("%+v", got))
	}
}
