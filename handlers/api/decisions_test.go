package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gavel/events"
	"gavel/handlers/api"
	"gavel/projections"
	"gavel/rules"
	"gavel/views"
)

// judged gives the API five decisions, the newest first: one
// done, one not done yet, one of a rule in shadow, one refused, and one on a
// conference of another account that the picture has forgotten.
func judged(t *testing.T) *stack {
	l := openLaw(t, twoRules)
	done, open, would, refused, gone := decided(1, rules.StepEnd), decided(1, rules.StepAnnounce), decided(2, rules.StepPublish), decided(2, rules.StepEnd), decided(3, rules.StepEnd)
	done.AsOf, open.ID, open.Step = now, sid("", 11), 2
	would.Rule, would.Verdict, would.Subject = "say-held", rules.Would, sid("CA", 7)
	refused.ID, refused.Verdict, refused.Reason = sid("", 12), rules.Refused, rules.Exempted
	refused.AsOf, gone.AccountSid = would.AsOf.Add(-time.Second), other
	l.decides(t, done, open, would, refused, gone)

	action := acted(done, now)
	action.Outcome = &projections.ActionResult{Result: events.Done, Status: 200, Why: "already", At: projections.At(now)}
	held := room(account, 2, "support-2", at("11:30:00"))
	held.Participants = []*projections.Participant{{CallSid: sid("CA", 7), Label: projections.Stated[string]{Value: "customer"}}}
	return start(t, []*projections.Conference{with(room(account, 1, "support-1", at("11:00:00")), action), held}, l.rule)
}

func TestDecisionsAreListedWithTheirOutcomes(t *testing.T) {
	t.Parallel()
	s := judged(t)
	got := read[api.DecisionList](t, s.get("decisions")).Decisions
	if len(got) != 5 {
		t.Fatalf("%d decisions: %+v", len(got), got)
	}
	done, open, would, refused, gone := got[0], got[1], got[2], got[3], got[4]
	if a := done.Answer; a == nil || a.Result != events.Done || a.Why != "already" || done.FriendlyName != "support-1" || done.Do != rules.StepEnd {
		t.Errorf("done: %+v", done)
	}
	if open.Answer != nil || open.Words != "no outcome is known yet" || open.Step != 2 {
		t.Errorf("open: %+v", open)
	}
	if would.CallSid != sid("CA", 7) || would.Label != "customer" || would.Words != "nothing was done: the rule only says what it would do" {
		t.Errorf("would: %+v", would)
	}
	if refused.Words != "nothing was done: a person exempted the conference" {
		t.Errorf("refused: %+v", refused)
	}
	if gone.AccountSid != other || gone.FriendlyName != "" {
		t.Errorf("of a forgotten conference: %+v", gone)
	}
}

