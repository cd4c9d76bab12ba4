package rules_test

import (
	"fmt"
	"time"

	"gavel/events"
	"gavel/projections"
	"gavel/rules"
)

// Judge evaluates the rules for each entry of a conference. The first entry begins
// the rule's two minutes; a wake-up when they are over leads to the decision.
func ExampleJudge() {
	set, err := rules.Parse(rules.File{
		Name: "rules.yaml",
		Text: `rules: [{name: orphan, mode: live, when: size(conference.live) == 1, for: 2m, do: [end: {}]}]`,
	})
	if err != nil {
		fmt.Println(err) // with the file, the line and what to write instead
		return
	}
	nine := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	join := &events.Event{
		ID: "join", Kind: events.ParticipantJoin, Source: events.SourceCallback,
		AccountSid: "AC25e16e9a716a4a8617a7c83f58e30482", ConferenceSid: "CFe08c870b500f6e44a9ad184defd1f391",
		CallSid: "CA25e16e9a716a4a1786a7c83f58e30482", SequenceNumber: 1, OccurredAt: nine, ReceivedAt: nine,
	}
	record, _, err := projections.Fold(nil, join)
	if err != nil {
		fmt.Println(err)
		return
	}

	j := rules.Judge(set, nil, nil, rules.Input{ID: join.ID, At: nine, Fact: join}, record)
	fmt.Println(len(j.Decisions), "decisions, wake it at", j.Wake.Format(time.TimeOnly))

	j = rules.Judge(set, j.State, record, rules.Input{At: j.Wake}, record)
	for _, d := range j.Decisions {
		fmt.Println(d.Rule, d.Verdict, d.Do, d.AsOf.Format(time.TimeOnly))
	}
	// Output:
	// 0 decisions, wake it at 09:02:00
	// orphan act end 09:02:00
}
