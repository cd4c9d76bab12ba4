package condition

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/parser"
)

// A condition that is evaluated for each of 250 participants, by 200 rules, repeats nearly all of
// its work: `conference.live.exists(p, p.label.like("agent-*"))` has one value for all of them. So
// the parts of a condition that do not read participant are evaluated once for each Reading, when
// they are first reached, for all conditions that contain them.
//
// Rejected: values by rule and participant that are kept from event to event. They would be state of
// each conference, as large as rules times participants, and lost with each crash.

// sharedMark begins the names that replace shared parts. CEL cannot parse a name with these characters.
const sharedMark = "@shared "

// shared is a part of a condition that does not depend on the participant.
type shared struct {
	program cel.Program
	// parts of the record decide its value, together with the clock.
	parts Parts
	// comparable: equal values are the same. Equal participants have the same CallSid, but may have
	// other flags, which the rest of the condition may read.
	comparable bool
}

// sharing are the shared parts of one condition, and the program that reads them by their names.
type sharing struct {
	program cel.Program
	parts   map[string]*shared
	// closed: besides the shared parts, the condition reads participant only.
	closed bool
}

// sharer extracts these parts from one condition.
type sharer struct {
	ast    *ast.AST
	each   bool // the condition reads participant
	names  map[int64]string
	parts  map[string]*shared
	exprs  map[string]ast.Expr // of parts
	closed bool
	// loop is the first one that is evaluated for each participant, or nil.
	loop ast.Expr
}

// share returns the shared parts of a checked condition, and what it costs.
func share(checked *cel.Ast, found Findings) (sharing, Cost, error) {
	s := &sharer{ast: checked.NativeRep(), each: found.reads["participant"], closed: true}
	s.names, s.parts, s.exprs = map[int64]string{}, map[string]*shared{}, map[string]ast.Expr{}
	if err := s.extract(ast.NavigateAST(s.ast)); err != nil {
		return sharing{}, Cost{}, err
	}
	factory, refs := ast.NewExprFactory(), maps.Clone(s.ast.ReferenceMap())
	rest := factory.CopyExpr(s.ast.Expr())
	ast.PreOrderVisit(rest, ast.NewExprVisitor(func(e ast.Expr) {
		if name, taken := s.names[e.ID()]; taken {
			e.SetKindCase(factory.NewIdent(e.ID(), name))
			refs[e.ID()] = ast.NewIdentReference(name, nil)
		}
	}))
	bound, err := s.bound(rest, refs)
	if err != nil {
		return sharing{}, Cost{}, err
	}
	program, err := plan(s.ast, rest, refs)
	return sharing{program, s.parts, s.closed}, bound, err
}

// plan plans an expression that was made from a checked one.
func plan(of *ast.AST, e ast.Expr, refs map[int64]*ast.ReferenceInfo) (cel.Program, error) {
	return environment().PlanProgram(
		ast.NewCheckedAST(ast.NewAST(e, of.SourceInfo()), of.TypeMap(), refs),
		cel.EvalOptions(cel.OptOptimize),
	)
}

// extract extracts the largest shared parts of an expression. It looks into && and ||, because
// their sides are more likely to be in other conditions too.
func (s *sharer) extract(e ast.NavigableExpr) error {
	varies, reads := dependence(e)
	if varies && s.each && s.loop == nil && e.Kind() == ast.ComprehensionKind {
		s.loop = e
	}
	switch {
	case !varies && !reads: // a constant
		return nil
	case varies && e.Kind() == ast.IdentKind: // participant, or the variable of a loop
		return nil
	case !varies && e.Kind() == ast.IdentKind:
		s.closed = s.closed && e.AsIdent() == "account"
		return nil
	case varies || isLogical(e):
		return s.inside(e)
	case !s.each && !loops(e):
		s.closed = false
		return nil
	}
	return s.take(e)
}

func (s *sharer) inside(e ast.NavigableExpr) error {
	for _, child := range e.Children() {
		if err := s.extract(child); err != nil {
			return err
		}
	}
	return nil
}

func (s *sharer) take(e ast.NavigableExpr) error {
	text, err := parser.Unparse(e, s.ast.SourceInfo())
	if err != nil {
		return fmt.Errorf("format a part of the condition: %w", err)
	}
	program, err := plan(s.ast, e, s.ast.ReferenceMap())
	if err != nil {
		return fmt.Errorf("plan %s: %w", text, err)
	}
	x := &examination{ast: s.ast}
	x.reads, x.thresholds = map[string]bool{}, map[string][]threshold{}
	x.walk(e)
	s.names[e.ID()], s.exprs[sharedMark+text] = sharedMark+text, e
	s.parts[sharedMark+text] = &shared{program, x.Parts, isPlain(e.Type())}
	return nil
}

