package rulestest_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gavel/rules"
	"gavel/rules/rulestest"
)

const lonely = `rules: [rules.yaml]
tests:
  - name: alone
    timeline:
      - {at: 0s, event: participant-join, label: customer}
`

const orphan = `rules: [{name: orphan, mode: live, when: size(conference.live) == 1, for: 2m, do: [end: {}]}]`

func runOrphan(t *testing.T, text string) []rulestest.Failure {
	t.Helper()
	tests, err := rulestest.Parse("orphan_test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	failures, err := tests.Run(t.Context(), func([]string) (*rules.Set, error) { return rules.Parse(rules.File{Name: "rules.yaml", Text: orphan}) })
	if err != nil {
		t.Fatal(err)
	}
	return failures
}

func TestAFailureNamesTheLineAndShowsTheDifference(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, expect string
		line         int
		table        []string
	}{
		{"as expected", "      - {at: 2m, rule: orphan, do: end, label: '-', verdict: act}", 0, nil},
		{"another moment", "      - {at: 1m, rule: orphan, do: end}\n      - {at: 2m, rule: orphan}", 7, []string{
			"      at    rule    do   conference  label  verdict",
			"    - 1m0s  orphan  end",
			"      2m0s  orphan  end  room        -      act",
		}},
		{"too many", "", 3, []string{
			"      at    rule    do   conference  label  verdict",
			"    + 2m0s  orphan  end  room        -      act",
		}},
		{"another verdict", "      - {at: 2m, rule: orphan, verdict: refused, reason: stale}", 7, []string{
			"      at    rule    do   conference  label  verdict",
			"    - 2m0s  orphan                          refused (stale)",
			"    + 2m0s  orphan  end  room        -      act",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			text := lonely
			if c.expect != "" {
				text += "    expect:\n" + c.expect + "\n"
			}
			failures := runOrphan(t, text)
			if c.line == 0 {
				if len(failures) > 0 {
					t.Errorf("failed:\n%s", failures[0])
				}
				return
			}
			if len(failures) != 1 || failures[0].File != "orphan_test.yaml" || failures[0].Line != c.line {
				t.Fatalf("failures %+v, want one in line %d", failures, c.line)
			}
			if diff := cmp.Diff(c.table, rows(failures[0].Difference)); diff != "" {
				t.Errorf("table (-want +got):\n%s", diff)
			}
		})
	}
}

// rows are the lines of a table, without trailing spaces.
func rows(table string) []string {
	var all []string
	for line := range strings.Lines(table) {
		all = append(all, strings.TrimRight(line, " \n"))
	}
	return all
}

func TestAnErrorOfATestFileNamesTheLine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", "x.yaml: a test file needs rules, which are files, and tests"},
		{"no yaml", "rules: [a\ntests: ]", "x.yaml:2: "},
		{"a tag without a value", "rules: !0\n0\n", "x.yaml: this is not YAML"},
		{"an unknown key", lonely + "    expected: []\n", `x.yaml:6: unknown field "expected"`},
		{"an unknown key of an entry", lonely + "      - {at: 1s, evnt: participant-join}\n", `x.yaml:6: unknown field "evnt"`},
		{"no time", lonely + "      - {at: soon, reread: true}\n", "x.yaml:6: "},
		{"no unit", lonely + "      - {at: 5, reread: true}\n", "x.yaml:6: wrong kind of value; durations need a unit, like 5s"},
		{"two things at once", lonely + "      - {at: 1s, event: conference-end, reread: true}\n", "x.yaml:6: an entry must be exactly one of event, exempt, reread, load and action"},
		{"no participant", lonely + "      - {at: 1s, event: participant-hold}\n", "x.yaml:6: participant-hold needs a participant, by label or leg"},
		{"no rule", lonely + "    expect:\n      - {at: 1s}\n", "x.yaml:7: an expectation needs a rule"},
		{"no name", "rules: [a.yaml]\ntests:\n  - timeline: []\n", "x.yaml:3: a test needs a name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := rulestest.Parse("x.yaml", []byte(c.text))
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("error %v, want %s", err, c.want)
			}
		})
	}
}

// An entry that Twilio could not have sent is an error of the test file, not a failure of the test.
func TestAnEntryThatTwilioCannotSendIsAnError(t *testing.T) {
	t.Parallel()
	tests, err := rulestest.Parse("x.yaml", []byte(lonely+"      - {at: 1s, event: participant-join, label: a, params: {CallSid: twice}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = tests.Run(t.Context(), func([]string) (*rules.Set, error) { return rules.Parse(rules.File{Name: "rules.yaml", Text: orphan}) })
	if err == nil || !strings.HasPrefix(err.Error(), "x.yaml:6: ") {
		t.Errorf("error %v", err)
	}
}

// A test decides as a lane does. Here other rules come into force at the moment
// when a deadline is due: until the load, the rules before are in force.
func TestADeadlineAtALoadIsJudgedByTheRulesBefore(t *testing.T) {
	t.Parallel()
	tests, err := rulestest.Parse("x.yaml", []byte(lonely+"      - {at: 2m, load: [other.yaml]}\n"+
		"    expect:\n      - {at: 2m, rule: rules, do: end}\n      - {at: 4m, rule: other, do: end}\n"))
	if err != nil {
		t.Fatal(err)
	}
	failures, err := tests.Run(t.Context(), func(names []string) (*rules.Set, error) {
		return rules.Parse(rules.File{Name: names[0], Text: strings.Replace(orphan, "orphan", strings.TrimSuffix(names[0], ".yaml"), 1)})
	})
	if err != nil || len(failures) > 0 {
		t.Errorf("%v %v", failures, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(lonely))
	f.Add([]byte("rules: [a]\ntests:\n  - {name: x, timeline: [{at: 1s, load: [b]}], expect: [{rule: r, params: {a: b}}]}\n"))
	f.Add([]byte("rules: !tag\nx: 1"))
	f.Fuzz(func(t *testing.T, text []byte) {
		tests, err := rulestest.Parse("x.yaml", text)
		if (tests == nil) == (err == nil) {
			t.Errorf("tests %v and error %v", tests, err)
		}
	})
}

// An expression without a value fails its own test, or is expected; the other tests of the file run.
func TestAnExpressionFaultIsExpectedOrFailsItsTest(t *testing.T) {
	t.Parallel()
	const faulty = `rules: [{name: odd, when: 'int(event.call_sid) > 1', do: [publish: {subject: odd}]}]`
	tests, err := rulestest.Parse("x.yaml", []byte(lonely+"  - name: expected\n    timeline:\n"+
		"      - {at: 0s, event: participant-join, label: a}\n    faults: [{rule: odd, in: when}]\n"+
		"  - name: absent\n    timeline: []\n    faults: [{rule: odd, in: when}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	failures, err := tests.Run(t.Context(), func([]string) (*rules.Set, error) { return rules.Parse(rules.File{Name: "rules.yaml", Text: faulty}) })
	if err != nil || len(failures) != 2 {
		t.Fatalf("%v %v", failures, err)
	}
	if got := failures[0]; got.Line != 3 || !strings.HasPrefix(got.Difference, "    + fault in when of rule odd: ") {
		t.Errorf("unexpected fault: %v", got)
	}
	if got := failures[1].Difference; got != "    - fault in when of rule odd\n" {
		t.Errorf("absent fault: %q", got)
	}
}
