package rules_test

import (
	"encoding/json"
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
		want     rules.Lapse
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
			got := rules.Still(stillRules(t), rules.Case{
				Decision: &c.decision, State: c.state, Record: record, Now: at, Redriven: c.redriven,
			})
			if got != c.want {
				t.Errorf("it lapsed: %q, want %q", got, c.want)
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
