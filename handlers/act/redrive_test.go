package act_test

import (
	"errors"
	"testing"
	"time"

	"gavel/events"
	"gavel/handlers/act"
	"gavel/internal/twilio/twiliofake"
)

// expired lets a decision to end a room expire, and returns its letter.
func expired(w *world, r *room) events.DeadLetter {
	w.Helper()
	w.waits("stopped")
	w.clock.advance(5*time.Minute + time.Second)
	r.ends("end expired stopped")
	letters, err := w.bus.DeadLetters().List(w.Context(), 10)
	w.must(err)
	return letters[0].DeadLetter
}

func TestAPersonHasItDoneAllTheSame(t *testing.T) {
	t.Parallel()
	w := open(t, endOrphaned)
	w.must(w.brakes.Stop(t.Context(), "drill", "kate"))
	p, _ := w.perform()
	r := orphaned(w)
	letter := expired(w, r)

	id, err := p.Redrive(t.Context(), letter, events.Actor{Sid: kate, Name: "kate"})
	w.must(err)
	if id == letter.Decision {
		t.Errorf("the new decision has the old id")
	}
	// The stop is for this one too.
	wait := w.waits("stopped")
	w.must(w.brakes.Resume(t.Context(), "over", "kate"))
	w.clock.advance(wait)
	r.ends("end expired stopped", "end done")
	for _, a := range r.record().Actions {
		if a.ID == id && a.Actor != (events.Actor{Sid: kate, Name: "kate"}) {
			t.Errorf("the actor is %+v", a.Actor)
		}
	}
}

// What does not hold any more is not done for a person either.
func TestARedrivenDecisionIsHeldAgainstItsRule(t *testing.T) {
	t.Parallel()
	w := open(t, endOrphaned)
	w.must(w.brakes.Stop(t.Context(), "drill", "kate"))
	p, _ := w.perform()
	r := orphaned(w)
	letter := expired(w, r)
	w.must(w.brakes.Resume(t.Context(), "over", "kate"))
	r.join("colleague")

	_, err := p.Redrive(t.Context(), letter, events.Actor{Sid: kate, Name: "kate"})
	w.must(err)
	r.ends("end expired stopped", "end lapsed condition")
	if got := w.fake.Tally(twiliofake.EndConference).Asked; got != 0 {
		t.Errorf("Twilio was asked %d times", got)
	}
}

func TestOnlyDecisionsAreRedriven(t *testing.T) {
	t.Parallel()
	w := open(t, endOrphaned)
	p := act.New(w.config)
	_, err := p.Redrive(t.Context(), events.DeadLetter{Kind: events.Refused, AccountSid: account}, events.Actor{Sid: kate})
	if !errors.Is(err, act.ErrNotRedrivable) {
		t.Errorf("redriving a refused callback: %v", err)
	}
}
