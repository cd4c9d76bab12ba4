package act_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"gavel/internal/twilio"
	"gavel/internal/twilio/twiliofake"
)

// dial calls someone into the room by REST, who does not answer, and returns the CallSid.
func (r *room) dial() string {
	r.Helper()
	answer, err := r.config.Twilio.Call(r.Context(), twilio.Call{
		AccountSid: account, Kind: "test", Method: http.MethodPost, Form: "From=%2B14155550100&To=%2B14155550101",
		Path: "/2010-04-01/Accounts/" + account + "/Conferences/" + r.key.ConferenceSid + "/Participants.json",
	})
	r.must(err)
	var added struct {
		CallSid string `json:"call_sid"`
	}
	r.must(json.Unmarshal(answer.Body, &added))
	return added.CallSid
}

// oneRings is a room that is to be ended while someone is being called into it.
func oneRings(w *world) (r *room, dialled string) {
	w.Helper()
	r = w.enter("support", "agent", "customer")
	r.leave("agent")
	dialled = r.dial()
	r.wake(2 * time.Minute)
	if wait := w.waits("ringing"); wait != 10*time.Second {
		w.Errorf("Twilio's state is fetched again after %s", wait)
	}
	return r, dialled
}

// The call is not answered: the occasion goes on as soon as the leg has stopped ringing.
func TestALegThatNobodyAnswersEndsNoOccasion(t *testing.T) {
	t.Parallel()
	w := open(t, endOrphaned)
	w.perform()
	r, dialled := oneRings(w)
	w.must(w.fake.HangUp(dialled))
	w.clock.advance(10 * time.Second)
	r.ends("end done")
	if got := w.fake.Tally(twiliofake.EndConference); got.Asked != 1 {
		t.Errorf("Twilio was asked %d times to end it", got.Asked)
	}
}

// The leg that rang joins.
func TestALegThatJoinsEndsTheOccasion(t *testing.T) {
	t.Parallel()
	w := open(t, endOrphaned)
	w.perform()
	r, dialled := oneRings(w)
	w.must(w.fake.HangUp(dialled))
	r.join("colleague")
	w.clock.advance(10 * time.Second)
	r.ends("end lapsed occasion")
}

// A leg rings for longer than any dialling lasts.
func TestALegRingsForTenMinutesAtMost(t *testing.T) {
	t.Parallel()
	w := open(t, endOrphaned)
	w.perform()
	r, _ := oneRings(w)
	for range 12 {
		w.await("it waits or has ended", func() bool {
			_, waits := w.clock.alarm("ringing")
			return waits || len(r.outcomes()) > 0
		})
		w.clock.advance(time.Minute)
	}
	r.ends("end lapsed ringing")
	if got := w.fake.Tally(twiliofake.EndConference); got.Asked != 0 {
		t.Errorf("Twilio was asked %d times to end it", got.Asked)
	}
}
