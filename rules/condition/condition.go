package condition

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
)

// Fault is one mistake in an expression. Line counts from 1 within the text,
// Column from 0 within the line, in characters.
type Fault struct {
	Line, Column int
	Message      string
	// Since is the engine that the check came with, 0 for the checks of the first one. An expression
	// whose faults are all of later checks is compiled nevertheless.
	Since int
}

// ErrNoValue is wrapped by every error of an evaluation: a correct expression can have no value,
// such as a text that is converted to a number and does not contain one. CEL's message may quote
// the text, so it is not part of the error; a word of Gavel's own about the cause is.
var ErrNoValue = errors.New("the expression has no value here")

// causes are the causes of errors of CEL, by what their messages contain. The first that fits counts.
var causes = []struct{ contains, cause string }{
	{"division by zero", "it divides by zero"},
	{"modulus by zero", "it divides by zero"},
	{"overflow", "a number or a time is too large"},
	{"out of range", "a number or a time is too large"},
	{"index out of", "a list has no such item"},
	{"no such key", "a map has no such key"},
	{"no such overload", "a value is of another type"},
	{"unsupported index", "a list has no such item"},
	{"conversion", "a text cannot be converted"},
	{"parsing", "a text cannot be converted"},
	{"invalid", "a text cannot be converted"},
}

// noValue returns the error of an evaluation that failed with an error of CEL.
func noValue(err error) error {
	for _, c := range causes {
		if strings.Contains(err.Error(), c.contains) {
			return fmt.Errorf("%w: %s", ErrNoValue, c.cause)
		}
	}
	return ErrNoValue
}

// Condition is a compiled CEL expression that is true or false. It is safe for concurrent use.
type Condition struct {
	text    string
	program cel.Program
	checked *ast.AST
	Findings
	// past are the parts that depend only on an event and the record before it,
	// by their text. rest is the program without them, nil if there is none.
	past map[string]*past
	rest cel.Program
	// sharing are the parts that have one value for all participants.
	sharing sharing
	cost    Cost
	// repeats: several rules have the condition.
	repeats bool
}

// splitSince is the engine that began to evaluate a condition about an event again before an action.
const splitSince = 2

// Compile compiles a condition, or returns all mistakes in it.
func Compile(text string) (*Condition, []Fault) {
	checked, faults := check(text)
	if faults != nil {
		return nil, faults
	}
	if out := checked.OutputType(); !out.IsExactType(cel.BoolType) {
		return nil, []Fault{{Line: 1, Message: fmt.Sprintf("a condition must be true or false; this is of type %s", cel.FormatCELType(out))}}
	}
	c := &Condition{text: text, checked: checked.NativeRep()}
	if c.Findings, faults = examine(checked, true); faults != nil {
		return nil, faults
	}
	if c.program, faults = program(checked); faults != nil {
		return nil, faults
	}
	c.rest = c.program
	var err error
	if c.sharing, c.cost, err = share(checked, c.Findings); err != nil { // it is evaluated as a whole
		c.sharing, c.cost = sharing{program: c.program}, Cost{Line: 1}
	}
	if c.Uses("event") || c.Uses("before") {
		if c.past, c.rest, err = split(checked); err != nil {
			return c, []Fault{{Line: 1, Message: plainly(err.Error()), Since: splitSince}}
		}
	}
	return c, nil
}

// String returns the condition as it was written.
func (c *Condition) String() string { return c.text }

// Repeats states that several rules of a set have the condition, before it is first evaluated: its
// value for a participant is then kept for the other rules.
func (c *Condition) Repeats() { c.repeats = true }

// Uses reports whether the condition reads a variable. One that reads event or
// before is about one event and has no meaning between two events.
func (c *Condition) Uses(variable string) bool { return c.reads[variable] }

// Holds evaluates the condition. An error wraps ErrNoValue: a `when` with an
// error does not hold, and an `unless` with an error exempts.
func (c *Condition) Holds(v Vars) (bool, error) { return c.evaluate(Read(v)) }

func (c *Condition) evaluate(r *Reading) (bool, error) {
	program, vars := c.sharing.program, cel.Activation(r)
	if r.of = c; r.recalls {
		program, vars = c.rest, recollection{r, c}
	}
	if program == nil {
		return false, fmt.Errorf("evaluate condition: %w", ErrNotKept)
	}
	out, _, err := program.Eval(vars)
	switch {
	case err != nil:
		return false, fmt.Errorf("evaluate condition: %w", noValue(err))
	case r.recalls && types.IsUnknown(out):
		return false, fmt.Errorf("evaluate condition: %w", ErrNotKept)
	}
	return out == types.True, nil
}

// HoldsUntil evaluates the condition, and returns the first moment after v.Now
// when time alone may change it; zero means never.
//
// That is a moment when a comparison of an elapsed-time function flips. Only comparisons that were
// reached count, and these are enough: what was reached decided whether the condition holds, and
// does not change until the first of these moments. So the next change without an event is at that
// moment or later, or never; a caller that evaluates again at that moment misses no change.
// Comparisons that were reached before an error count too.
func (c *Condition) HoldsUntil(v Vars) (holds bool, flip time.Time, err error) {
	return Read(v).HoldsUntil(c, v.Participant)
}

// Elapses reports whether time alone can change the condition.
func (c *Condition) Elapses() bool { return len(c.thresholds) > 0 }

// threshold is a constant that an elapsed-time function is compared with.
type threshold struct {
	length time.Duration
	// beyond is set if the comparison flips just after the length, not at it: > and <=.
	beyond bool
}

// after returns the first moment at which the comparison has flipped.
func (t threshold) after(from time.Time) time.Time {
	at := from.Add(t.length)
	if t.beyond {
		at = at.Add(time.Nanosecond)
	}
	return at
}

// checking is locked while an expression is checked: at the first unknown name, cel-go's checker
// writes into the environment that all expressions share (checker/env.go, Catalog, in 0.33.2).
var checking sync.Mutex

// check parses and type-checks an expression.
func check(text string) (*cel.Ast, []Fault) {
	checking.Lock()
	defer checking.Unlock()
	checked, issues := environment().Compile(text)
	if issues.Err() == nil {
		return checked, nil
	}
	var faults []Fault
	for _, e := range issues.Errors() {
		f := Fault{Line: e.Location.Line(), Column: e.Location.Column(), Message: plainly(e.Message)}
		if !slices.Contains(faults, f) {
			faults = append(faults, f)
		}
	}
	return nil, faults
}

// program plans a checked expression. Its cost is bounded at load, so that
// evaluations need not count it: counting triples the cost of an evaluation. If
// CEL finds no bound, its estimate is the greatest number.
func program(checked *cel.Ast) (cel.Program, []Fault) {
	env := environment()
	estimate, err := env.EstimateCost(checked, sizes{})
	if err != nil {
		return nil, []Fault{{Line: 1, Message: "cannot estimate its cost: " + plainly(err.Error())}}
	}
	if estimate.Max > MaxCost {
		return nil, []Fault{{Line: 1, Message: fmt.Sprintf(
			"costs up to %d units in a large conference, more than %d; loops inside loops over participants are the usual reason",
			estimate.Max, MaxCost)}}
	}
	p, err := env.Program(checked, cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, []Fault{{Line: 1, Message: plainly(err.Error())}}
	}
	return p, nil
}
