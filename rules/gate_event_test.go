package rules_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gavel/events"
	presets "gavel/examples/rules"
	"gavel/projections"
	"gavel/rules"
)

// leg is a leg as Twilio's REST API lists it.
func leg(n int, status, label string) projections.SeenLeg {
	return projections.SeenLeg{
		CallSid: fmt.Sprintf("CA%032x", n), Status: status, Label: label, Flags: projections.Flags{StartConferenceOnEnter: true},
	}
}

// decided returns what a rule decides when leg 1 leaves and leg 2 stays, as the
// performer reads it: decoded from JSON.
func decided(t *testing.T, set *rules.Set) (rules.Decision, *lane) {
	t.Helper()
	l := &lane{set: set}
	l.judge(t, joins(1, 0))
	l.judge(t, joins(2, 1))
	l.judge(t, leaves(1, 60))
	if len(l.decisions) != 1 || l.decisions[0].Verdict != rules.Act {
		t.Fatalf("the decisions are %s", encode(t, l.decisions))
	}
	var d rules.Decision
	if err := json.Unmarshal([]byte(encode(t, l.decisions[0])), &d); err != nil {
		t.Fatal(err)
	}
	return d, l
}

// Before an action, the conditions of every rule are evaluated on the state at
// Twilio. What they read of the event keeps its value.
func TestARuleAboutAnEventIsCheckedAgainstTwilioToo(t *testing.T) {
	t.Parallel()
	const left = `event.kind == "participant-leave"`
	const between = `size(conference.live) == 1 && conference.participants.exists(p, !p.live)`
	customer, third := leg(2, "connected", "customer"), leg(3, "connected", "supervisor")
	for name, c := range map[string]struct {
		rule string // all but its name, mode and steps
		do   string
		seen []projections.SeenLeg
		want rules.Reason
	}{
		"nothing changed":              {`when: '` + left + ` && size(conference.live) == 1'`, "", []projections.SeenLeg{customer}, ""},
		"a third is in the room":       {`when: '` + left + ` && size(conference.live) == 1'`, "", []projections.SeenLeg{customer, third}, rules.LapsedCondition},
		"a third is called":            {`when: '` + left + ` && size(conference.live) == 1'`, "", []projections.SeenLeg{customer, leg(3, "ringing", "")}, rules.Ringing},
		"a third is called, and held":  {`when: '` + left + ` && size(conference.live) == 1'`, "", []projections.SeenLeg{customer, held(leg(3, "connected", "")), leg(4, "ringing", "")}, rules.LapsedCondition},
		"a third had been called":      {`when: '` + left + ` && size(conference.live) == 1'`, "", []projections.SeenLeg{customer, leg(3, "failed", "")}, ""},
		"the supervisor is there":      {`{when: '` + left + `', unless: 'conference.live.exists(p, p.label == "supervisor")'}`, "", []projections.SeenLeg{customer, third}, rules.LapsedCondition},
		"another agent is there":       {`{when: '` + left + `', unless: 'conference.live.exists(p, p.label == "supervisor")'}`, "", []projections.SeenLeg{customer, leg(3, "connected", "agent")}, ""},
		"only the event is read":       {`when: '` + left + `'`, "", []projections.SeenLeg{customer, third}, ""},
		"and what was before it":       {`when: 'size(before.live) == 2 && ` + left + `'`, "", []projections.SeenLeg{customer, third}, ""},
		"before, and the conference":   {`when: 'size(before.live) == 2 && size(conference.live) == 1'`, "", []projections.SeenLeg{customer, third}, rules.LapsedCondition},
		"it came back":                 {`when: 'before.live.exists(p, !conference.live.exists(q, q.call_sid == p.call_sid))'`, "", []projections.SeenLeg{leg(1, "connected", ""), customer}, rules.LapsedCondition},
		"another came":                 {`when: 'before.live.exists(p, !conference.live.exists(q, q.call_sid == p.call_sid))'`, "", []projections.SeenLeg{customer, third}, ""},
		"its leg is read again":        {`when: '` + left + ` && !participant.live'`, "", []projections.SeenLeg{leg(1, "connected", ""), customer}, rules.LapsedCondition},
		"its leg is as it was":         {`when: '` + left + ` && !participant.live'`, "", []projections.SeenLeg{customer}, ""},
		"the subject is who left":      {`{each: participant, when: '` + left + ` && event.call_sid == participant.call_sid'}`, "", []projections.SeenLeg{customer}, ""},
		"the subject left as well":     {`{each: participant, when: '` + left + ` && event.call_sid != participant.call_sid'}`, "", []projections.SeenLeg{third}, rules.LapsedLeft},
		"the subject is on hold":       {`{each: participant, when: '` + left + ` && event.call_sid != participant.call_sid && !participant.hold'}`, "", []projections.SeenLeg{held(customer)}, rules.LapsedCondition},
		"the subject is not":           {`{each: participant, when: '` + left + ` && event.call_sid != participant.call_sid && !participant.hold'}`, "", []projections.SeenLeg{customer}, ""},
		"it is a target":               {`when: '` + left + `'`, `kick: {target: "!participant.hold"}`, []projections.SeenLeg{customer, third}, ""},
		"it is not a target any more":  {`when: '` + left + `'`, `kick: {target: "!participant.hold"}`, []projections.SeenLeg{held(customer)}, rules.LapsedCondition},
		"a target by its event":        {`when: '` + left + `'`, `mute: {target: "participant in before.live && participant.call_sid != event.call_sid"}`, []projections.SeenLeg{customer, third}, ""},
		"a target by all of them":      {`when: '` + left + `'`, `mute: {target: "event.call_sid != participant.call_sid && size(conference.live) == 1"}`, []projections.SeenLeg{customer, third}, rules.LapsedCondition},
		"a stretch's target":           {`when: '` + between + `'`, `hold: {target: "!participant.muted"}`, []projections.SeenLeg{customer}, ""},
		"no longer a stretch's target": {`when: '` + between + `'`, `hold: {target: "!participant.muted"}`, []projections.SeenLeg{muted(customer)}, rules.LapsedCondition},
		"the target left":              {`when: '` + left + `'`, `kick: {target: participant.live}`, []projections.SeenLeg{third}, rules.LapsedLeft},
		"all legs left":                {`when: '` + left + `'`, "", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, l := decided(t, eventRule(t, c.rule, c.do))
			at := nine.Add(61 * time.Second)
			record := projections.Overlay(l.record, projections.Seen{Status: projections.StatusInProgress, Legs: c.seen, At: at})
			for _, redriven := range []bool{false, true} {
				if d.Redriven = nil; redriven {
					d.Redriven = &events.Actor{Sid: "SK1"}
				}
				now := rules.Case{Decision: &d, State: l.state, Record: record, Now: at}
				now.Joined = projections.OverlayJoined(l.record, projections.Seen{Status: projections.StatusInProgress, Legs: c.seen, At: at})
				if got := lapsed(t, l.set, now); got != c.want {
					t.Errorf("it lapsed: %q, want %q (redriven: %v)", got, c.want, redriven)
				}
			}
		})
	}
}

