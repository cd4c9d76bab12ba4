package rules_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"gavel/events"
	"gavel/projections"
	"gavel/rules"
)

// full is a set of so many rules that twelve legs find no room in the state. Conditions repeat, one has errors,
// and one reads the time.
func full() string {
	conditions := []string{
		`when: '!participant.hold && conference.live.exists(p, p.label.like("agent-*"))'`,
		`when: 'participant.muted || size(conference.live) > 9'`,
		`when: 'size(conference.live) > 9', unless: 'participant.hold'`,
		`when: 'conference.live[size(conference.live) - 12].muted || !participant.hold'`,
		`when: 'size(conference.live) > 9', unless: 'held_for(participant) > duration("15s")'`,
	}
	var text strings.Builder
	text.WriteString("rules:\n")
	for i := range rules.MaxStretches / 6 {
		mode := []string{"live", "shadow"}[i/len(conditions)%2]
		fmt.Fprintf(&text, "  - {name: r%03d, mode: %s, each: participant, %s, for: 10s, do: [publish: {subject: floor.r}]}\n", i, mode, conditions[i%len(conditions)])
	}
	return text.String()
}

// A rule is skipped in a full state only if judging it would change nothing, report nothing and decide nothing.
func TestWhatIsSkippedInAFullStateChangesNothing(t *testing.T) {
	t.Parallel()
	set := setOf(t, full())
	skipped := 0
	var full *projections.Conference
	for leg := range 12 {
		full = foldedLeg(t, full, joins(leg, 0).Fact)
	}
	begun := rules.Judge(set, nil, full, rules.Input{ID: "load", At: nine, Loaded: rules.LoadOf(nil, set)}, full).State
	record, state := full, begun
	number := 300
	for _, kind := range []events.Kind{events.ParticipantHold, events.ParticipantMute, events.ParticipantLeave, events.ParticipantJoin} {
		for _, leg := range []int{1, 3, 9} {
			in := joins(leg, 0)
			e := *in.Fact
			number++
			e.Kind, e.ID, e.SequenceNumber = kind, fmt.Sprintf("e%d", number), int64(number)
			e.Params = append(slices.Clone(e.Params), events.Param{Name: "Hold", Value: fmt.Sprint(kind != events.ParticipantJoin)})
			in.ID, in.Fact = e.ID, withLabel(e)
			after := foldedLeg(t, record, in.Fact)
			state = rules.Judge(set, state, record, in, after).State
			idle, changed := rules.IdleThatChange(set, state, record, in, after)
			if skipped += idle; len(changed) > 0 {
				t.Errorf("after %s of leg %d, rules are skipped that are not idle: %v", kind, leg, changed)
			}
			record = after
		}
	}
	if skipped == 0 {
		t.Error("no rule was ever skipped")
	}
}
