package act_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"gavel/events"
	"gavel/handlers/act"
	"gavel/internal/twilio/twiliofake"
)

// endAbandoned is about one event: the agent leaves a caller alone.
const endAbandoned = `
exempt: {labels: ["vip-*"]}
rules:
  - name: end-abandoned
    when: 'event.kind == "participant-leave" && size(before.live) == 2 && size(conference.live) == 1'
    unless: 'conference.live.exists(p, p.label == "supervisor")'
    do:
      - end: {}
    mode: live
`

// leftAlone decides under endAbandoned, while everything is stopped, that a room is to be ended.
func leftAlone(w *world) *room {
	w.Helper()
	w.must(w.brakes.Stop(w.Context(), "drill", "kate"))
	r := w.enter("support", "agent", "customer")
	r.leave("agent")
	return r
}

// resume ends the stop and has what waits tried again.
func (w *world) resume() {
	w.Helper()
	wait := w.waits("stopped")
	w.must(w.brakes.Resume(w.Context(), "over", "kate"))
	w.clock.advance(wait)
}

func TestAnAbandonedCallerIsEnded(t *testing.T) {
	t.Parallel()
	w := open(t, endAbandoned)
	w.perform()
	r := w.enter("support", "agent", "customer")
	r.leave("agent")
	r.ends("end done")
}

// The condition held when the agent left and does not hold at Twilio any more,
// with and without a callback about it while the decision waits.
func TestARuleAboutAnEventIsHeldAgainstTwilio(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		meanwhile func(*room)
		why       string
	}{
		"two come":                  {func(r *room) { r.join("colleague"); r.join("guest") }, "condition"},
		"one comes untold":          {func(r *room) { r.comeIn("colleague") }, "condition"},
		"one that is exempt comes":  {func(r *room) { r.comeIn("vip-1"); r.goAway("customer") }, "exempt"},
		"a supervisor comes untold": {func(r *room) { r.comeIn("supervisor"); r.goAway("customer") }, "condition"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t, endAbandoned)
			r := leftAlone(w)
			c.meanwhile(r)
			w.perform()
			w.resume()
			r.ends("end lapsed " + c.why)
			if got := w.fake.Tally(twiliofake.EndConference).Asked; got != 0 {
				t.Errorf("Twilio was asked %d times to end it", got)
			}
		})
	}
}

// A person exempts the room while the decision waits.
func TestAPersonKeepsARuleAboutAnEventOff(t *testing.T) {
	t.Parallel()
	w := open(t, endAbandoned)
	r := leftAlone(w)
	exemption := events.Exemption{
		ID: events.NewULID(), Key: r.key, Rule: "end-abandoned", Reason: "the board is in there",
		Actor: events.Actor{Sid: kate, Name: "kate"}, At: w.clock.Now(), Until: w.clock.Now().Add(time.Hour),
	}
	w.must(w.Append(t.Context(), r.key.ConferenceSid, events.NewExempted(exemption)))
	w.perform()
	w.resume()
	r.ends("end lapsed exempt")
}

// The condition has to hold for a redriven decision too.
func TestARedrivenDecisionAboutAnEventIsHeldAgainstTwilio(t *testing.T) {
	t.Parallel()
	for company, want := range map[string]string{"": "end done", "colleague": "end lapsed condition"} {
		t.Run("with company: "+company, func(t *testing.T) {
			t.Parallel()
			w := open(t, endAbandoned)
			r := leftAlone(w)
			p, _ := w.perform()
			letter := expired(w, r)
			if company != "" {
				r.comeIn(company)
			}
			w.must(w.brakes.Resume(t.Context(), "over", "kate"))
			_, err := p.Redrive(t.Context(), letter, events.Actor{Sid: kate, Name: "kate"})
			w.must(err)
			r.ends("end expired stopped", want)
		})
	}
}

// A decision of a version that kept nothing of the event: the rest of its condition
// is evaluated, and the decision has one outcome.
func TestADecisionOfAnOlderGavelIsHeldAgainstTheRest(t *testing.T) {
	t.Parallel()
	for company, want := range map[string]string{"": "end done", "colleague": "end lapsed condition"} {
		t.Run("with company: "+company, func(t *testing.T) {
			t.Parallel()
			w := open(t, endAbandoned)
			w.config.Decisions = older{w.config.Decisions}
			r := leftAlone(w)
			if company != "" {
				r.comeIn(company)
			}
			w.perform()
			w.resume()
			r.ends(want)
		})
	}
}

// older are decisions in the form of a version that kept nothing of events.
type older struct{ act.Decisions }

func (o older) Perform(ctx context.Context, consumer string, workers int, fn func(context.Context, events.Decided) error) error {
	return o.Decisions.Perform(ctx, consumer, workers, func(ctx context.Context, d events.Decided) error {
		return fn(ctx, o.forget(d))
	})
}

func (o older) Get(ctx context.Context, key events.Key, id string) (events.Decided, error) {
	d, err := o.Decisions.Get(ctx, key, id)
	return o.forget(d), err
}

func (older) forget(d events.Decided) events.Decided {
	var fields map[string]json.RawMessage
	if json.Unmarshal(d.Data, &fields) == nil {
		delete(fields, "kept")
		d.Data, _ = json.Marshal(fields)
	}
	return d
}
