package rules_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"gavel/rules"
	"gavel/rules/schema"
)

// refused returns the faults of a proposal, and checks that the same files stay in force with warnings.
func refused(t *testing.T, text string) schema.Faults {
	t.Helper()
	var faults schema.Faults
	file := rules.File{Name: "a.yaml", Text: text}
	if _, err := rules.Parse(file); !errors.As(err, &faults) {
		t.Fatalf("parsed with %v, want faults", err)
	}
	set, err := rules.ParseAccepted(file)
	if err != nil || len(set.Warnings) != len(faults) || set.Rules[0].When == nil {
		t.Errorf("a set in force has %v, %v; want the same as warnings", set, err)
	}
	return faults
}

func TestALoopThatReadsParticipantCountsForEachParticipant(t *testing.T) {
	t.Parallel()
	faults := refused(t, `
rules:
  - name: same-label
    each: participant
    when: |
      participant.live &&
      conference.live.exists(p, p.label == participant.label)
    do: [publish: {subject: floor.same}]
  - name: greeted
    when: size(conference.live) == 1
    do:
      - announce: {say: hello, target: 'conference.live.exists(p, p.label == participant.label)'}
`)
	if len(faults) != 2 || faults[0].Rule != "same-label" || faults[1].Rule != "greeted" {
		t.Fatalf("faults:\n%v", faults)
	}
	for i, want := range []string{"a.yaml:7:29: rule same-label: costs up to ", "a.yaml:12:63: rule greeted: costs up to "} {
		if got := faults[i].String(); !strings.HasPrefix(got, want) {
			t.Errorf("%s, want %s", got, want)
		}
	}
	for _, cheap := range []string{
		`!participant.hold && conference.live.exists(p, p.label.like("agent-*"))`,
		`participant.live && conference.live.exists(p, conference.live.exists(q, q.hold && p.hold))`,
		`conference.live.exists(p, p.hold && participant.muted)`,
		`conference.live.exists(p, p.call_sid != participant.call_sid)`,
		`participant in conference.live`,
	} {
		if _, err := rules.Parse(rules.File{Name: "a.yaml", Text: eachRule(0, cheap)}); err != nil {
			t.Errorf("%s: %v", cheap, err)
		}
	}
}

func TestTheCostOfTheWholeSetIsBounded(t *testing.T) {
	t.Parallel()
	all := func(n int, when func(i int) string) string {
		var text strings.Builder
		for i := range n {
			text.WriteString(eachRule(i, when(i)))
		}
		return text.String()
	}
	dear := func(i int) string {
		return fmt.Sprintf("participant.live && conference.live.exists(p, conference.live.exists(q, q.hold && p.hold && %d < 99))", i)
	}
	faults := refused(t, all(40, dear))
	want := "a.yaml:3:11: rule rule-0: all rules together cost up to "
	if len(faults) != 1 || !strings.HasPrefix(faults[0].String(), want) {
		t.Errorf("faults:\n%v\nwant %s", faults, want)
	}
	for name, text := range map[string]string{
		"the same part in each rule": all(200, func(int) string { return dear(1) }),
		"a part of its own in each": all(200, func(i int) string {
			return fmt.Sprintf(`!participant.hold && conference.live.exists(p, p.label.like("agent-%d-*"))`, i)
		}),
	} {
		if _, err := rules.Parse(rules.File{Name: "a.yaml", Text: text}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// eachRule is one rule for each participant, with the head of a file before the first one.
func eachRule(i int, when string) string {
	head := ""
	if i == 0 {
		head = "rules:\n"
	}
	return head + fmt.Sprintf("- {name: rule-%d, each: participant,\n   when: '%s',\n   do: [publish: {subject: floor.rule}]}\n", i, when)
}
