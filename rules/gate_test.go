package rules_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"gavel/events"
	"gavel/projections"
	"gavel/rules"
)

// A decision is checked against the current state right before it is performed.
func TestADecisionLapsesWhenItsConditionCeases(t *testing.T) {
	t.Parallel()
	const alone, pair = `{"call_sid": "CA1", "last": {"on": true}}`, `{"call_sid": "CA1", "last": {"on": true}}, {"call_sid": "CA2", "last": {"on": true}}`
	awaited := &rules.State{Stretches: []rules.Stretch{{Rule: "alone", Awaiting: []string{"d"}}, {Rule: "each", CallSid: "CA1", Awaiting: []string{"d"}}}}
	at := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	until := func(rule string) *rules.State {
		return &rules.State{Stretches: awaited.Stretches, Exemptions: []rules.ExemptUntil{{Rule: rule, Until: at.Add(time.Hour)}}}
	}
	for name, c := range map[string]struct {
		decision rules.Decision
		state    *rules.State
		legs     string
		name     string
		ended    bool
		redriven bool
		want     rules.Reason
	}{
		"the condition holds":             {rules.Decision{Rule: "alone"}, awaited, alone, "room", false, false, ""},
		"a second leg joined":             {rules.Decision{Rule: "alone"}, awaited, pair, "room", false, false, rules.LapsedCondition},
		"unless holds":                    {rules.Decision{Rule: "alone"}, awaited, alone, "vip-1", false, false, rules.LapsedCondition},
		"the conference ended":            {rules.Decision{Rule: "alone"}, awaited, alone, "room", true, false, rules.LapsedEnded},
		"another occasion":                {rules.Decision{Rule: "alone"}, &rules.State{}, alone, "room", false, false, rules.LapsedOccasion},
		"nothing is remembered":           {rules.Decision{Rule: "alone"}, nil, alone, "room", false, false, rules.LapsedOccasion},
		"another occasion, but redriven":  {rules.Decision{Rule: "alone"}, nil, alone, "room", false, true, ""},
		"exempt from all":                 {rules.Decision{Rule: "alone"}, until(""), alone, "room", false, false, rules.LapsedExempt},
		"exempt from another rule":        {rules.Decision{Rule: "alone"}, until("each"), alone, "room", false, false, ""},
		"no such rule":                    {rules.Decision{Rule: "other"}, awaited, alone, "room", false, false, rules.LapsedRule},
		"the leg is there":                {rules.Decision{Rule: "each", CallSid: "CA1", Subject: "CA1"}, awaited, pair, "room", false, false, ""},
		"the target left":                 {rules.Decision{Rule: "each", CallSid: "CA9", Subject: "CA1"}, awaited, pair, "room", false, false, rules.LapsedLeft},
		"the subject left":                {rules.Decision{Rule: "each", Subject: "CA9"}, awaited, pair, "room", false, true, rules.LapsedLeft},
		"an event does not cease":         {rules.Decision{Rule: "joins", CallSid: "CA1"}, nil, alone, "room", false, false, ""},
		"an event's leg left":             {rules.Decision{Rule: "joins", CallSid: "CA2"}, nil, alone, "room", false, false, rules.LapsedLeft},
		"an event's conference ended":     {rules.Decision{Rule: "joins", CallSid: "CA1"}, nil, alone, "room", true, false, rules.LapsedEnded},
		"an event's conference is exempt": {rules.Decision{Rule: "joins", CallSid: "CA1"}, until("joins"), alone, "room", false, false, rules.LapsedExempt},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			record := recordOf(t, `{"account_sid": "AC1", "conference_sid": "CF1", "friendly_name": {"value": "`+c.name+`"}, "participants": [`+c.legs+`]}`)
			if c.ended {
				record.End = &projections.Ending{}
			}
			c.decision.ID, c.decision.AsOf = "d", at
			if c.redriven {
				c.decision.Redriven = &events.Actor{Sid: "SK1"}
			}
			if got := lapsed(t, stillRules(t), rules.Case{Decision: &c.decision, State: c.state, Record: record, Now: at}); got != c.want {
				t.Errorf("it lapsed: %q, want %q", got, c.want)
			}
		})
	}
}

// lapsed asks the gate about a decision that was made by the set in force, on a state of Twilio's
// that was fetched just now, and returns why it lapsed or waits for a leg, "" if it may be sent.
func lapsed(t fatal, set *rules.Set, now rules.Case) rules.Reason {
	t.Helper()
	now.Made, now.InForce, now.SeenAt = set, set, now.Now
	r := rules.Gate(now)
	rings := r.Passage == rules.Defer && r.Why == rules.Ringing && r.Until.Equal(now.Now.Add(10*time.Second))
	if r.Passage != rules.Lapse && !rings && r != (rules.Ruling{Passage: rules.Pass}) {
		t.Fatalf("the ruling is %+v", r)
	}
	return r.Why
}

// The rules of a table of the gate: what is in force, and what may have changed since the decision.
func gateRules(t *testing.T, fileLevel, rule string) *rules.Set {
	t.Helper()
	return setOf(t, fileLevel+"\nrules: ["+rule+"]")
}

