package failover_test

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"gavel/events"
	"gavel/internal/twilio/twiliofake"
	"gavel/rules"
)

// endAloneSlowly leaves time to break something before the deadline.
const endAloneSlowly = `
rules:
  - name: end-alone
    when: conference.status == "in-progress" && size(conference.live) == 1
    for: 5s
    do: [{end: {}}]
    mode: live
`

// The projector is stopped for a few seconds while deadlines pass. Where company joined before the
// deadline, no rule decides; where it joined after it, but before an action was possible, the
// decision lapses; where no one joined, the call is ended, late.
func TestRulesCatchUpAfterAShortOutage(t *testing.T) {
	t.Parallel()
	r := newRuled(t)
	projector := r.gavel("project,serve", "")
	r.gavel("door,act", r.ruleFile(endAloneSlowly))

	s := r.twilio.NewStory()
	callers := leavesAlone(s, "in-time", "too-late", "never")
	r.plays(s)
	r.armed(projector, len(callers))
	projector.kill()

	s.Agent("bob").Answers("in-time")
	s.Passes(6 * time.Second) // all deadlines pass
	s.Agent("bob").Answers("too-late")
	r.plays(s)
	r.gavel("project,serve", "")

	ended := r.end("end-alone", rules.StepEnd, map[string]int{"lapsed": 1, "done": 1})
	for i, want := range []map[string]int{nothingDone, {"lapsed": 1}, {"done": 1}} {
		if got := count(of(ended, callers[i].ConferenceSid())); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("room %d: decisions ended in these ways: %v, want %v", i+1, got, want)
		}
	}
	if ends := r.twilio.Tally(twiliofake.EndConference); ends.Asked != 1 {
		t.Errorf("%d requests to Twilio to end a call, want 1", ends.Asked)
	}
	r.converges()
}

// armed waits until this many deadlines are armed.
func (r *ruled) armed(g *gavel, deadlines int) {
	r.t.Helper()
	eventually(r.t, func() string {
		var list struct{ Deadlines []struct{} }
		if err := g.read("/v1/armed", &list); err != nil {
			return err.Error()
		}
		if len(list.Deadlines) != deadlines {
			return fmt.Sprintf("%d deadlines are armed, want %d", len(list.Deadlines), deadlines)
		}
		return ""
	})
}

// The projector was stopped for ten minutes, so all its decisions are stale.
// They are not performed: Gavel fetches the state from Twilio, and the rule
// starts again from there. Where company joined meanwhile, nothing follows;
// where no one joined, the call is ended after another `for`.
func TestRulesFetchTheStateFromTwilioAfterALongOutage(t *testing.T) {
	t.Parallel()
	r := newRuled(t)
	text := r.ruleFile(endAlone)
	first := r.gavel("all", text)
	r.everyLaneLoaded(1)
	if code := first.stop(); code != 0 {
		t.Fatalf("the first process exited with %d", code)
	}
	// What happens now was accepted ten minutes ago, except the return of
	// company, whose callback was lost.
	late := r.board.keeps("bob")
	s := r.twilio.NewStory()
	callers := leavesAlone(s, "company", "nobody")
	bob := s.Agent("bob").Answers("company")
	r.plays(s)
	for _, form := range late() {
		r.appendOld(form, 10*time.Minute)
	}
	r.gavel("all", text)

	ended := r.end("end-alone", rules.StepEnd, map[string]int{"stale": 2, "done": 1})
	for i, want := range []map[string]int{{"stale": 1}, {"stale": 1, "done": 1}} {
		if got := count(of(ended, callers[i].ConferenceSid())); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("room %d: decisions ended in these ways: %v, want %v", i+1, got, want)
		}
	}
	if facts := r.healed(callers[0].ConferenceSid()); fmt.Sprint(facts) != fmt.Sprintf("[%s %s]", events.ParticipantJoin, bob.CallSid()) {
		t.Errorf("the journal has the healed facts %v", facts)
	}
	if ends := r.twilio.Tally(twiliofake.EndConference); ends.Asked != 1 {
		t.Errorf("%d requests to Twilio to end a call, want 1", ends.Asked)
	}
	r.converges()
}

// everyLaneLoaded waits until this many sets of rules came into force in every lane.
func (r *ruled) everyLaneLoaded(sets int) loads {
	r.t.Helper()
	var l loads
	eventually(r.t, func() string {
		l = r.loads()
		for lane := range l.versions {
			if got := len(l.versions[lane]); got != sets {
				return fmt.Sprintf("lane %d: %d sets of rules came into force, want %d", lane, got, sets)
			}
		}
		return ""
	})
	return l
}

// keeps holds all callbacks back for later, except those about a leg with that label, which are
// lost. The returned function ends it and returns the callbacks.
func (b *switchboard) keeps(lost string) (kept func() []url.Values) {
	var all []url.Values
	b.intercepts(func(form url.Values) bool {
		if form.Get("ParticipantLabel") != lost {
			all = append(all, form)
		}
		return true
	})
	return func() []url.Values {
		b.intercepts(nothing)
		return all
	}
}

// appendOld appends a callback to the journal as if it had happened, and been
// accepted, that long ago.
func (r *ruled) appendOld(form url.Values, age time.Duration) {
	r.t.Helper()
	at, err := time.Parse(time.RFC1123Z, form.Get("Timestamp"))
	if err != nil {
		r.t.Fatal(err)
	}
	form.Set("Timestamp", at.Add(-age).Format(time.RFC1123Z))
	entry := events.Entry{Source: events.SourceCallback, ReceivedAt: time.Now().Add(-age), Form: form.Encode()}
	if err := r.bus.Journal().Append(r.t.Context(), form.Get("ConferenceSid"), entry); err != nil {
		r.t.Fatal(err)
	}
}
