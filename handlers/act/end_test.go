package act_test

import (
	"slices"
	"testing"
	"time"

	"gavel/internal/twilio/twiliofake"
	"gavel/projections"
)

const endOrphaned = `
rules:
  - name: end-orphaned
    when: size(conference.live) == 1
    for: 2m
    do:
      - end: {}
    mode: live
`

func TestAnOrphanIsEnded(t *testing.T) {
	t.Parallel()
	w := open(t, endOrphaned)
	w.perform()
	r := w.enter("support", "agent", "customer")
	r.leave("agent")
	r.wake(2 * time.Minute)

	r.ends("end done")
	if got := r.status(); got != projections.StatusCompleted {
		t.Errorf("the conference is %s", got)
	}
	// What Twilio answered comes behind the outcome: no callback has to report the end.
	w.await("the answer is in the journal", func() bool { return slices.Equal(r.kinds(), []string{"intent", "outcome", "healed"}) })
	action := r.record().Actions[0]
	if action.Actor.Rule != "end-orphaned" || action.Asked != "Status=completed" || !action.Intent {
		t.Errorf("the action is %+v", action)
	}
}

// Its callback has not arrived yet.
func TestCompanyThatComesBackInTimeIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := open(t, endOrphaned)
	w.perform()
	r := w.enter("support", "agent", "customer")
	r.leave("agent")
	r.comeIn("colleague")
	r.wake(2 * time.Minute)

	r.ends("end lapsed condition")
	if got := w.fake.Tally(twiliofake.EndConference); got.Asked != 0 {
		t.Errorf("Twilio was asked to end it %d times", got.Asked)
	}
	if got, want := r.kinds(), []string{"healed", "outcome"}; !slices.Equal(got, want) {
		t.Errorf("the journal has %q, want %q", got, want)
	}
}

func TestALegThatHasLeftIsOut(t *testing.T) {
	t.Parallel()
	w := open(t, everything)
	r := w.enter("kick-1", "agent", "customer")
	r.goAway("customer")
	w.perform()
	r.ends("kick done already")
	if got := w.fake.Tally(twiliofake.KickParticipant).Asked; got != 0 {
		t.Errorf("Twilio was asked to kick it %d times", got)
	}
}

func TestAParticipantThatLeftIsNotMuted(t *testing.T) {
	t.Parallel()
	w := open(t, everything)
	r := w.enter("mute-1", "agent", "customer")
	r.goAway("customer")
	w.perform()
	r.ends("update-participant lapsed left")
}

func TestAConferenceThatHasEndedIsDone(t *testing.T) {
	t.Parallel()
	w := open(t, endOrphaned)
	w.perform()
	r := w.enter("support", "agent", "customer")
	r.leave("agent")
	r.goAway("customer")
	r.wake(2 * time.Minute)

	r.ends("end done already")
	if got := w.fake.Tally(twiliofake.EndConference); got.Asked != 0 {
		t.Errorf("Twilio was asked to end it %d times", got.Asked)
	}
}