// eventRule is a set of one live rule, which ends the conference if do is empty.
func eventRule(t *testing.T, rule, do string) *rules.Set {
	t.Helper()
	if do == "" {
		do = "end: {}"
	}
	if rule[0] == '{' {
		rule = rule[1 : len(rule)-1]
	}
	return setOf(t, fmt.Sprintf("rules: [{name: left, mode: live, %s, do: [{%s}]}]", rule, do))
}

func muted(l projections.SeenLeg) projections.SeenLeg {
	l.Flags.Muted = true
	return l
}

func held(l projections.SeenLeg) projections.SeenLeg {
	l.Flags.Hold = true
	return l
}

// What the rule files exempt by the time of the action is left alone.
func TestAnExemptionBeforeTheActionLapsesTheDecision(t *testing.T) {
	t.Parallel()
	d, l := decided(t, setOf(t, `
exempt: {labels: ["vip-*"]}
rules: [{name: left, mode: live, when: 'event.kind == "participant-leave"', do: [end: {}]}]
`))
	at := nine.Add(61 * time.Second)
	for label, want := range map[string]rules.Reason{"vip-1": rules.LapsedExempt, "guest": ""} {
		record := projections.Overlay(l.record, projections.Seen{
			Status: projections.StatusInProgress, Legs: []projections.SeenLeg{leg(2, "connected", ""), leg(3, "connected", label)}, At: at,
		})
		if got := lapsed(t, l.set, rules.Case{Decision: &d, State: l.state, Record: record, Now: at}); got != want {
			t.Errorf("with %s in the room it lapsed: %q, want %q", label, got, want)
		}
	}
}

