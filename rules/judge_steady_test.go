package rules_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"gavel/events"
	"gavel/projections"
	"gavel/rules"
)

// crowd is a set whose rules for each participant also read the conference. Two conditions are in
// two rules each.
const crowd = `
exempt: {labels: ["ceo*"]}
rules:
  - {name: alone, mode: live, each: participant, when: '!participant.hold && conference.live.exists(p, p.label.like("agent-*"))',
     do: [{mute: {}}]}
  - {name: held, mode: live, each: participant, when: '!participant.hold && conference.live.exists(p, p.label.like("agent-*"))',
     for: 5s, do: [{publish: {subject: floor.held}}]}
  - {name: muted, mode: live, each: participant, when: 'participant.muted && conference.live.exists(p, p.hold && p.call_sid != participant.call_sid)',
     unless: 'conference.live.exists(p, p.muted && p.label == "agent-3")', do: [{publish: {subject: floor.muted}}]}
  - {name: waits, mode: live, each: participant, when: 'participant.label.like("guest-*") && waiting_for_moderator(conference, "agent-*") >= duration("30s")',
     do: [{publish: {subject: floor.waits}}]}
  - {name: both, mode: live, each: participant, when: 'held_for(participant) > duration("15s") && size(conference.live) > 9',
     unless: 'size(conference.live.filter(p, p.hold)) == 2', do: [{unhold: {}}]}
  - {name: few, each: participant, when: 'size(conference.live) < 9 || participant in conference.live.filter(p, p.muted)',
     do: [{publish: {subject: floor.few}}]}
  - {name: few-again, each: participant, when: 'size(conference.live) < 9 || participant in conference.live.filter(p, p.muted)',
     for: 10s, do: [{publish: {subject: floor.few}}]}
`

// Judge skips legs that an event did not change if it changed nothing else that the condition reads,
// and rules whose condition holds for none. In a room with many legs that must not miss anything.
func TestSkippingLegsMissesNothing(t *testing.T) {
	t.Parallel()
	newLanes := []func() *lane{laneOf(t, crowd), laneOf(t, strings.Replace(crowd, "exempt: ", "# exempt: ", 1))}
	rapid.Check(t, func(t *rapid.T) {
		newLane := newLanes[rapid.IntRange(0, 1).Draw(t, "set")]
		seldom, always := newLane(), newLane()
		always.set, always.sets = rules.JudgedAlways(always.set), slices.Clone(always.sets)
		for i, set := range always.sets {
			always.sets[i] = rules.JudgedAlways(set)
		}
		for _, e := range append(crowded(), journal(t)...) {
			if e.Fact != nil && e.Fact.CallSid != "" {
				e.Fact = withLabel(*e.Fact)
			}
			judgeEntry(t, always, judgeEntry(t, seldom, e))
			if diff := cmp.Diff(encode(t, always.state), encode(t, seldom.state)); diff != "" {
				t.Fatalf("the states differ after %s (-always +seldom):\n%s", e.ID, diff)
			}
		}
		if diff := cmp.Diff(encode(t, always.decisions), encode(t, seldom.decisions)); diff != "" {
			t.Fatalf("the decisions differ (-always +seldom):\n%s", diff)
		}
	})
}

// crowded are nine joins before a journal.
func crowded() (all []entry) {
	for leg := range 9 {
		in := joins(leg+10, 0)
		in.At = nine.AddDate(0, -1, 0)
		e := *in.Fact
		e.ReceivedAt, e.OccurredAt = in.At, in.At
		in.Fact = &e
		all = append(all, entry{Input: in, outcome: -1})
	}
	return all
}

// withLabel returns an event with a label for its leg: one leg is an agent, one is exempt.
func withLabel(e events.Event) *events.Event {
	label := "guest-" + e.CallSid[len(e.CallSid)-1:]
	switch e.CallSid[len(e.CallSid)-2:] {
	case "03":
		label = "agent-3"
	case "02":
		label = "ceo-2"
	}
	e.Params = append(slices.Clone(e.Params), events.Param{Name: "ParticipantLabel", Value: label})
	return &e
}

// A state that was full has forgotten what found no room. It is judged as soon as there is room.
func TestWhatFoundNoRoomBeginsWhenThereIsRoom(t *testing.T) {
	t.Parallel()
	text := "rules:\n"
	var names []string
	for i := range 5 {
		names = append(names, fmt.Sprintf("r%d", i))
		text += fmt.Sprintf("  - {name: r%d, each: participant, when: '!participant.hold && size(conference.live) > 9', for: 1h, do: [publish: {subject: floor.r}]}\n", i)
	}
	l := &lane{set: setOf(t, text)}
	for leg := range 250 {
		l.record = foldedLeg(t, l.record, joins(leg, 0).Fact)
	}
	l.judge(t, rules.Input{ID: "load", At: nine, Loaded: &rules.Load{Changed: names}})
	l.judge(t, holds(7, 300))
	cut := 0
	for _, s := range l.state.Stretches {
		if s.Rule == "r4" {
			cut++
		}
	}
	if len(l.state.Stretches) != rules.MaxStretches || cut != 4 {
		t.Errorf("%d stretches, %d of the last rule; want %d and 4", len(l.state.Stretches), cut, rules.MaxStretches)
	}
}

// holds is the event that puts a leg of joins on hold.
func holds(leg, number int) rules.Input {
	in := joins(leg, 0)
	e := *in.Fact
	e.ID, e.Kind, e.SequenceNumber = fmt.Sprintf("hold-%d", leg), events.ParticipantHold, int64(number)
	e.Params = append(slices.Clone(e.Params), events.Param{Name: "Hold", Value: "true"})
	in.ID, in.Fact = e.ID, &e
	return in
}

func foldedLeg(t fatal, record *projections.Conference, e *events.Event) *projections.Conference {
	t.Helper()
	after, _, err := projections.Fold(record, e)
	if err != nil {
		t.Fatalf("fold: %v", err)
	}
	return after
}
