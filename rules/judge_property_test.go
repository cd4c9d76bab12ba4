package rules_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"gavel/events"
	"gavel/projections"
	"gavel/rules"
)

// everything is a set whose rules use each feature of rules at least once.
const everything = `
exempt: {labels: ["ceo*"]}
rules:
  - {name: alone, mode: live, when: size(conference.live) == 1, for: 20s, again: 1m,
     do: [{announce: {say: hello}}, {wait: 10s}, {end: {}}]}
  - {name: held, mode: live, each: participant, when: 'held_for(participant) > duration("15s")', for: 5s,
     do: [{unhold: {}, on_failure: continue}, {publish: {subject: floor.held}}]}
  - {name: muted, mode: live, each: participant, when: participant.muted, for: 3s, do: [{publish: {subject: floor.muted}}]}
  - {name: moderator, mode: shadow, when: 'waiting_for_moderator(conference) >= duration("40s")',
     do: [{publish: {subject: floor.moderator}}, {wait: 5s}, {end: {}}]}
  - {name: long, mode: live, when: 'duration(conference) > duration("90s")', unless: size(conference.live) > 2,
     do: [{kick: {target: participant.muted}}, {publish: {subject: floor.long}}]}
  - {name: left, mode: live, when: 'event.kind == "participant-leave"',
     do: [{announce: {say: bye}}, {publish: {subject: floor.left}}]}
  - {name: counted, mode: live, when: 'event.kind == "participant-hold"',
     count: {by: account, within: 1m, at_least: 2}, do: [{publish: {subject: floor.counted}}]}
`

// lane is a conference whose entries are judged one after the other, as the projector does.
type lane struct {
	set       *rules.Set
	sets      []*rules.Set // that a journal may load
	record    *projections.Conference
	state     *rules.State
	decisions []rules.Decision
	wake      time.Time
}

func (l *lane) judge(t fatal, in rules.Input) {
	t.Helper()
	before := l.record
	if in.Fact != nil {
		after, fresh, err := projections.Fold(before, in.Fact)
		if err != nil {
			t.Fatalf("fold: %v", err)
		}
		if l.record = after; !fresh {
			in.Fact = nil
		}
	}
	was := encode(t, l.state)
	j := rules.Judge(l.set, l.state, before, in, l.record)
	if is := encode(t, l.state); is != was {
		t.Fatalf("Judge changed the state it was given:\n%s", cmp.Diff(was, is))
	}
	l.state = j.State
	l.decisions = append(l.decisions, j.Decisions...)
	if !j.Wake.IsZero() {
		l.wake = j.Wake
	}
	for _, f := range j.Faults {
		t.Fatalf("rule %s: %s: %v", f.Rule, f.In, f.Err)
	}
}

// fatal is what *testing.T and *rapid.T have in common.
type fatal interface {
	Helper()
	Fatalf(format string, args ...any)
}

func encode(t fatal, v any) string {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatalf("encode: %v", err)
	}
	return string(b)
}

// journal draws a lane of one conference: events of three legs with duplicates and late facts,
// exemptions, loads and results of decisions. A result refers to a decision by its distance from
// the newest, because drawing precedes judging.
func journal(t *rapid.T) []entry {
	var all []entry
	var facts []*events.Event
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	for i := range rapid.IntRange(1, 40).Draw(t, "entries") {
		now = now.Add(time.Duration(rapid.IntRange(0, 25_000).Draw(t, "gap")) * time.Millisecond)
		in := rules.Input{ID: fmt.Sprintf("entry-%d", i), At: now}
		e := entry{Input: in, outcome: -1}
		switch kind := rapid.IntRange(0, 12).Draw(t, "what"); kind {
		case 10, 11, 12:
			e.outcome = rapid.IntRange(0, 2).Draw(t, "which")
			e.result = rapid.SampledFrom([]events.Result{events.Done, events.Failed, events.Failed, events.Stale, events.Lapsed}).Draw(t, "result")
		case 1:
			e.Exemption = &rules.ExemptUntil{
				Rule:  rapid.SampledFrom([]string{"", "alone", "held", "nobody"}).Draw(t, "rule"),
				Until: now.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "for")) * time.Second),
			}
		case 2:
			e.Reread = true
		case 3:
			e.load = rapid.IntRange(1, len(loads)+1).Draw(t, "load")
		default:
			e.Fact = fact(t, int64(i), now)
			if kind == 4 && len(facts) > 0 {
				double := *rapid.SampledFrom(facts).Draw(t, "double")
				double.ReceivedAt = now
				e.Fact = &double
			}
			e.ID, facts = e.Fact.ID, append(facts, e.Fact)
		}
		all = append(all, e)
	}
	return all
}

type entry struct {
	rules.Input
	load    int // of the lane's sets, from 1; 0 is none
	outcome int
	result  events.Result
}

// judgeAll judges a journal.
func judgeAll(t fatal, l *lane, all []entry) {
	t.Helper()
	for _, e := range all {
		judgeEntry(t, l, e)
	}
}

