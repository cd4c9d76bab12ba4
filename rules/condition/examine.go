package condition

import (
	"regexp"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"gavel/events"
)

// Findings are what examine finds in a checked expression without running it.
type Findings struct {
	// ChangedBy are the kinds of events that can change the value, and Parts are
	// the parts of the record that it depends on.
	ChangedBy Kinds
	Parts     Parts
	// HoldsAt are the kinds of events at which a condition can hold: all, unless
	// it compares event.kind with constants.
	HoldsAt Kinds
	// Unguarded are where the expression reads a time that may be missing.
	Unguarded []Unguarded

	reads      map[string]bool        // variables
	thresholds map[string][]threshold // by elapsed-time function
}

// examination walks through one expression.
type examination struct {
	Findings
	ast       *ast.AST
	condition bool // a condition, not a parameter
	faults    []Fault
}

// examine checks all parts of an expression. A condition may only depend on
// time where the moment of the next change can be computed.
func examine(checked *cel.Ast, condition bool) (Findings, []Fault) {
	native := checked.NativeRep()
	x := &examination{ast: native, condition: condition}
	x.reads, x.thresholds = map[string]bool{}, map[string][]threshold{}
	x.walk(ast.NavigateAST(native))
	x.HoldsAt = holdsAt(native.Expr())
	x.Unguarded = unguarded(native, condition)
	return x.Findings, x.faults
}

func (x *examination) walk(e ast.NavigableExpr) {
	switch e.Kind() {
	case ast.IdentKind:
		x.checkVariable(e)
	case ast.SelectKind:
		x.addField(e)
	case ast.CallKind:
		x.checkCall(e)
	case ast.StructKind:
		x.fault(e, "conferences and participants cannot be constructed")
	}
	for _, child := range e.Children() {
		x.walk(child)
	}
}

func (x *examination) checkVariable(e ast.NavigableExpr) {
	name := e.AsIdent()
	x.reads[name] = true
	if name == "now" && x.condition {
		x.fault(e, "now is not allowed in a condition, because the moment of its next evaluation is unknown; "+
			"write `for`, or compare one of alone_for, held_for, waiting_for_moderator, duration with a constant")
	}
}

func (x *examination) addField(e ast.NavigableExpr) {
	s := e.AsSelect()
	if f := findField(x.ast.GetType(s.Operand().ID()).TypeName(), s.FieldName()); f != nil {
		x.ChangedBy = x.ChangedBy.With(f.changedBy)
		x.Parts |= f.parts
	}
}

func (x *examination) checkCall(e ast.NavigableExpr) {
	call := e.AsCall()
	if call.FunctionName() == "dyn" {
		x.fault(e, "dyn is not allowed, because it hides what the condition reads")
		return
	}
	f := x.called(e)
	if f == nil {
		return
	}
	x.ChangedBy = x.ChangedBy.With(f.changedBy)
	x.Parts |= f.parts
	if f.since == nil || !x.condition {
		return
	}
	t, ok := comparison(e)
	if !ok {
		x.fault(e, f.name+" must be compared with a constant by <, <=, > or >=, as in "+f.usage+` > duration("2m")`)
		return
	}
	x.thresholds[f.name] = append(x.thresholds[f.name], t)
}

// called returns the function of our table that the expression calls, or nil.
// CEL has a duration function too, so the name is not enough.
func (x *examination) called(e ast.NavigableExpr) *function {
	for _, overload := range x.ast.GetOverloadIDs(e.ID()) {
		for i := range functions {
			if functions[i].overload() == overload {
				return &functions[i]
			}
		}
	}
	return nil
}

func (x *examination) fault(e ast.Expr, message string) {
	at := x.ast.SourceInfo().GetStartLocation(e.ID())
	x.faults = append(x.faults, Fault{Line: at.Line(), Column: at.Column(), Message: message})
}

// comparison returns the constant that the call e is compared with.
func comparison(e ast.NavigableExpr) (threshold, bool) {
	parent, ok := e.Parent()
	if !ok || parent.Kind() != ast.CallKind || len(parent.AsCall().Args()) != 2 {
		return threshold{}, false
	}
	args := parent.AsCall().Args()
	left := args[0].ID() == e.ID()
	other := args[0]
	if left {
		other = args[1]
	}
	length, constant := constantDuration(other)
	switch parent.AsCall().FunctionName() {
	case operators.Greater, operators.LessEquals:
		return threshold{length, left}, constant
	case operators.Less, operators.GreaterEquals:
		return threshold{length, !left}, constant
	}
	return threshold{}, false
}

// constantDuration returns the value of a constant such as duration("2m").
func constantDuration(e ast.Expr) (time.Duration, bool) {
	if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != "duration" || len(e.AsCall().Args()) != 1 {
		return 0, false
	}
	text, ok := constantText(e.AsCall().Args()[0])
	if !ok {
		return 0, false
	}
	length, ok := types.String(text).ConvertToType(types.DurationType).(types.Duration)
	return length.Duration, ok
}

func constantText(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	text, ok := e.AsLiteral().(types.String)
	return string(text), ok
}

// holdsAt returns the kinds of events at which e can be true, as far as
// comparisons of event.kind decide that.
func holdsAt(e ast.Expr) Kinds {
	if e.Kind() != ast.CallKind || len(e.AsCall().Args()) != 2 {
		return Known
	}
	a, b := e.AsCall().Args()[0], e.AsCall().Args()[1]
	switch e.AsCall().FunctionName() {
	case operators.LogicalAnd:
		return holdsAt(a).and(holdsAt(b))
	case operators.LogicalOr:
		return holdsAt(a).With(holdsAt(b))
	case operators.Equals:
		if !isEventKind(a) {
			a, b = b, a
		}
		return kindsAmong(a, []ast.Expr{b})
	case operators.In:
		if b.Kind() == ast.ListKind {
			return kindsAmong(a, b.AsList().Elements())
		}
	}
	return Known
}

// kindsAmong returns the constants that subject is compared with, if it is event.kind.
func kindsAmong(subject ast.Expr, constants []ast.Expr) Kinds {
	if !isEventKind(subject) {
		return Known
	}
	kinds := Kinds{}
	for _, c := range constants {
		text, ok := constantText(c)
		if !ok {
			return Known
		}
		kind := events.Kind(text)
		if _, known := Known[kind]; !known {
			kind = Unknown
		}
		kinds[kind] = struct{}{}
	}
	return kinds
}

func isEventKind(e ast.Expr) bool {
	if e.Kind() != ast.SelectKind || e.AsSelect().IsTestOnly() || e.AsSelect().FieldName() != "kind" {
		return false
	}
	operand := e.AsSelect().Operand()
	return operand.Kind() == ast.IdentKind && operand.AsIdent() == "event"
}

// operatorNames are CEL's internal names of its operators.
var operatorNames = regexp.MustCompile(`'[@!_]?_?(==|!=|<=|>=|<|>|&&|\|\||\+|-|\*|/|%|in|!)_?'`)

// plainly removes from CEL's message what only the authors of CEL need.
func plainly(message string) string {
	message = strings.ReplaceAll(message, " (in container '')", "")
	message, _, _ = strings.Cut(message, " expecting {") // all tokens that could follow
	return operatorNames.ReplaceAllString(message, "'$1'")
}
