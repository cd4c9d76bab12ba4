package condition

import (
	"maps"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/parser"
)

// A time that is missing is less than every time in a condition, which is rarely meant: in
// `p.left < now` a participant that is still there has "left" long ago. So rules check warns where an
// expression reads such a time and no has() around it, or in the rule's `when`, excludes that case.

// Unguarded is a place where an expression reads a time that may be missing. Line and Column are as
// in a Fault; Read is what it reads, such as conference.started.
type Unguarded struct {
	Line, Column int
	Read         string
}

// unguarded returns these places. In a parameter a missing time is empty, so only what is computed
// from one counts.
func unguarded(checked *ast.AST, condition bool) (all []Unguarded) {
	root := ast.NavigateAST(checked)
	for _, e := range ast.MatchDescendants(root, ast.KindMatcher(ast.SelectKind)) {
		s := e.AsSelect()
		f := findField(checked.GetType(s.Operand().ID()).TypeName(), s.FieldName())
		if f == nil || !f.mayMiss || s.IsTestOnly() || !condition && isShown(e) {
			continue
		}
		if read, err := parser.Unparse(e, checked.SourceInfo()); err == nil && !isGuarded(checked, e, read) {
			at := checked.SourceInfo().GetStartLocation(beginning(e).ID())
			all = append(all, Unguarded{at.Line(), at.Column(), read})
		}
	}
	return all
}

// beginning returns what a chain of fields begins with: its own place is that of its last dot.
func beginning(e ast.Expr) ast.Expr {
	for e.Kind() == ast.SelectKind {
		e = e.AsSelect().Operand()
	}
	return e
}

// isShown reports whether a parameter consists of the time, or converts it to a text.
func isShown(e ast.NavigableExpr) bool {
	parent, nested := e.Parent()
	return !nested || parent.Kind() == ast.CallKind && parent.AsCall().FunctionName() == textOf
}

// isGuarded reports whether an expression around e holds only if e is not missing.
func isGuarded(checked *ast.AST, e ast.NavigableExpr, read string) bool {
	for child := e; ; {
		parent, more := child.Parent()
		if !more {
			return false
		}
		if parent.Kind() == ast.CallKind && guards(checked, parent.AsCall(), child.ID(), read) {
			return true
		}
		child = parent
	}
}

// guards reports whether the other operands of a call decide it where the time is missing.
func guards(checked *ast.AST, call ast.CallExpr, operand int64, read string) bool {
	args := call.Args()
	switch call.FunctionName() {
	case operators.LogicalAnd, operators.LogicalOr:
		other := args[0]
		if other.ID() == operand {
			other = args[1]
		}
		return implies(checked, other, read, call.FunctionName() == operators.LogicalAnd)
	case operators.Conditional:
		return args[0].ID() != operand && implies(checked, args[0], read, args[1].ID() == operand)
	}
	return false
}

// implies reports whether the time is there if e has that value.
func implies(checked *ast.AST, e ast.Expr, read string, value bool) bool {
	switch e.Kind() {
	case ast.SelectKind:
		if !value || !e.AsSelect().IsTestOnly() {
			return false
		}
		text, err := parser.Unparse(e, checked.SourceInfo())
		return err == nil && text == "has("+read+")"
	case ast.CallKind:
	default:
		return false
	}
	args := e.AsCall().Args()
	switch e.AsCall().FunctionName() {
	case operators.LogicalNot:
		return implies(checked, args[0], read, !value)
	case operators.LogicalAnd:
		return value && (implies(checked, args[0], read, true) || implies(checked, args[1], read, true))
	case operators.LogicalOr:
		return !value && (implies(checked, args[0], read, false) || implies(checked, args[1], read, false))
	}
	return false
}

// Excludes reports whether the condition holds only if a time is there.
func (c *Condition) Excludes(read string) bool {
	return implies(c.checked, c.checked.Expr(), read, true)
}

const (
	textOf = "string"
	// textOfTime replaces string() of a time in parameters. CEL cannot parse a name with these characters.
	textOfTime = "@string of a time"
)

// shownTime declares the text of a time: CEL's, or empty if the time is missing.
func shownTime() cel.EnvOption {
	return cel.Function(textOfTime, cel.Overload("gavel_string_of_time", []*cel.Type{when}, text, cel.UnaryBinding(shown)))
}

// shown is the text of a value in a parameter.
func shown(v ref.Val) ref.Val {
	if t, is := v.(types.Timestamp); is && t.IsZero() {
		return types.String("")
	}
	return v.ConvertToType(types.StringType)
}

// showTimes returns a checked parameter in which string() of a missing time is empty.
func showTimes(checked *cel.Ast) (cel.Program, error) {
	native := checked.NativeRep()
	factory, refs := ast.NewExprFactory(), maps.Clone(native.ReferenceMap())
	copied := factory.CopyExpr(native.Expr())
	ast.PreOrderVisit(copied, ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != textOf || len(e.AsCall().Args()) != 1 {
			return
		}
		if arg := e.AsCall().Args()[0]; native.GetType(arg.ID()).IsExactType(when) {
			e.SetKindCase(factory.NewCall(e.ID(), textOfTime, arg))
			refs[e.ID()] = ast.NewFunctionReference("gavel_string_of_time")
		}
	}))
	return plan(native, copied, refs)
}
