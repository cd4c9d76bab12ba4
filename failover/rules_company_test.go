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

// endAlone ends a call in which one participant has been alone for two seconds.
const endAlone = `
rules:
  - name: end-alone
    when: conference.status == "in-progress" && size(conference.live) == 1
    for: 2s
    do: [{end: {}}]
    mode: live
`

// A participant is left alone, and company joins in time: no deadline is
// reached, so no rule decides anything.
func TestRulesDecideNothingWhenCompanyJoinsInTime(t *testing.T) {
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
		t.Errorf("requests to Twilio: %v", all)
	}
	r.converges()
}

// Company joined, but the callback was lost. The decision lapses when Gavel fetches the state from
// Twilio. From then on the journal and the picture contain the participants, and no call is ended.
func TestADecisionLapsesWhenTwilioShowsCompanyThatNoCallbackReported(t *testing.T) {
	t.Parallel()
	r := newRuled(t)
	g := r.gavel("all", r.ruleFile(endAlone))
	r.board.intercepts(func(form url.Values) bool {
		return form.Get("ParticipantLabel") == "bob" && form.Get("StatusCallbackEvent") == string(events.ParticipantJoin)
	})

	s := r.twilio.NewStory()
	customer := leavesAlone(s, "support-1")[0]
	bob := s.Agent("bob").Answers("support-1")
	r.plays(s)

	r.end("end-alone", rules.StepEnd, map[string]int{"lapsed": 1})
	if all := r.desk.list(); len(all) != 0 {
		t.Errorf("requests to Twilio: %v", all)
	}
	if facts := r.healed(customer.ConferenceSid()); !slices.Equal(facts, []string{string(events.ParticipantJoin) + " " + bob.CallSid()}) {
		t.Errorf("the journal has the healed facts %v", facts)
	}
	r.shows(g, customer, 2)
	r.converges()
}

// shows waits until the picture has this many legs in a caller's conference.
func (r *ruled) shows(g *gavel, caller *twiliofake.Caller, legs int) {
	r.t.Helper()
	eventually(r.t, func() string {
		live, err := g.live(caller.ConferenceSid())
		if err != nil {
			return err.Error()
		}
		if live != legs {
			return "the picture does not show all participants"
		}
		return ""
	})
}