// judgeEntry judges one entry, and returns it as it was judged.
func judgeEntry(t fatal, l *lane, e entry) entry {
	t.Helper()
	if e.outcome >= 0 {
		e.Outcome = &rules.StepResult{Decision: "unknown", Result: e.result}
		if e.result == events.Lapsed {
			e.Outcome.Why = rules.RuleChanged
		}
		if n := len(l.decisions); n > 0 {
			e.Outcome.Decision = l.decisions[max(0, n-1-e.outcome)].ID
		}
		e.outcome = -1
	}
	if e.load > 0 {
		next := l.sets[e.load-1]
		l.judge(t, rules.Input{ID: e.ID, At: e.At}) // deadlines before the load are those of the set before
		e.Loaded, l.set = rules.LoadOf(l.set, next), next
	}
	l.judge(t, e.Input)
	return e
}

func fact(t *rapid.T, number int64, now time.Time) *events.Event {
	kind := rapid.SampledFrom([]events.Kind{
		events.ParticipantJoin, events.ParticipantJoin, events.ParticipantLeave, events.ParticipantHold,
		events.ParticipantUnhold, events.ParticipantMute, events.ConferenceEnd,
	}).Draw(t, "kind")
	leg := rapid.IntRange(1, 3).Draw(t, "leg")
	number = 100 + 10*number - int64(rapid.SampledFrom([]int{0, 0, 0, 0, 15, 52}).Draw(t, "late"))
	e := &events.Event{
		ID: fmt.Sprintf("%d-%s-%d", number, kind, leg), Kind: kind, Source: events.SourceCallback,
		AccountSid: "AC00000000000000000000000000000001", ConferenceSid: "CF00000000000000000000000000000001",
		SequenceNumber: number, ReceivedAt: now,
		OccurredAt: now.Add(-time.Duration(rapid.SampledFrom([]int{0, 1, 400, -90}).Draw(t, "age")) * time.Second).Truncate(time.Second),
		Params:     events.Params{{Name: "FriendlyName", Value: "room"}, {Name: "Muted", Value: fmt.Sprint(kind == events.ParticipantMute || leg == 2)}, {Name: "StartConferenceOnEnter", Value: fmt.Sprint(leg == 3)}},
	}
	if kind != events.ConferenceEnd {
		e.CallSid = fmt.Sprintf("CA%032x", leg)
	}
	return e
}

// loads are what other sets have instead: rules that are off, absent, or of another version.
var loads = [][]string{
	{"{name: alone, mode: live", `{name: alone, mode: "off"`, "{name: left, mode: live", `{name: left, mode: "off"`},
	{"{name: held,", "{name: other,", "duration(\"90s\")", "duration(\"70s\")"},
	{"for: 20s", "for: 25s", "exempt: ", "# exempt: "},
}

func everythingSet(t *testing.T) *rules.Set {
	t.Helper()
	return setOf(t, everything)
}

// laneOf returns a lane that begins with the rules of text, whose journal may load others.
func laneOf(t *testing.T, text string) func() *lane {
	t.Helper()
	sets := []*rules.Set{setOf(t, text)}
	for _, instead := range loads {
		sets = append(sets, setOf(t, strings.NewReplacer(instead...).Replace(text)))
	}
	return func() *lane { return &lane{set: sets[0], sets: sets} }
}

// withoutExempt is the same without its exemption, under which each leg
// affects all subjects.
var withoutExempt = strings.Replace(everything, "exempt: ", "# exempt: ", 1)

// reloaded encodes and decodes a state, and fails if that changes it.
func reloaded(t fatal, s *rules.State) *rules.State {
	t.Helper()
	raw, err := rules.EncodeState(s)
	if err != nil {
		t.Fatalf("encode: %v", err)
	}
	kept, err := rules.DecodeState(raw)
	if err != nil {
		t.Fatalf("decode: %v", err)
	}
	if diff := cmp.Diff(encode(t, s), encode(t, kept)); diff != "" {
		t.Fatalf("decoded differently than encoded:\n%s", diff)
	}
	return kept
}

func TestTheSameJournalGivesTheSameDecisions(t *testing.T) {
	t.Parallel()
	newLane := laneOf(t, everything)
	rapid.Check(t, func(t *rapid.T) {
		all := journal(t)
		first, second := newLane(), newLane()
		judgeAll(t, first, all)
		for _, e := range all {
			second.state = reloaded(t, second.state)
			judgeEntry(t, second, e)
		}
		if diff := cmp.Diff(encode(t, first.state), encode(t, second.state)); diff != "" {
			t.Fatalf("the states differ:\n%s", diff)
		}
		if diff := cmp.Diff(encode(t, first.decisions), encode(t, second.decisions)); diff != "" {
			t.Fatalf("the decisions differ:\n%s", diff)
		}
	})
}

