package rules_test

import (
	"fmt"
	"strings"
	"testing"

	"gavel/rules"
)

// A missing time is less than every time in a condition, so an expression that reads one needs has().
func TestATimeThatMayBeMissingNeedsAGuard(t *testing.T) {
	t.Parallel()
	const late, soon = `timestamp("2026-11-22T09:00:00Z")`, `conference.created`
	for when, unguarded := range map[string]string{
		`conference.started < ` + late:                                                                             "conference.started",
		`has(conference.started) && conference.started < ` + late:                                                  "",
		`conference.started < ` + late + ` && has(conference.started)`:                                             "",
		`has(conference.started) && size(conference.live) == 1 && conference.started < ` + late:                    "",
		`has(conference.started) || conference.started < ` + late:                                                  "conference.started",
		`!has(conference.started) || conference.started < ` + late:                                                 "",
		`!(has(conference.started) && true) || conference.started < ` + late:                                       "",
		`has(conference.started) ? conference.started < ` + late + ` : false`:                                      "",
		`!has(conference.started) ? conference.started < ` + late + ` : false`:                                     "conference.started",
		`has(conference.ended) && conference.started < ` + late:                                                    "conference.started",
		`conference.participants.exists(p, p.left < ` + late + `)`:                                                 "p.left",
		`conference.participants.exists(p, has(p.left) && p.left < ` + late + `)`:                                  "",
		`conference.participants.map(p, has(p.left), p.left).exists(x, x < ` + late + `)`:                          "",
		`conference.created < ` + late + ` && conference.live.exists(p, p.joined > ` + soon + `)`:                  "",
		`event.occurred_at > conference.created`:                                                                   "event.occurred_at",
		`before.started == conference.started && has(conference.started) && has(before.started)`:                   "",
		`conference.recordings.all(r, r.duration < 3) && conference.started - conference.created > duration("1s")`: "conference.started",
	} {
		set, err := rules.Parse(rules.File{Name: "rules.yaml", Text: "rules: [{name: r, do: [publish: {subject: a.b}], when: '" + when + "'}]"})
		switch {
		case err != nil:
			t.Errorf("%s: %v", when, err)
		case unguarded == "" && len(set.Advice) > 0, unguarded != "" && (len(set.Advice) != 1 || !strings.Contains(set.Advice[0].Message, "warning: "+unguarded+" may be missing")):
			t.Errorf("%s: the advice is %v, want one about %q", when, set.Advice, unguarded)
		}
	}
}

// What a parameter computes from a time needs a guard in the rule's condition; what it only shows does not.
func TestAParameterMayShowAMissingTime(t *testing.T) {
	t.Parallel()
	for when, places := range map[string][]string{
		"conference.status == \"init\"": {"rules.yaml:5:85", "rules.yaml:6:13"},
		"has(conference.started)":       {"rules.yaml:6:13"},
	} {
		set := setOf(t, fmt.Sprintf(`rules:
  - name: r
    when: '%s'
    do:
      - publish: {subject: a.b, data: {at: "${conference.started}", for: "s ${now - conference.started}", text: "${string(conference.started)}"}}
    unless: conference.ended > conference.created
`, when))
		var got []string
		for _, a := range set.Advice {
			got = append(got, fmt.Sprintf("%s:%d:%d", a.File, a.Line, a.Column))
		}
		if fmt.Sprint(got) != fmt.Sprint(places) {
			t.Errorf("%s: advice at %v, want %v", when, got, places)
		}
	}
}