// dependence reports whether an expression varies with the participant, or with the variable of a
// loop around it, and whether it reads any variable besides those of its own loops.
func dependence(e ast.NavigableExpr) (varies, reads bool) {
	for _, ident := range ast.MatchDescendants(e, ast.KindMatcher(ast.IdentKind)) {
		loop, local := loopOf(ident)
		switch {
		case local && loop.Depth() >= e.Depth():
		case local, ident.AsIdent() == "participant":
			return true, true
		default:
			reads = true
		}
	}
	return false, reads
}

func isLogical(e ast.NavigableExpr) bool {
	if e.Kind() != ast.CallKind {
		return false
	}
	switch e.AsCall().FunctionName() {
	case operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot, operators.Conditional:
		return true
	}
	return false
}

// loops reports whether the cost of an expression depends on how many participants there are.
func loops(e ast.NavigableExpr) bool {
	return len(ast.MatchDescendants(e, func(e ast.NavigableExpr) bool {
		return e.Kind() == ast.ComprehensionKind || e.Kind() == ast.CallKind && costly[e.AsCall().FunctionName()]
	})) > 0
}

// costly are our functions that read all participants of a conference, by name.
var costly = func() map[string]bool {
	names := map[string]bool{}
	for _, f := range functions {
		names[f.name] = f.cost >= mostParticipants && !f.member
	}
	return names
}()

// isPlain reports whether equal values of a type are the same: texts, numbers, times, and lists of these.
func isPlain(t *cel.Type) bool {
	if t.Kind() == types.ListKind {
		return isPlain(t.Parameters()[0])
	}
	return keepable(t) && !t.IsExactType(participantType)
}

// value is the value of a shared part in one reading.
type value struct {
	of ref.Val
	// reached are the running stretches whose length was read.
	reached []reached
}

// reached is a call of an elapsed-time function for a running stretch.
type reached struct {
	function string
	from     time.Time
}

// shared returns the value of a shared part of the condition that is evaluated. A value that was
// evaluated for another condition or participant reaches the same comparisons of time again.
func (r *Reading) shared(name string) ref.Val {
	v := r.value(name, r.of.sharing.parts[name])
	for _, at := range v.reached {
		r.addFlip(at.function, at.from)
	}
	return v.of
}

func (r *Reading) value(name string, part *shared) *value {
	if v, there := r.values[name]; there {
		return v
	}
	if r.values == nil {
		r.values = map[string]*value{}
	}
	v := &value{}
	outer := r.recording
	r.recording = v
	out, _, err := part.program.Eval(r)
	r.recording = outer
	if v.of = out; err != nil {
		v.of = types.WrapErr(err)
	}
	r.values[name] = v
	return v
}

// Steady reports whether a condition certainly has the same value as in an earlier reading, for
// every participant that has not changed, where changed are the parts of the record that differ. Both
// readings are at the same time.
func (r *Reading) Steady(c *Condition, was *Reading, changed Parts) bool {
	switch {
	case c.Uses("event"), c.Uses("before"):
		return false
	case c.Parts&changed == 0:
		return true
	case !c.Uses("participant"):
		return r.whole(c).same(was.whole(c))
	case !c.sharing.closed:
		return false
	}
	for name, part := range c.sharing.parts {
		if !part.comparable || part.parts&changed != 0 && !r.value(name, part).same(was.value(name, part)) {
			return false
		}
	}
	return true
}

// whole returns the value of a condition that has one value for all participants.
func (r *Reading) whole(c *Condition) *value {
	r.of = c
	return r.value(wholeMark+c.text, &shared{program: c.sharing.program})
}

// wholeMark begins the names of whole conditions among the values of a reading.
const wholeMark = "@whole "

// same reports whether a value is the same, and changes with time at the same moments. An error is
// never the same: each evaluation that it causes to fail is reported.
func (v *value) same(was *value) bool {
	return !types.IsUnknownOrError(v.of) && !types.IsUnknownOrError(was.of) &&
		v.of.Equal(was.of) == types.True && slices.Equal(v.reached, was.reached)
}

// isShared reports whether a name is that of a shared part.
func isShared(name string) bool { return strings.HasPrefix(name, sharedMark) }