// Judge evaluates a rule only after events that may have changed its condition.
// That must not miss anything.
func TestSkippingUnaffectedRulesMissesNothing(t *testing.T) {
	t.Parallel()
	newLanes := []func() *lane{laneOf(t, everything), laneOf(t, withoutExempt)}
	rapid.Check(t, func(t *rapid.T) {
		newLane := newLanes[rapid.IntRange(0, 1).Draw(t, "set")]
		seldom, always := newLane(), newLane()
		always.set, always.sets = rules.JudgedAlways(always.set), slices.Clone(always.sets)
		for i, set := range always.sets {
			always.sets[i] = rules.JudgedAlways(set)
		}
		for _, e := range journal(t) {
			judgeEntry(t, always, judgeEntry(t, seldom, e))
		}
		if diff := cmp.Diff(encode(t, always.state), encode(t, seldom.state)); diff != "" {
			t.Fatalf("the states differ (-always +seldom):\n%s", diff)
		}
		if diff := cmp.Diff(encode(t, always.decisions), encode(t, seldom.decisions)); diff != "" {
			t.Fatalf("the decisions differ (-always +seldom):\n%s", diff)
		}
	})
}

// withoutAlarm returns the state without its alarm, nil if nothing else is left.
func withoutAlarm(s *rules.State) *rules.State {
	if s == nil {
		return nil
	}
	c := *s
	c.Alarm = time.Time{}
	if raw, err := rules.EncodeState(&c); err != nil || raw == nil {
		return nil
	}
	return &c
}

// A wake-up only moves the time forward: it may come late, often, or never.
func TestWakeUpsDoNotChangeDecisions(t *testing.T) {
	t.Parallel()
	newLane := laneOf(t, everything)
	rapid.Check(t, func(t *rapid.T) {
		all := journal(t)
		plain, woken := newLane(), newLane()
		for i, e := range all {
			all[i] = judgeEntry(t, plain, e)
		}
		for i, e := range all {
			judgeEntry(t, woken, e)
			if i+1 == len(all) {
				break
			}
			for range rapid.IntRange(0, 2).Draw(t, "wake-ups") {
				gap := all[i+1].At.Sub(e.At)
				at := e.At.Add(time.Duration(rapid.Int64Range(0, int64(gap)).Draw(t, "at")))
				woken.wake = time.Time{}
				woken.judge(t, rules.Input{ID: "wake", At: at})
				if next := woken.state.Deadlines(); len(next) > 0 && !woken.wake.Equal(next[0].Due) {
					t.Fatalf("the wake-up set the alarm to %v, but the earliest deadline is at %v", woken.wake, next[0].Due)
				}
			}
		}
		if diff := cmp.Diff(encode(t, withoutAlarm(plain.state)), encode(t, withoutAlarm(woken.state))); diff != "" {
			t.Fatalf("the states differ (-plain +woken):\n%s", diff)
		}
		if diff := cmp.Diff(encode(t, plain.decisions), encode(t, woken.decisions)); diff != "" {
			t.Fatalf("the decisions differ (-plain +woken):\n%s", diff)
		}
	})
}

// An id names one decision, and the performer gets each decision once.
func TestNoDecisionIsMadeTwice(t *testing.T) {
	t.Parallel()
	newLane := laneOf(t, everything)
	rapid.Check(t, func(t *rapid.T) {
		l := newLane()
		judgeAll(t, l, journal(t))
		type step struct {
			rule, subject, leg, occasion string
			attempt, step                int
		}
		ids, steps := map[string]bool{}, map[step]bool{}
		for _, d := range l.decisions {
			s := step{d.Rule, d.Subject, d.CallSid, d.Occasion, d.Attempt, d.Step}
			if ids[d.ID] || steps[s] {
				t.Fatalf("decided twice: %s", encode(t, d))
			}
			ids[d.ID], steps[s] = true, true
		}
	})
}

// The conference's own time passes no deadline without judging it, and the
// alarm is never later than the earliest deadline.
func TestNoDeadlineStaysOverdue(t *testing.T) {
	t.Parallel()
	newLane := laneOf(t, everything)
	rapid.Check(t, func(t *rapid.T) {
		l := newLane()
		for _, e := range journal(t) {
			judgeEntry(t, l, e)
			armed := l.state.Deadlines()
			if l.record == nil || len(armed) == 0 {
				continue
			}
			if !l.state.Next().Equal(armed[0].Due) {
				t.Fatalf("next is %v, the earliest deadline %v", l.state.Next(), armed[0])
			}
			if !armed[0].Due.After(l.state.Now) {
				t.Fatalf("%v is overdue at %v", armed[0], l.state.Now)
			}
			if l.state.Alarm.IsZero() || l.state.Alarm.After(armed[0].Due) {
				t.Fatalf("the alarm is set for %v, the earliest deadline is at %v", l.state.Alarm, armed[0].Due)
			}
			if !slices.IsSortedFunc(armed, func(a, b rules.Deadline) int { return a.Due.Compare(b.Due) }) {
				t.Fatalf("deadlines are out of order: %v", armed)
			}
		}
	})
}