func TestDecisionsAreSifted(t *testing.T) {
	t.Parallel()
	s := judged(t)
	for query, want := range map[string][]string{
		"":                            {sid("", 1), sid("", 11), sid("", 2), sid("", 12), sid("", 3)},
		"?limit=2":                    {sid("", 1), sid("", 11)},
		"?rule=say-held":              {sid("", 2)},
		"?verdict=act&limit=2":        {sid("", 1), sid("", 11)},
		"?verdict=refused":            {sid("", 12)},
		"?conference=support-2":       {sid("", 2), sid("", 12)},
		"?conference=" + sid("CF", 3): {sid("", 3)},
		"?account=" + other:           {sid("", 3)},
		"?account=" + foreign:         nil,
		"?since=2026-08-03T11:59:00Z": {sid("", 1), sid("", 11), sid("", 2)},
	} {
		var got []string
		for _, d := range read[api.DecisionList](t, s.get("decisions"+query)).Decisions {
			got = append(got, d.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	for query, want := range map[string]int{
		"?verdict=maybe": 422, "?since=noon": 422, "?cursor=x": 400, "?cursor=0": 400, "?cursor=-1": 400, "?limit=0": 422, "?conference=nobody": 404, "?account=x": 404, "?colour=red": 422,
	} {
		if a := s.get("decisions" + query); a.status != want {
			t.Errorf("%s: %d %s", query, a.status, a.body)
		}
	}
}

func TestDecisionsOfOthersAreNotSeen(t *testing.T) {
	t.Parallel()
	s := judged(t)
	for _, c := range []struct {
		who  credentials
		want int
	}{{s.key(account), 4}, {s.key(other), 1}, {s.key(account, other), 5}, {s.key(foreign), 0}} {
		got := read[api.DecisionList](t, s.as(c.who, http.MethodGet, "decisions", "")).Decisions
		if len(got) != c.want || !slices.IsSortedFunc(got, func(a, b views.Decision) int { return b.AsOf.Compare(a.AsOf) }) {
			t.Errorf("%d decisions, want %d", len(got), c.want)
		}
	}
	if a := s.as(s.key(account), http.MethodGet, "decisions?account="+other, ""); a.status != http.StatusNotFound {
		t.Errorf("asking for another account: %d %s", a.status, a.body)
	}
}

// pages returns the ids on the pages of a list, and how many pages it has.
func (s *stack) pages(who credentials, query string) (ids []string, pages int) {
	s.Helper()
	for cursor := ""; ; pages++ {
		got := read[api.DecisionList](s, s.as(who, http.MethodGet, "decisions?"+query+cursor, ""))
		for _, d := range got.Decisions {
			ids = append(ids, d.ID)
		}
		if got.Next == "" {
			return ids, pages + 1
		}
		cursor = "&cursor=" + got.Next
	}
}

func TestDecisionsComeInPages(t *testing.T) {
	t.Parallel()
	s := judged(t)
	both := s.key(account, other)
	all := []string{sid("", 1), sid("", 11), sid("", 2), sid("", 12), sid("", 3)}
	for query, want := range map[string][]string{
		"limit=1": all, "limit=2": all, "limit=5": all, "limit=2&verdict=act": {all[0], all[1], all[4]}, "limit=1&rule=say-held": {all[2]},
	} {
		for name, who := range map[string]credentials{"all accounts": s.all, "two accounts": both} {
			if got, pages := s.pages(who, query); !slices.Equal(got, want) {
				t.Errorf("%s, of %s: %d pages have %v, want %v", query, name, pages, got, want)
			}
		}
	}
	if _, pages := s.pages(s.all, "limit=5"); pages != 1 {
		t.Errorf("%d pages have the 5 decisions, want 1", pages)
	}
}

// Only one of 1,200 decisions is of the rule that is asked for, and it is the oldest.
func TestAPageWithoutAMatchLeadsToTheNext(t *testing.T) {
	t.Parallel()
	l := openLaw(t, twoRules)
	rare := decided(0, rules.StepEnd)
	rare.Rule, rare.AsOf = "say-held", now.Add(-time.Hour)
	many := make([]rules.Decision, 1200)
	for i := range many {
		many[i] = decided(i+1, rules.StepEnd)
	}
	l.decides(t, append(many, rare)...)
	s := start(t, nil, l.rule)
	if got, pages := s.pages(s.all, "rule=say-held"); len(got) != 1 || got[0] != rare.ID || pages != 2 {
		t.Errorf("%d pages have %v", pages, got)
	}
	if got, _ := s.pages(s.all, "rule=end-orphaned&limit=200"); len(got) != 1200 {
		t.Errorf("%d decisions, want 1,200", len(got))
	}
}

func TestANotificationOfARuleThatCountsHasItsOutcome(t *testing.T) {
	t.Parallel()
	l := openLaw(t, twoRules)
	done, open := decided(1, rules.StepWebhook), decided(2, rules.StepWebhook)
	done.ConferenceSid, open.ConferenceSid = "", ""
	l.decides(t, done, open)
	action := events.Action{ID: done.ID, Do: events.DoWebhook, AccountSid: account, Actor: events.Actor{Rule: done.Rule}, At: now}
	outcome := events.NewOutcome(action, events.Outcome{Result: events.Done, Status: 204, At: now})
	if err := l.bus.Actions().RecordOutcome(t.Context(), events.Key{AccountSid: account}, done.ID, outcome); err != nil {
		t.Fatal(err)
	}
	s := start(t, nil, l.rule)
	got := read[api.DecisionList](t, s.get("decisions")).Decisions
	if len(got) != 2 || got[0].Answer == nil || got[0].Answer.Result != events.Done || got[0].Answer.Status != 204 || got[1].Answer != nil {
		t.Errorf("the decisions are %+v", got)
	}
	if strings.Contains(got[0].Words, "no outcome") {
		t.Errorf("its words are %q", got[0].Words)
	}
}

// shadowed has two facts at the positions 10 and 12, and decisions at 9, 10 and 11; the last announces.
func shadowed(t *testing.T) *stack {
	l := openLaw(t, twoRules)
	early, would, spoken := decided(1, rules.StepEnd), decided(1, rules.StepEnd), decided(1, rules.StepAnnounce)
	for i, d := range []*rules.Decision{&early, &would, &spoken} {
		d.ID = sid("", 20+i)
		if d.Verdict = rules.Would; i == 2 {
			d.Verdict, d.Params = rules.Act, map[string]string{"say": "Are you still there?"}
		}
		l.decidesAt(t, uint64(9+i), *d)
	}
	action := acted(spoken, now)
	action.Do = events.DoAnnounce
	c := with(room(account, 1, "support-1", at("11:00:00")), action)
	facts := withNews(t, fact(account, 1, events.ParticipantJoin, "1", 10), fact(account, 1, events.ParticipantLeave, "2", 12))
	return start(t, []*projections.Conference{c}, l.rule, facts)
}

func TestATimelineHasDecisionsWithTheirPositions(t *testing.T) {
	t.Parallel()
	body := read[api.TimelineBody](t, shadowed(t).get("conferences/support-1/timeline"))
	if len(body.Facts) != 2 || len(body.Decisions) != 3 {
		t.Fatalf("the timeline is %+v", body)
	}
	for i, want := range [][2]string{{sid("", 22), "11.0"}, {sid("", 21), "10.0"}, {sid("", 20), "9.0"}} {
		if d := body.Decisions[i]; d.ID != want[0] || d.Position != want[1] {
			t.Errorf("decision %d: %s at %s, want %v", i, d.ID, d.Position, want)
		}
	}
	if got := body.Decisions[0].Announces(); got != "Are you still there?" {
		t.Errorf("the last one announces %q", got)
	}
}
