package failover_test

import (
	"net/url"
	"slices"
	"testing"
	"time"

	"gavel/events"
	"gavel/internal/twilio/twiliofake"
	"gavel/rules"
)

// endAlone ends a call in which one is left for two seconds.
const endAlone = `
rules:
  - name: end-alone
    when: conference.status == "in-progress" && size(conference.live) == 1
    for: 2s
    do: [{end: {}}]
    mode: live
`

// Somebody is left alone, and company comes back in time: before anything is
// due there is nothing to decide.
func TestRulesLetCompanyComeBack(t *testing.T) {
	t.Parallel()
	r := newRuled(t)
	r.gavel("all", r.ruleFile(endAlone))

	s := r.twilio.NewStory()
	lucky := leavesAlone(s, "lucky")[0]
	unlucky := leavesAlone(s, "unlucky")[0]
	s.Passes(500 * time.Millisecond)
	s.Agent("bob").Answers("lucky")
	r.plays(s)

	ended := r.end("end-alone", rules.StepEnd, map[string]int{"done": 1})
	if ended[0].ConferenceSid != unlucky.ConferenceSid() {
		t.Errorf("%s was ended, and %s should have been", ended[0].ConferenceSid, unlucky.ConferenceSid())
	}
	if all := r.desk.list(); slices.ContainsFunc(all, func(a asked) bool { return a.conference() == lucky.ConferenceSid() }) {
		t.Errorf("Twilio was asked %v", all)
	}
	r.converges()
}

// Company came back, and nobody told: the callback was lost. What was decided
// lapses when Twilio is asked how things stand. The journal and the picture know
// from then on who is there, and nobody's call is ended.
func TestRulesSeeCompanyThatNobodyTold(t *testing.T) {
	t.Parallel()
	r := newRuled(t)
	g := r.gavel("all", r.ruleFile(endAlone))
	r.board.takes(func(form url.Values) bool {
		return form.Get("ParticipantLabel") == "bob" && form.Get("StatusCallbackEvent") == string(events.ParticipantJoin)
	})

	s := r.twilio.NewStory()
	customer := leavesAlone(s, "support-1")[0]
	bob := s.Agent("bob").Answers("support-1")
	r.plays(s)

	r.end("end-alone", rules.StepEnd, map[string]int{"lapsed": 1})
	if all := r.desk.list(); len(all) != 0 {
		t.Errorf("Twilio was asked %v", all)
	}
	if facts := r.healed(customer.ConferenceSid()); !slices.Equal(facts, []string{string(events.ParticipantJoin) + " " + bob.CallSid()}) {
		t.Errorf("the journal heals %v", facts)
	}
	r.shows(g, customer, 2)
	r.converges()
}

// shows waits until the picture has so many legs in somebody's conference.
func (r *ruled) shows(g *gavel, caller *twiliofake.Caller, legs int) {
	r.t.Helper()
	eventually(r.t, func() string {
		live, err := g.live(caller.ConferenceSid())
		if err != nil {
			return err.Error()
		}
		if live != legs {
			return "the picture does not show who is there"
		}
		return ""
	})
}
