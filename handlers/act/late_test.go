package act_test

import (
	"slices"
	"testing"
	"time"

	"gavel/events"
	"gavel/internal/twilio/twiliofake"
)

// No performer ran for six minutes, and the agent came back meanwhile without a callback: the
// decision is not acted on, and what Twilio's state adds is recorded before the re-read is closed.
func TestALateDecisionFetchesTheStateAgain(t *testing.T) {
	t.Parallel()
	w := open(t, endOrphaned)
	r := orphaned(w)
	r.comeIn("agent")
	w.clock.advance(6 * time.Minute)
	w.perform()

	r.ends("end stale")
	w.await("the re-read is closed", func() bool { return slices.Contains(r.kinds(), "reread") })
	if got, want := r.kinds(), []string{"healed", "outcome", "reread"}; !slices.Equal(got, want) {
		t.Errorf("the journal has %q, want %q", got, want)
	}
	if got := w.fake.Tally(twiliofake.EndConference).Asked; got != 0 {
		t.Errorf("Twilio was asked %d times to end it", got)
	}
}

// The condition still holds: the rule begins again, with its own two minutes.
func TestAConditionThatStillHoldsBeginsAgainWithTheReread(t *testing.T) {
	t.Parallel()
	w := open(t, endOrphaned)
	r := orphaned(w)
	w.clock.advance(6 * time.Minute)
	w.perform()
	r.ends("end stale")
	w.await("the re-read is closed", func() bool { return slices.Contains(r.kinds(), "reread") })
	r.wake(2 * time.Minute)
	r.ends("end stale", "end done")
}

// Judge itself met a fact that was too old, and requests a re-read.
func TestARefusalThatIsStaleAsksForALook(t *testing.T) {
	t.Parallel()
	w := open(t, `
rules:
  - name: end-orphaned
    when: conference.status == "in-progress" && size(conference.live) == 1
    do:
      - end: {}
    mode: live
`)
	w.perform()
	r := w.enter("support", "agent", "customer")
	r.goAway("agent")
	r.tellAged(events.ParticipantLeave, "agent", 10*time.Minute, nil)

	r.ends("end done")
	w.await("the journal has the re-read, the action and Twilio's answer", func() bool {
		return slices.Equal(r.kinds(), []string{"reread", "intent", "outcome", "healed"})
	})
}

func TestAnExemptionHoldsWhileADecisionWaits(t *testing.T) {
	t.Parallel()
	w := open(t, endOrphaned)
	w.must(w.brakes.Stop(t.Context(), "drill", "kate"))
	w.perform()
	r := orphaned(w)
	wait := w.waits("stopped")
	w.must(r.Append(t.Context(), r.key.ConferenceSid, events.NewExempted(events.Exemption{
		ID: events.NewULID(), Key: r.key, Until: w.clock.Now().Add(time.Hour).Truncate(time.Second), Reason: "a wake",
		Actor: events.Actor{Sid: kate, Name: "kate"}, At: w.clock.Now(),
	})))
	w.must(w.brakes.Resume(t.Context(), "over", "kate"))
	w.clock.advance(wait)
	r.ends("end lapsed exempt")
}

// Company came and went while the decision waited: who is alone now has been so for a moment only.
func TestAnotherOccasionIsNotThisOne(t *testing.T) {
	t.Parallel()
	w := open(t, endOrphaned)
	w.must(w.brakes.Stop(t.Context(), "drill", "kate"))
	w.perform()
	r := orphaned(w)
	wait := w.waits("stopped")
	r.join("colleague")
	r.leave("colleague")
	w.must(w.brakes.Resume(t.Context(), "over", "kate"))
	w.clock.advance(wait)
	r.ends("end lapsed occasion")
	r.wake(2 * time.Minute)
	r.ends("end lapsed occasion", "end done")
}