// Older versions recorded nothing of the event. Such a condition counts as it
// did when it was decided, and everything else is checked against Twilio.
func TestADecisionWithoutItsEventIsCheckedOnTheRest(t *testing.T) {
	t.Parallel()
	d, l := decided(t, eventRule(t, `when: 'event.kind == "participant-leave" && size(conference.live) == 1'`, ""))
	d.Kept = nil
	at := nine.Add(61 * time.Second)
	for n, want := range map[int]rules.Reason{1: "", 2: rules.LapsedCondition} {
		seen := projections.Seen{Status: projections.StatusInProgress, At: at}
		for i := range n {
			seen.Legs = append(seen.Legs, leg(2+i, "connected", ""))
		}
		now := rules.Case{Decision: &d, State: l.state, Record: projections.Overlay(l.record, seen), Now: at}
		if got := lapsed(t, l.set, now); got != want {
			t.Errorf("with %d in the room it lapsed: %q, want %q", n, got, want)
		}
	}
}

// A later step of a rule about an event is decided after the event has passed.
// It carries what was read of the event, like the first step.
func TestALaterStepIsCheckedAgainstTwilioToo(t *testing.T) {
	t.Parallel()
	first, l := decided(t, setOf(t, `
rules: [{name: left, mode: live, when: 'size(before.live) == 2 && size(conference.live) == 1', do: [{announce: {say: bye}}, {end: {}}]}]`))
	l.state = reloaded(t, l.state)
	l.judge(t, rules.Input{ID: "outcome", At: nine.Add(62 * time.Second), Outcome: &rules.StepResult{Decision: first.ID, Result: events.Done}})
	end := l.decisions[len(l.decisions)-1]
	if end.Do != rules.StepEnd || string(end.Kept["size(before.live) == 2"]) != `"true"` {
		t.Fatalf("the later step is %s", encode(t, end))
	}
	at := nine.Add(63 * time.Second)
	seen := projections.Seen{Status: projections.StatusInProgress, Legs: []projections.SeenLeg{leg(2, "connected", ""), leg(3, "connected", "")}, At: at}
	now := rules.Case{Decision: &end, State: l.state, Record: projections.Overlay(l.record, seen), Now: at}
	if got := lapsed(t, l.set, now); got != rules.LapsedCondition {
		t.Errorf("it lapsed: %q, want %q", got, rules.LapsedCondition)
	}
}

// A notification is not checked against anything, and carries nothing of its event.
func TestANotificationCarriesNothingOfItsEvent(t *testing.T) {
	t.Parallel()
	d, _ := decided(t, eventRule(t, `when: 'event.kind == "participant-leave"'`, "publish: {subject: floor.left}"))
	if d.Kept != nil {
		t.Errorf("it keeps %s", d.Kept)
	}
}

