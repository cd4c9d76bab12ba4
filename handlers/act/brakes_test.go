package act_test

import (
	"slices"
	"testing"
	"time"
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
