package schema

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Fault is one mistake in a rule file. It quotes keys and expressions, never
// other values: those may contain names and phone numbers of people.
type Fault struct {
	File string
	// Line and Column count from 1; 0 if the fault is about the file as a whole.
	Line, Column int
	// Rule is the rule's name, or "" outside of rules.
	Rule    string
	Message string
	// Since is the engine that the check came with, 0 for the checks of the first one. A check of a
	// later engine refuses a proposed set, and is a warning for a set that was in force before.
	Since int
}

// String formats the fault as a compiler would print it.
func (f Fault) String() string {
	where := f.File
	if f.Line > 0 {
		where += fmt.Sprintf(":%d:%d", f.Line, f.Column)
	}
	if f.Rule != "" {
		where += ": rule " + f.Rule
	}
	return where + ": " + f.Message
}

// Faults are all mistakes in a set of files, in their order.
type Faults []Fault

// Error returns one line for each fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].String()
	}
	return strings.Join(lines, "\n")
}

// New reports whether all faults are of checks that came with a later engine than the first: an
// earlier build accepted the files.
func (f Faults) New() bool {
	return !slices.ContainsFunc(f, func(one Fault) bool { return one.Since == 0 })
}

// Sorted sorts the faults by place, and drops duplicates.
func (f Faults) Sorted() Faults {
	slices.SortStableFunc(f, func(a, b Fault) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return slices.Compact(f)
}
