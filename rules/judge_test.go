package rules_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gavel/events"
	"gavel/projections"
	"gavel/rules"
	"gavel/rules/condition"
)

// nine is when the conferences of these tests begin.
var nine = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

func setOf(t *testing.T, text string) *rules.Set {
	t.Helper()
	set, err := rules.Parse(rules.File{Name: "rules.yaml", Text: text})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// joins is the event of a leg that joins, some seconds after nine.
func joins(leg, seconds int) rules.Input {
	at := nine.Add(time.Duration(seconds) * time.Second)
	e := &events.Event{
		ID: fmt.Sprintf("join-%d", leg), Kind: events.ParticipantJoin, Source: events.SourceCallback,
		AccountSid: "AC00000000000000000000000000000001", ConferenceSid: "CF00000000000000000000000000000001",
		CallSid: fmt.Sprintf("CA%032x", leg), SequenceNumber: int64(leg), OccurredAt: at, ReceivedAt: at,
		Params: events.Params{{Name: "FriendlyName", Value: "room"}, {Name: "StartConferenceOnEnter", Value: "true"}},
	}
	return rules.Input{ID: e.ID, At: at, Fact: e}
}

// leaves is the event of a leg that leaves.
func leaves(leg, seconds int) rules.Input {
	in := joins(leg, seconds)
	e := *in.Fact
	e.ID, e.Kind, e.SequenceNumber = fmt.Sprintf("leave-%d", leg), events.ParticipantLeave, int64(100+leg)
	return rules.Input{ID: e.ID, At: in.At, Fact: &e}
}

const orphan = `rules: [{name: orphan, mode: live, when: size(conference.live) == 1, for: 2m, do: [end: {}]}]`

func TestADecisionHasEverythingThatItsPerformerNeeds(t *testing.T) {
	t.Parallel()
	set := setOf(t, orphan)
	l := &lane{set: set}
	l.judge(t, joins(1, 0))
	if want := nine.Add(2 * time.Minute); !l.wake.Equal(want) {
		t.Fatalf("the wake-up is at %v, want %v", l.wake, want)
	}
	l.judge(t, rules.Input{ID: "wake", At: nine.Add(3 * time.Minute)})
	want := []rules.Decision{{
		// Ids are stored for ever: their computation must not change.
		ID:   "ee6bbd8a4d01a25c87b222e747bcb7aa",
		Rule: "orphan", Version: set.Version,
		AccountSid: "AC00000000000000000000000000000001", ConferenceSid: "CF00000000000000000000000000000001",
		Occasion: "join-1", Attempt: 1, Step: 1, Do: rules.StepEnd, AsOf: nine.Add(2 * time.Minute), Verdict: rules.Act,
	}}
	if diff := cmp.Diff(want, l.decisions); diff != "" {
		t.Errorf("decisions (-want +got):\n%s", diff)
	}
}

// A reload must not repeat an earlier decision.
func TestAReloadKeepsTheIDsOfDecisions(t *testing.T) {
	t.Parallel()
	var ids []string
	for _, text := range []string{orphan, orphan + "\n# another version"} {
		l := &lane{set: setOf(t, text)}
		l.judge(t, joins(1, 0))
		l.judge(t, rules.Input{At: nine.Add(2 * time.Minute)})
		ids = append(ids, l.decisions[0].ID)
	}
	if ids[0] != ids[1] {
		t.Errorf("ids %v differ", ids)
	}
}

// A wake-up that finds nothing due requests the next one; a record that moves the earliest deadline
// forward sets the alarm again; any other leaves the alarm alone.
func TestTheAlarmOnlyMovesWhenItHasTo(t *testing.T) {
	t.Parallel()
	l := &lane{set: setOf(t, orphan)}
	steps := []struct {
		in   rules.Input
		wake time.Duration // 0: the alarm does not move
	}{
		{joins(1, 0), 2 * time.Minute},
		{rules.Input{At: nine.Add(time.Minute), Reread: true}, 0},
		{rules.Input{At: nine.Add(90 * time.Second)}, 2 * time.Minute},
		{joins(2, 100), 0},
		{rules.Input{At: nine.Add(2 * time.Minute)}, 0},
		{leaves(2, 130), 250 * time.Second},
		{joins(3, 140), 0},
		{leaves(3, 260), 0}, // the alarm rang at 250 s, and its wake-up follows
		{rules.Input{At: nine.Add(261 * time.Second)}, 380 * time.Second},
	}
	for i, s := range steps {
		l.wake = time.Time{}
		l.judge(t, s.in)
		var want time.Time
		if s.wake > 0 {
			want = nine.Add(s.wake)
		}
		if !l.wake.Equal(want) {
			t.Errorf("step %d sets the alarm to %v, want %v", i, l.wake, want)
		}
	}
}

// The performer reads the rules in force from NATS's leader, and may meet a change before the lane does.
// Its refusal ends nothing: the load decides what follows, or the step is decided again if none comes.
func TestARefusalBecauseOfChangedRulesWaitsForTheLoad(t *testing.T) {
	t.Parallel()
	for _, why := range []rules.Reason{rules.RuleChanged, rules.LapsedRule, rules.LapsedExempt} {
		for _, loads := range []bool{true, false} {
			l := &lane{set: setOf(t, orphan)}
			l.judge(t, joins(1, 0))
			l.judge(t, rules.Input{ID: "wake", At: nine.Add(2 * time.Minute)})
			refused := &rules.StepResult{Decision: l.decisions[0].ID, Result: events.Lapsed, Why: why}
			l.judge(t, rules.Input{ID: "outcome", At: nine.Add(121 * time.Second), Outcome: refused})
			want := rules.Decision{Occasion: "join-1", Attempt: 2, AsOf: nine.Add(131 * time.Second)}
			if loads {
				changed := setOf(t, strings.Replace(orphan, "for: 2m", "for: 3m", 1))
				in := rules.Input{ID: "load", At: nine.Add(122 * time.Second), Loaded: rules.LoadOf(l.set, changed)}
				l.set = changed
				l.judge(t, in)
				want = rules.Decision{Occasion: "load", Attempt: 1, AsOf: nine.Add(302 * time.Second)}
			}
			l.judge(t, rules.Input{ID: "wake", At: nine.Add(10 * time.Minute)})
			if len(l.decisions) != 2 {
				t.Errorf("%s, load %t: decided %d times, want 2", why, loads, len(l.decisions))
				continue
			}
			d := l.decisions[1]
			if d.Occasion != want.Occasion || d.Attempt != want.Attempt || !d.AsOf.Equal(want.AsOf) || d.Verdict != rules.Act {
				t.Errorf("%s, load %t: decided %s of %s, attempt %d, at %s", why, loads, d.Verdict, d.Occasion, d.Attempt, d.AsOf)
			}
		}
	}
}

// The performer may meet quiet hours that began after the decision. The ladder begins at its first step
// when they are over.
func TestASkipInQuietHoursReturnsWhenTheyAreOver(t *testing.T) {
	t.Parallel()
	hours := `quiet_hours: {tz: UTC, from: "09:02", to: "10:00"}` + "\n"
	for name, c := range map[string]struct {
		text string
		want time.Duration
	}{
		"as the lane has them":    {hours + strings.Replace(orphan, "2m", "119s", 1), time.Hour},
		"the lane has none (yet)": {strings.Replace(orphan, "2m", "119s", 1), 130 * time.Second},
	} {
		l := &lane{set: setOf(t, c.text)}
		l.judge(t, joins(1, 0))
		l.judge(t, rules.Input{ID: "wake", At: nine.Add(119 * time.Second)})
		skipped := &rules.StepResult{Decision: l.decisions[0].ID, Result: events.Skipped, Why: rules.HeldBack}
		l.judge(t, rules.Input{ID: "outcome", At: nine.Add(2 * time.Minute), Outcome: skipped})
		l.judge(t, rules.Input{ID: "wake", At: nine.Add(2 * time.Hour)})
		if len(l.decisions) != 2 || !l.decisions[1].AsOf.Equal(nine.Add(c.want)) || l.decisions[1].Verdict != rules.Act {
			t.Errorf("%s: decided %+v", name, l.decisions)
		}
	}
}

// Of a step that is decided again for several legs, those are left out for whom it was done.
func TestAStepThatIsDecidedAgainLeavesOutWhatWasDone(t *testing.T) {
	t.Parallel()
	l := &lane{set: setOf(t, `rules: [{name: greet, mode: live, when: size(conference.live) == 2, do: [announce: {say: hello, target: "true"}]}]`)}
	l.judge(t, joins(1, 0))
	l.judge(t, joins(2, 1))
	for i, o := range []events.Outcome{{Result: events.Done}, {Result: events.Lapsed, Why: string(rules.RuleChanged)}} {
		d := l.decisions[i]
		o.At = nine.Add(2 * time.Second)
		a := events.Action{
			ID: d.ID, Do: events.DoAnnounce, AccountSid: d.AccountSid, ConferenceSid: d.ConferenceSid, CallSid: d.CallSid,
			Actor: events.Actor{Rule: "greet"}, At: d.AsOf,
		}
		e, err := events.Parse(events.NewOutcome(a, o))
		if err != nil {
			t.Fatal(err)
		}
		if l.record, _, err = projections.Fold(l.record, &e); err != nil {
			t.Fatal(err)
		}
		in, relevant := rules.InputOf(&e, true)
		if !relevant {
			t.Fatal("an outcome is not judged")
		}
		l.judge(t, in)
	}
	l.judge(t, rules.Input{ID: "wake", At: nine.Add(time.Minute)})
	if len(l.decisions) != 3 || l.decisions[2].CallSid != l.decisions[1].CallSid {
		t.Errorf("decided %+v", l.decisions)
	}
}

// A leg is a subject for the last time at its leave event, even if its condition held until then.
func TestNothingIsKeptOfALegThatLeft(t *testing.T) {
	t.Parallel()
	l := &lane{set: setOf(t, `rules: [{name: key, each: participant, when: participant.start_conference_on_enter, for: 1h, do: [publish: {subject: floor.key}]}]`)}
	l.judge(t, joins(1, 0))
	l.judge(t, joins(2, 10))
	l.judge(t, leaves(1, 20))
	again := joins(2, 30) // another event of the other leg
	again.Fact.ID, again.Fact.Kind, again.Fact.SequenceNumber = "mute-2", events.ParticipantMute, 200
	l.judge(t, again)
	if all := l.state.Deadlines(); len(all) != 1 || all[0].CallSid != again.Fact.CallSid {
		t.Errorf("armed are %v", all)
	}
}

func TestAnExpressionWithoutAValueIsReportedAndDoesNotAct(t *testing.T) {
	t.Parallel()
	l := &lane{set: setOf(t, `rules:
  - {name: when, mode: live, when: int(conference.friendly_name) > 1, do: [end: {}]}
  - {name: unless, mode: live, when: size(conference.live) == 1, unless: int(conference.friendly_name) > 1, do: [end: {}]}
  - {name: say, mode: live, when: size(conference.live) == 1, do: [announce: {say: "${int(conference.friendly_name)}"}]}
`)}
	in := joins(1, 0)
	after, _, err := projections.Fold(nil, in.Fact)
	if err != nil {
		t.Fatal(err)
	}
	j := rules.Judge(l.set, nil, nil, in, after)
	var reported []string
	for _, f := range j.Faults {
		reported = append(reported, f.Rule+": "+f.In)
		if !errors.Is(f.Err, condition.ErrNoValue) {
			t.Errorf("%s: %v", f.Rule, f.Err)
		}
	}
	if diff := cmp.Diff([]string{"when: when", "unless: unless", "say: parameters"}, reported); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
	if len(j.Decisions) != 1 || j.Decisions[0].Verdict != rules.Refused || j.Decisions[0].Reason != rules.Unevaluated {
		t.Errorf("decisions: %+v", j.Decisions)
	}
}

func TestTheNumberOfStretchesIsBounded(t *testing.T) {
	t.Parallel()
	text := "rules:\n"
	for i := range 5 {
		text += fmt.Sprintf("  - {name: r%d, each: participant, when: participant.live, for: 1h, do: [publish: {subject: floor.r}]}\n", i)
	}
	l := &lane{set: setOf(t, text)}
	for leg := range 249 {
		after, _, err := projections.Fold(l.record, joins(leg, 0).Fact)
		if err != nil {
			t.Fatal(err)
		}
		l.record = after
	}
	last := joins(249, 0)
	last.Loaded = &rules.Load{Changed: []string{"r0", "r1", "r2", "r3", "r4"}}
	l.judge(t, last)
	if !l.state.Truncated || len(l.state.Stretches) != rules.MaxStretches {
		t.Errorf("%d stretches, truncated %v; want %d of the 1,250", len(l.state.Stretches), l.state.Truncated, rules.MaxStretches)
	}
}

// The state of a rule that the set no longer has leads to no decision.
func TestTheStateOfARemovedRuleIsDropped(t *testing.T) {
	t.Parallel()
	l := &lane{set: setOf(t, orphan)}
	l.judge(t, joins(1, 0))
	l.set = setOf(t, `rules: [{name: other, mode: "off", when: size(conference.live) == 1, do: [end: {}]}]`)
	l.judge(t, rules.Input{At: nine.Add(time.Hour)})
	if len(l.decisions) > 0 || len(l.state.Deadlines()) > 0 {
		t.Errorf("decided %v, keeps %v", l.decisions, l.state.Deadlines())
	}
}

func TestTheNumberOfLaddersIsBounded(t *testing.T) {
	t.Parallel()
	l := &lane{set: setOf(t, `rules:
  - {name: busy, mode: live, when: event.kind == "participant-join", do: [{announce: {say: hello}}, {publish: {subject: floor.busy}}]}`)}
	for leg := range rules.MaxLadders + 1 {
		l.judge(t, joins(leg, leg))
	}
	if !l.state.Truncated || len(l.state.Ladders) != rules.MaxLadders {
		t.Errorf("%d ladders, truncated %v", len(l.state.Ladders), l.state.Truncated)
	}
}

func TestChangedNamesWhatDiffers(t *testing.T) {
	t.Parallel()
	before := setOf(t, `rules:
  - {name: same, when: "true", do: [end: {}]}
  - {name: other, when: "true", do: [end: {}]}
  - {name: gone, when: "true", do: [end: {}]}`)
	after := setOf(t, `rules:
  - {name: fresh, when: "true", do: [end: {}]}
  - {name: other, when: "false", do: [end: {}]}
  - {name: same, when: "true", do: [end: {}]}`)
	if diff := cmp.Diff([]string{"fresh", "gone", "other"}, rules.Changed(before, after)); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"fresh", "other", "same"}, rules.Changed(nil, after)); diff != "" {
		t.Errorf("of nothing (-want +got):\n%s", diff)
	}
}

