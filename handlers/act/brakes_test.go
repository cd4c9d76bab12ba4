package act_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"gavel/handlers/act"
	"gavel/internal/brakes"
	"gavel/internal/twilio/twiliofake"
)

func TestARuleIsBraked(t *testing.T) {
	t.Parallel()
	w := open(t, `
rules:
  - name: kick-everybody
    each: participant
    when: conference.status == "in-progress"
    do:
      - kick: {}
    limits: {per_minute: 1, trip_after: 2}
    mode: live
`)
	w.perform()
	r := w.enter("support", "agent", "customer", "colleague")
	r.await("one is out", func() bool { return len(r.outcomes()) == 1 })
	if wait := w.waits("braked"); wait < 50*time.Second || wait > time.Minute+time.Second {
		t.Errorf("the next one waits for %s", wait)
	}
	w.await("both others wait", func() bool { return w.clock.waiting() == 2 })
	w.clock.advance(time.Minute + time.Second)
	r.await("the next is out, and the last one is not", func() bool { return len(r.outcomes()) == 3 })
	got := r.outcomes()
	slices.Sort(got)
	if want := []string{"kick done", "kick done", "kick tripped"}; !slices.Equal(got, want) {
		t.Errorf("the outcomes are %q, want %q", got, want)
	}
}

// The brakes took three seconds to answer: by then a participant may have joined.
func TestALookThatIsTooOldIsTakenAgain(t *testing.T) {
	t.Parallel()
	w := open(t, endOrphaned)
	w.config.Brakes = &slowBrakes{Brakes: w.config.Brakes, slow: func() { w.clock.advance(3 * time.Second) }}
	w.perform()
	r := orphaned(w)
	r.ends("end done")
	if got := w.fake.Tally(twiliofake.FetchConference).Asked; got != 2 {
		t.Errorf("Twilio was asked %d times how things stand, want 2", got)
	}
}

// slowBrakes are slow once.
type slowBrakes struct {
	act.Brakes
	once sync.Once
	slow func()
}

func (b *slowBrakes) Admit(ctx context.Context, r brakes.Request) (brakes.Verdict, error) {
	b.once.Do(b.slow)
	return b.Brakes.Admit(ctx, r)
}