// The gate reads the rules in force, the stop, the quiet hours and the age of Twilio's state at the
// time of the action, whatever they were at the decision.
func TestTheGateDecidesOnWhatIsInForceNow(t *testing.T) {
	t.Parallel()
	const alone = `{name: alone, mode: live, when: size(conference.live) == 1, do: [end: {}]}`
	pass := rules.Ruling{Passage: rules.Pass}
	lapse := func(why rules.Reason) rules.Ruling { return rules.Ruling{Passage: rules.Lapse, Why: why} }
	at := time.Date(2026, 11, 22, 21, 58, 0, 0, time.UTC)
	quiet := func(from, to, do string) string {
		return fmt.Sprintf("quiet_hours: {tz: UTC, from: %q, to: %q, do: %s}", from, to, do)
	}
	for name, c := range map[string]struct {
		fileLevel, rule string // in force; no rule: no set is
		stopped, unread bool
		age             time.Duration // of Twilio's state
		want            rules.Ruling
	}{
		"the same set":                {"", alone, false, false, 0, pass},
		"the same rule":               {"ceiling: {per_minute: 3}", alone, false, false, 2 * time.Second, pass},
		"another description":         {"", strings.Replace(alone, "mode", "description: why, mode", 1), false, false, 0, pass},
		"now in shadow":               {"", strings.Replace(alone, "live", "shadow", 1), false, false, 0, lapse(rules.RuleChanged)},
		"now off":                     {"", strings.Replace(alone, "mode: live", "mode: off", 1), false, false, 0, lapse(rules.RuleChanged)},
		"another condition":           {"", strings.Replace(alone, "== 1", "<= 1", 1), false, false, 0, lapse(rules.RuleChanged)},
		"removed":                     {"", strings.Replace(alone, "alone", "other", 1), false, false, 0, lapse(rules.RuleChanged)},
		"no set in force":             {"", "", false, false, 0, lapse(rules.RuleChanged)},
		"exempt by name now":          {`exempt: {names: ["roo*"]}`, alone, false, false, 0, lapse(rules.LapsedExempt)},
		"exempt by label now":         {`exempt: {labels: ["vip"]}`, alone, false, false, 0, lapse(rules.LapsedExempt)},
		"another is exempt":           {`exempt: {names: ["board"]}`, alone, false, false, 0, pass},
		"not for this account":        {`accounts: [AC00000000000000000000000000000009]`, alone, false, false, 0, lapse(rules.LapsedRule)},
		"stopped":                     {"", alone, true, false, 0, rules.Ruling{Passage: rules.Defer, Why: rules.IsStopped}},
		"the rules cannot be read":    {"", alone, false, true, 0, rules.Ruling{Passage: rules.Defer, Why: rules.RulesUnread}},
		"an old state":                {"", alone, false, false, 2001 * time.Millisecond, rules.Ruling{Passage: rules.Fetch, Why: rules.OldState}},
		"quiet hours for long":        {quiet("21:58", "06:00", "hold"), alone, false, false, 0, rules.Ruling{Passage: rules.Skip, Why: rules.HeldBack}},
		"quiet hours for two minutes": {quiet("21:00", "22:00", "hold"), alone, false, false, 0, rules.Ruling{Passage: rules.Defer, Why: rules.HeldBack, Until: at.Add(2 * time.Minute)}},
		"quiet hours that shadow":     {quiet("21:00", "22:00", "shadow"), alone, false, false, 0, rules.Ruling{Passage: rules.Skip, Why: rules.HeldBack}},
		"quiet hours to come":         {quiet("21:59", "06:00", "hold"), alone, false, false, 0, pass},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := rules.Case{
				Decision: &rules.Decision{ID: "d", Rule: "alone", AccountSid: "AC1", AsOf: at},
				Made:     gateRules(t, "", alone), State: &rules.State{Stretches: []rules.Stretch{{Rule: "alone", Awaiting: []string{"d"}}}},
				Record: recordOf(t, `{"account_sid": "AC1", "conference_sid": "CF1", "friendly_name": {"value": "room"},
					"participants": [{"call_sid": "CA1", "label": {"value": "vip"}, "last": {"on": true}}]}`),
				SeenAt: at.Add(-c.age), Now: at, Stopped: c.stopped, InForceUnread: c.unread,
			}
			if c.rule != "" {
				now.InForce = gateRules(t, c.fileLevel, c.rule)
			}
			if got := rules.Gate(now); got != c.want {
				t.Errorf("the ruling is %+v, want %+v", got, c.want)
			}
		})
	}
}

// recordOf decodes a record.
func recordOf(t *testing.T, text string) *projections.Conference {
	t.Helper()
	c := &projections.Conference{}
	if err := json.Unmarshal([]byte(text), c); err != nil {
		t.Fatal(err)
	}
	return c
}

func stillRules(t *testing.T) *rules.Set {
	t.Helper()
	set, err := rules.Parse(rules.File{Name: "rules.yaml", Text: `
rules:
  - name: alone
    when: size(conference.live) == 1
    unless: conference.friendly_name.startsWith("vip-")
    do: [{end: {}}]
    mode: live
  - name: each
    each: participant
    when: size(conference.live) == 2
    do: [{kick: {}}]
    mode: live
  - name: joins
    when: event.kind == "` + string(events.ParticipantJoin) + `"
    do: [{kick: {target: "true"}}]
    mode: live
`})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// The intent of an action is in the record when the gate is asked again right before the call.
func TestAnActionIsNoReasonAgainstItself(t *testing.T) {
	t.Parallel()
	set := setOf(t, `rules: [{name: once, mode: live, when: 'conference.actions.all(a, a.do != "end")', do: [end: {}]}]`)
	at := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	state := &rules.State{Stretches: []rules.Stretch{{Rule: "once", Awaiting: []string{"d"}}}}
	record := recordOf(t, `{"account_sid": "AC1", "conference_sid": "CF1", "actions": [{"id": "d", "do": "end", "intent": true}]}`)
	for id, want := range map[string]rules.Reason{"d": "", "c": rules.LapsedCondition} {
		record.Actions[0].ID = id
		d := &rules.Decision{ID: "d", Rule: "once", AsOf: at}
		if got := lapsed(t, set, rules.Case{Decision: d, State: state, Record: record, Now: at}); got != want {
			t.Errorf("with the action %s it lapsed: %q, want %q", id, got, want)
		}
	}
}
