package condition_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"gavel/rules/condition"
)

func TestExpressionsInATextAreReplaced(t *testing.T) {
	t.Parallel()
	vars := sample(t)
	for text, want := range map[string]string{
		`Are you still there?`: `Are you still there?`,
		``:                     ``,
		`Room ${conference.friendly_name} has ${size(conference.live)} left`: `Room support-7 has 1 left`,
		`${participant.hold}`:                                            `true`,
		`${{"a": "}"}["a"]}${'}'}`:                                       `}}`,
		`costs $5, $${not.this} and ${"\""}`:                             `costs $5, ${not.this} and "`,
		`alone for ${alone_for(conference)}`:                             `alone for 30s`,
		`since ${now - conference.created}`:                              `since 180s`,
		`ended at ${conference.ended}.`:                                  `ended at .`,
		`${string(conference.ended) + "|" + string(conference.started)}`: `|2026-11-02T10:00:30Z`,
		`${conference.live.map(p, string(p.left)).join(",")}`:            ``,
		`it is ${now}`: `it is 2026-11-02T10:03:00Z`,
		`${conference.friendly_name.upperAscii()}`: `SUPPORT-7`,
	} {
		x, faults := condition.CompileText(text)
		if faults != nil {
			t.Errorf("%s: %v", text, faults)
			continue
		}
		if got, err := x.Text(vars); err != nil || got != want {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
}

func TestATextWithoutExpressionsIsConstant(t *testing.T) {
	t.Parallel()
	for text, constant := range map[string]bool{"Hello": true, "$${x}": true, "": true, "${account}": false} {
		x, faults := condition.CompileText(text)
		if faults != nil {
			t.Fatal(faults)
		}
		if _, got := x.Constant(); got != constant {
			t.Errorf("%q is constant: %v", text, got)
		}
	}
}

func TestFaultsInATextHaveTheirPlaceInTheWholeText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]condition.Fault{
		`Hello ${conferenc.sid} and ${acount}`: {
			{1, 8, "undeclared reference to 'conferenc' (did you mean 'conference'?)", 0}, {1, 29, "undeclared reference to 'acount' (did you mean 'account'?)", 0},
		},
		"Guten Tag, Frau Müller,\n${conference.live}": {{2, 2, "a list(Participant) is not a text", 0}},
		`Hello ${account`: {{1, 6, "${ is never closed; write $${ for the characters themselves", 0}},
		`${}`:             {{1, 3, "Syntax error: mismatched input '<EOF>'", 0}},
	} {
		_, faults := condition.CompileText(text)
		if diff := cmp.Diff(want, faults); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

// FuzzCompileText searches for texts that make the compiler panic, for faults
// without a place, and for constant texts that compile but cannot be evaluated.
func FuzzCompileText(f *testing.F) {
	f.Add("Room ${conference.friendly_name} has $${ ${size(conference.live)} }")
	f.Add("${{'a': '}'}['a']}")
	f.Add("${held_for(participant) > duration('2m') ? '\\'' : \"${\"}")
	f.Fuzz(func(t *testing.T, text string) {
		x, faults := condition.CompileText(text)
		if (x == nil) == (faults == nil) {
			t.Fatalf("%v and %v", x, faults)
		}
		for _, fault := range faults {
			if fault.Line < 1 || fault.Column < 0 || fault.Message == "" {
				t.Errorf("a fault is at %d:%d: %q", fault.Line, fault.Column, fault.Message)
			}
		}
		if x == nil {
			return
		}
		constant, ok := x.Constant()
		if got, err := x.Text(condition.Vars{}); ok && (err != nil || got != constant) {
			t.Errorf("the constant %q evaluates to %q, %v", constant, got, err)
		}
	})
}