func TestACountDecidesOnceAndCountsAMatchOnce(t *testing.T) {
	t.Parallel()
	set := setOf(t, `rules:
  - {name: storm, mode: live, when: 'event.kind == "participant-join"', count: {by: account, within: 1m, at_least: 2},
     do: [{publish: {subject: floor.storm}}, {publish: {subject: floor.again}}]}`)
	match := func(id string, seconds int) rules.Decision {
		return rules.Decision{
			ID: id, Rule: "storm", By: "x", AsOf: nine.Add(time.Duration(seconds) * time.Second), Verdict: rules.Match,
			Then: []rules.Decision{{Rule: "storm", ConferenceSid: "CF1", Step: 1}, {Rule: "storm", ConferenceSid: "CF1", Step: 2}},
		}
	}
	var tally rules.Tally
	for i, step := range []struct {
		match rules.Decision
		want  string // occasion of what is decided
	}{
		{match("a", 0), ""},
		{match("a", 0), ""}, // the same match after a crash
		{match("b", 60), ""},
		{match("c", 90), "c"},
		{match("d", 100), ""}, // the same storm
		{match("e", 300), ""},
		{match("f", 301), "f"},
	} {
		var decisions []rules.Decision
		tally, decisions = rules.JudgeCount(set, tally, step.match)
		switch {
		case step.want == "" && len(decisions) != 0:
			t.Errorf("match %d: decided %+v", i, decisions)
		case step.want == "":
		case len(decisions) != 2 || decisions[0].Occasion != step.want || decisions[0].ConferenceSid != "" || decisions[0].ID == decisions[1].ID:
			t.Errorf("match %d: decided %+v", i, decisions)
		}
	}
}
