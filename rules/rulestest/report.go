package rulestest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"gavel/rules"
)

// Failure is a test whose decisions differ from its expectations.
type Failure struct {
	// File and Line are the place of the first expectation that failed, or of
	// the test if it only has unexpected decisions.
	File string
	Line int
	Test string
	// Difference is a table of all decisions: "-" was expected, "+" was made.
	Difference string
}

// String formats the failure in one paragraph.
func (f Failure) String() string {
	return fmt.Sprintf("%s:%d: %s\n%s", f.File, f.Line, f.Test, f.Difference)
}

// Run runs every test of the file. load compiles rule files, by the names that
// the test file has for them. The error is about the rule files or the test
// file; failures are tests that ran and failed.
func (f *File) Run(ctx context.Context, load func(files []string) (*rules.Set, error)) ([]Failure, error) {
	set, err := load(f.Rules)
	if err != nil {
		return nil, err
	}
	var failures []Failure
	for i := range f.Tests {
		t := &f.Tests[i]
		played, err := t.run(ctx, set, load)
		if err != nil {
			return nil, fmt.Errorf("%s:%w", f.Name, err)
		}
		line, table := t.compare(played.decided)
		if table += t.compareFaults(played.faults); table != "" {
			failures = append(failures, Failure{f.Name, cmp.Or(line, t.line), t.Name, table})
		}
	}
	return failures, nil
}

// compare compares the decisions with the expectations; an empty table means that they agree.
func (t *Timeline) compare(all []decision) (line int, table string) {
	rows, left := []row{}, slices.Clone(all)
	for _, x := range t.Expect {
		at := slices.IndexFunc(left, func(d decision) bool { return x.fits(t, d) })
		if at >= 0 {
			rows = append(rows, row{" ", left[at].row(t, x)})
			left = slices.Delete(left, at, at+1)
			continue
		}
		line = cmp.Or(line, x.line)
		rows = append(rows, row{"-", x})
	}
	for _, d := range left {
		rows = append(rows, row{"+", d.row(t, Expectation{})})
	}
	if line == 0 && len(left) == 0 {
		return 0, ""
	}
	return cmp.Or(line, t.line), write(rows)
}

// compareFaults compares the expressions without a value with those that are expected; an empty text
// means that they agree.
func (t *Timeline) compareFaults(all map[FaultExpectation]error) string {
	var lines []string
	for _, x := range t.Faults {
		if all[x] == nil {
			lines = append(lines, fmt.Sprintf("    - fault in %s of rule %s\n", x.In, x.Rule))
		}
	}
	for x, err := range all {
		if !slices.Contains(t.Faults, x) {
			lines = append(lines, fmt.Sprintf("    + fault in %s of rule %s: %v\n", x.In, x.Rule, err))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// fits reports whether the decision matches the expectation.
func (x *Expectation) fits(t *Timeline, d decision) bool {
	verdict := x.Verdict == d.Verdict || x.Verdict == "" && d.Verdict != rules.Refused
	return verdict && x.At == d.offset(t) && x.Rule == d.Rule &&
		(x.Do == "" || x.Do == d.Do) &&
		(x.Conference == "" || x.Conference == d.room) &&
		(x.Label == "" || x.Label == d.label) &&
		(x.Reason == "" || x.Reason == d.Reason) &&
		(x.Attempt == 0 || x.Attempt == d.Attempt) &&
		d.has(x.Params)
}

// offset is when the decision was made, from the start of the timeline.
func (d decision) offset(t *Timeline) time.Duration { return d.AsOf.Sub(t.begin()) }

// has reports whether the decision has these parameters, among others.
func (d decision) has(params map[string]string) bool {
	for name, want := range params {
		got, there := d.Params[name]
		if !there {
			got, there = d.Data[name]
		}
		if !there || got != want {
			return false
		}
	}
	return true
}

// row is a line of the table.
type row struct {
	mark string
	Expectation
}

// write formats the rows in columns, by time, without trailing spaces.
func write(rows []row) string {
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(a.At, b.At) })
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "      at\trule\tdo\tconference\tlabel\tverdict\t")
	for _, r := range rows {
		fmt.Fprintf(w, "    %s %s\n", r.mark, r)
	}
	w.Flush()
	var table strings.Builder
	for line := range strings.Lines(b.String()) {
		table.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return table.String()
}

// row describes a decision as an expectation, with the parameters that x names,
// or with all if x is empty.
func (d decision) row(t *Timeline, x Expectation) Expectation {
	params := map[string]string{}
	maps.Copy(params, d.Params)
	maps.Copy(params, d.Data)
	if x.Rule != "" {
		maps.DeleteFunc(params, func(name, _ string) bool { _, named := x.Params[name]; return !named })
	}
	return Expectation{
		At: d.offset(t), Rule: d.Rule, Do: d.Do, Conference: d.room, Label: d.label,
		Verdict: d.Verdict, Reason: d.Reason, Attempt: d.Attempt, Params: params,
	}
}

// String returns the columns, separated by tabs.
func (x Expectation) String() string {
	verdict, more := string(x.Verdict), ""
	if x.Reason != "" {
		verdict += " (" + string(x.Reason) + ")"
	}
	if x.Attempt > 1 {
		more = fmt.Sprintf("attempt %d ", x.Attempt)
	}
	for _, name := range slices.Sorted(maps.Keys(x.Params)) {
		more += fmt.Sprintf("%s=%q ", name, x.Params[name])
	}
	return strings.Join([]string{x.At.String(), x.Rule, string(x.Do), x.Conference, x.Label, verdict, strings.TrimSpace(more)}, "\t")
}