// A decision does not lapse at the entry that led to it if Twilio reports what the record has: for
// the presets, each with a step at Twilio, and for rules of all kinds.
func TestADecisionDoesNotLapseAtItsOwnEntry(t *testing.T) {
	t.Parallel()
	var files []rules.File
	for _, f := range presets.Files() {
		files = append(files, rules.File{Name: f.Name, Text: f.Text})
	}
	acting, err := rules.Parse(files...)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range acting.Rules {
		r.Mode, r.Count = rules.Live, nil
		r.Do = []rules.Step{{Kind: rules.StepAnnounce, To: rules.EachConference}}
	}
	about := setOf(t, `
exempt: {labels: ["ceo*"]}
rules:
  - {name: came, mode: live, when: 'size(before.live) < size(conference.live)', do: [{announce: {say: hello}}, {end: {}}]}
  - {name: back, mode: live, each: participant, when: 'event.kind == "participant-join" && participant in before.live', do: [{kick: {}}]}
  - {name: gone, mode: live, when: 'before.live.exists(p, !(p in conference.live))', unless: 'event.param("Muted") == "true"', do: [{mute: {target: "true"}}]}
  - {name: whose, mode: live, when: 'participant.hold || participant.muted', unless: 'alone_for(conference) > duration("1m")', do: [{end: {}}]}
`)
	acted := map[string]bool{}
	for range mostRounds {
		for _, set := range []*rules.Set{acting, about, everythingSet(t)} {
			rapid.Check(t, func(t *rapid.T) { checkAll(t, set, acted) })
		}
		if len(missing(acted, acting, about)) == 0 {
			return
		}
	}
	t.Errorf("these never acted: %q", missing(acted, acting, about))
}

// mostRounds of 100 journals each; two or three rounds usually contain everything.
const mostRounds = 30

// missing returns the rules that never acted, except those that cannot.
func missing(acted map[string]bool, sets ...*rules.Set) (names []string) {
	for _, set := range sets {
		for _, r := range set.Rules {
			if !acted[r.Name] && !afterTheEnd[r.Name] {
				names = append(names, r.Name)
			}
		}
	}
	return names
}

// checkAll judges a journal and checks each decision at its own entry.
func checkAll(t *rapid.T, set *rules.Set, acted map[string]bool) {
	l := &lane{set: set, sets: []*rules.Set{set, new(rules.Set), set, set}} // absent, and back
	slowness := rapid.SampledFrom([]int{0, 30, 300}).Draw(t, "slowness")
	for _, e := range journal(t) {
		shift(&e, time.Duration(slowness)*e.At.Sub(nine))
		before := len(l.decisions)
		l.judge(t, rules.Input{ID: "wake", At: e.At})
		checkGate(t, l, l.decisions[before:], acted)
		before = len(l.decisions)
		judgeEntry(t, l, e)
		checkGate(t, l, l.decisions[before:], acted)
	}
}

// afterTheEnd are presets about conferences that have ended, where no action is
// possible, and kick-storm, because journal does not draw its reason.
var afterTheEnd = map[string]bool{"abnormal-ending": true, "short-call-surge": true, "ended-from-outside": true, "kick-storm": true}

// shift moves an entry to a later time, and adds a label and a reason to a fact.
func shift(e *entry, later time.Duration) {
	e.At = e.At.Add(later)
	if e.Fact == nil {
		return
	}
	f := *e.Fact
	f.ReceivedAt, f.OccurredAt = f.ReceivedAt.Add(later), f.OccurredAt.Add(later)
	label, hold := "agent-ana", "false"
	if f.CallSid != fmt.Sprintf("CA%032x", 3) {
		label, hold = "customer", fmt.Sprint(f.Kind == events.ParticipantHold || f.Kind == events.ParticipantLeave)
	}
	f.Params = append(slices.Clone(f.Params), events.Params{
		{Name: "ParticipantLabel", Value: label}, {Name: "Hold", Value: hold}, {Name: "ReasonParticipantLeft", Value: "participant_hung_up"},
	}...)
	e.Fact = &f
}

// checkGate checks decisions on the record that led to them.
func checkGate(t fatal, l *lane, all []rules.Decision, acted map[string]bool) {
	t.Helper()
	for _, d := range all {
		if d.Verdict != rules.Act || !d.Do.AtTwilio() || l.set.Rule(d.Rule).PerEvent() && d.Step > 1 {
			continue // a later step does not belong to the event's own entry
		}
		acted[d.Rule] = true
		if why := lapsed(t, l.set, rules.Case{Decision: &d, State: l.state, Record: l.record, Now: d.AsOf}); why != "" {
			t.Fatalf("it lapsed: %q: %s", why, encode(t, d))
		}
	}
}
