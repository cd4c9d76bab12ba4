package act_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"gavel/internal/twilio/twiliofake"
)

// setOnExit makes a set that changes the customer's flag.
func setOnExit(rest string) string {
	return `
rules:
  - name: end-with-customer
    each: participant
    when: conference.status == "in-progress" && participant.label == "customer"
    do:
      - set: {` + rest + `}
    mode: live
`
}

// changes are the forms of the writes on participants, in order.
func (r *room) changes() (all []string) {
	for _, form := range r.writes() {
		if !strings.Contains(form.Get("path"), r.key.ConferenceSid+"/Participants/") {
			continue
		}
		form.Del("path")
		form.Del("method")
		all = append(all, form.Encode())
	}
	return all
}

func TestFlagsAreSet(t *testing.T) {
	t.Parallel()
	w := open(t, setOnExit(`end_conference_on_exit: true, beep_on_exit: false, wait_url: "https://music.example/${conference.sid}", wait_method: GET`))
	w.perform()
	r := w.enter("support", "agent", "customer")
	r.ends("update-participant done")
	want := []string{"BeepOnExit=false&EndConferenceOnExit=true&WaitMethod=GET&WaitUrl=https%3A%2F%2Fmusic.example%2F" + r.key.ConferenceSid}
	if got := r.changes(); !slices.Equal(got, want) {
		t.Errorf("Twilio was asked %q, want %q", got, want)
	}
	if got, want := r.record().Actions[0].Asked, "BeepOnExit=false&EndConferenceOnExit=true&WaitMethod=GET"; got != want {
		t.Errorf("the record has %q, want %q", got, want)
	}
}

func TestALegOnHoldIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := open(t, setOnExit(`end_conference_on_exit: true`))
	r := w.enter("support", "agent", "customer")
	r.hold("customer")
	w.perform()
	r.ends("update-participant skipped held")
	if got := r.changes(); len(got) > 0 {
		t.Errorf("Twilio was asked %q", got)
	}
}

func TestALegIsTakenOffHoldWhereTheRuleSaysSo(t *testing.T) {
	t.Parallel()
	w := open(t, setOnExit(`end_conference_on_exit: true, when_held: unhold`))
	r := w.enter("support", "agent", "customer")
	r.hold("customer")
	w.perform()
	r.ends("update-participant done")
	if got, want := r.changes(), []string{"Hold=false", "EndConferenceOnExit=true", "Hold=true"}; !slices.Equal(got, want) {
		t.Errorf("Twilio was asked %q, want %q", got, want)
	}
}

// Whatever else happens, the leg goes back on hold, and only then it is over.
func TestALegGoesBackOnHold(t *testing.T) {
	t.Parallel()
	w := open(t, setOnExit(`end_conference_on_exit: true, when_held: unhold`))
	r := w.enter("support", "agent", "customer")
	r.hold("customer")
	// The third call, which puts it back, and two more that try again.
	w.storm = map[int]int{3: http.StatusServiceUnavailable, 4: http.StatusTooManyRequests, 5: http.StatusBadGateway}
	w.perform()
	for range 3 {
		wait := w.waits("unheld")
		if got := r.outcomes(); len(got) > 0 {
			t.Fatalf("the outcomes are %q while the leg is off hold", got)
		}
		w.clock.advance(wait)
	}
	r.ends("update-participant done")
	if got := r.listed()["customer"]; !got.Hold || !got.End {
		t.Errorf("Twilio has %+v", got)
	}
}

// One who left meanwhile needs no hold.
func TestALegThatLeftOffHold(t *testing.T) {
	t.Parallel()
	w := open(t, setOnExit(`end_conference_on_exit: true, when_held: unhold`))
	r := w.enter("support", "agent", "customer")
	r.hold("customer")
	w.storm = map[int]int{3: http.StatusServiceUnavailable}
	w.perform()
	wait := w.waits("unheld")
	r.goAway("customer")
	w.clock.advance(wait)
	r.ends("update-participant done")
}

func TestAValueThatIsNoFlagIsNotSent(t *testing.T) {
	t.Parallel()
	w := open(t, setOnExit(`end_conference_on_exit: "${conference.friendly_name}"`))
	w.perform()
	r := w.enter("support", "agent", "customer")
	r.ends("update-participant failed parameters")
	if got := w.fake.Tally(twiliofake.UpdateParticipant).Asked; got != 0 {
		t.Errorf("Twilio was asked %d times", got)
	}
}

// Rules are stopped, or NATS does not answer, while the leg is off hold: it goes back at once, and the
// change itself waits.
func TestALegGoesBackOnHoldDespiteTheStop(t *testing.T) {
	t.Parallel()
	w := open(t, setOnExit(`end_conference_on_exit: true, when_held: unhold`))
	r := w.enter("support", "agent", "customer")
	r.hold("customer")
	w.afterWrite = func(n int) {
		if n == 1 { // the leg is off hold
			w.must(w.brakes.Stop(t.Context(), "drill", "kate"))
		}
	}
	w.perform()
	wait := w.waits("stopped")
	if got, want := r.changes(), []string{"Hold=false", "Hold=true"}; !slices.Equal(got, want) || !r.listed()["customer"].Hold {
		t.Errorf("Twilio was asked %q, want %q", got, want)
	}
	w.must(w.brakes.Resume(t.Context(), "over", "kate"))
	w.clock.advance(wait)
	r.ends("update-participant done")
}

// A leg that is off hold is among what a stop lists.
func TestAStopListsALegThatIsOffHold(t *testing.T) {
	t.Parallel()
	w := open(t, setOnExit(`end_conference_on_exit: true, when_held: unhold`))
	r := w.enter("support", "agent", "customer")
	r.hold("customer")
	w.storm = map[int]int{3: http.StatusServiceUnavailable}
	p, _ := w.perform()
	wait := w.waits("unheld")
	if got := p.OnTheWire(); len(got) != 1 || got[0].ConferenceSid != r.key.ConferenceSid {
		t.Errorf("on the wire is %+v", got)
	}
	w.clock.advance(wait)
	r.ends("update-participant done")
	if got := p.OnTheWire(); len(got) != 0 {
		t.Errorf("on the wire is %+v", got)
	}
}

// NATS sets no alarm for the next try, and Twilio refuses twice to put the leg back.
func TestALegGoesBackOnHoldWithoutNATS(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &memory{note: []byte(`{"unheld": true}`), status: http.StatusServiceUnavailable, refusals: 3, noAlarms: true}
		m.decide(t, "set", "unhold")
		m.perform(t)
		if m.err == nil || m.holds != 4 {
			t.Errorf("Twilio was asked %d times to hold the leg, and the error is %v", m.holds, m.err)
		}
	})
}
