package condition

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/parser"

	"gavel/events"
	"gavel/projections"
)

// Kept is what a rule read of an event, and of the record before it, when a decision was made:
// enough to evaluate the rule's conditions again after the event has passed. A key is the text of a
// part of a condition that reads nothing else, such as `size(before.live) == 2`; its value is in
// JSON, null if the part had no value.
type Kept map[string]json.RawMessage

// ErrNotKept is the error of a condition that depends on something of the event that was not kept,
// because it was too large, or because the decision is older than Kept.
var ErrNotKept = errors.New("what the condition read of the event was not kept")

// maxKept bounds all values together, in bytes, because each decision has its own
// copy. Only lists of about eighty participants reach it.
const maxKept = 4096

// Keep evaluates the parts of conditions that depend on the event and on the record before it. A
// condition may be nil. Every Kept has the event's kind and leg.
func Keep(v Vars, conditions ...*Condition) Kept {
	kept := Kept{}
	for _, c := range conditions {
		if c == nil {
			continue
		}
		for text, p := range c.past {
			kept[text] = p.keep(Read(v))
		}
	}
	room := maxKept
	for _, text := range slices.SortedFunc(maps.Keys(kept), func(a, b string) int {
		return cmp.Or(len(kept[a])-len(kept[b]), strings.Compare(a, b))
	}) {
		if room -= len(kept[text]); room < 0 {
			delete(kept, text)
		}
	}
	kept["event.kind"], kept["event.call_sid"] = inJSON(v.Event.Kind), inJSON(v.Event.CallSid)
	return kept
}

// Event returns the kind and the leg of the event that was kept, nil if none was.
func (k Kept) Event() *events.Event {
	e := &events.Event{}
	if json.Unmarshal(k["event.kind"], &e.Kind) != nil || json.Unmarshal(k["event.call_sid"], &e.CallSid) != nil {
		return nil
	}
	return e
}

// Recall is Read at a later time than the event's: conditions read the event
// and the record before it from kept, and everything else from v.
func Recall(v Vars, kept Kept) *Reading { return &Reading{vars: v, recalls: true, kept: kept} }

// recollection are the variables of a condition at a later time than the event's.
type recollection struct {
	*Reading
	of *Condition
}

// ResolveName is part of cel.Activation.
func (r recollection) ResolveName(name string) (any, bool) {
	text, past := strings.CutPrefix(name, pastMark)
	var values any
	switch {
	case past && json.Unmarshal(r.kept[text], &values) == nil:
		return r.recall(values, r.of.past[text].typ), true
	case past, name == "participant" && r.vars.Participant == nil && r.vars.Event == nil:
		return unknown, true
	}
	return r.Reading.ResolveName(name)
}

// unknown stands for a value that was not kept. CEL then treats what depends on
// it, and only that, as unknown.
var unknown = types.NewUnknown(0, nil)

// pastMark begins the names that replace parts in the rest of a condition. CEL
// cannot parse a name with these characters, so no rule file contains one.
const pastMark = "@past "

// past is a part of a condition that depends only on the event and the record before it.
type past struct {
	program cel.Program
	typ     *cel.Type
	// fields are those that the condition reads of participants.
	fields []string
}

// splitter extracts these parts from one condition.
type splitter struct {
	ast    *ast.AST
	parts  map[string]*past
	names  map[int64]string // of the extracted nodes, by id
	fields []string
}

// split returns the largest parts of a checked condition that depend only on the event and the
// record before it, by their text, and the condition with names in their place.
func split(checked *cel.Ast) (parts map[string]*past, rest cel.Program, err error) {
	s := &splitter{checked.NativeRep(), map[string]*past{}, map[int64]string{}, []string{"call_sid"}}
	root := ast.NavigateAST(s.ast)
	for _, e := range ast.MatchDescendants(root, ast.KindMatcher(ast.SelectKind)) {
		if s.ast.GetType(e.AsSelect().Operand().ID()).IsExactType(participantType) {
			s.fields = append(s.fields, e.AsSelect().FieldName())
		}
	}
	if err := s.extract(root); err != nil {
		return nil, nil, err
	}
	factory, refs := ast.NewExprFactory(), maps.Clone(s.ast.ReferenceMap())
	remaining := factory.CopyExpr(s.ast.Expr())
	ast.PreOrderVisit(remaining, ast.NewExprVisitor(func(e ast.Expr) {
		if name, taken := s.names[e.ID()]; taken {
			e.SetKindCase(factory.NewIdent(e.ID(), name))
			refs[e.ID()] = ast.NewIdentReference(name, nil)
		}
	}))
	rest, err = plan(s.ast, remaining, refs)
	return s.parts, rest, err
}

// extract extracts such parts from an expression.
func (s *splitter) extract(e ast.NavigableExpr) error {
	ofPast, ofElse := reads(e)
	switch keeps := keepable(e.Type()); {
	case !ofPast:
		return nil
	case ofElse, !keeps && e.Kind() != ast.IdentKind:
		for _, child := range e.Children() {
			if err := s.extract(child); err != nil {
				return err
			}
		}
		return nil
	case !keeps:
		s.names[e.ID()] = pastMark
		return nil
	}
	text, err := parser.Unparse(e, s.ast.SourceInfo())
	if err != nil {
		return fmt.Errorf("format a part of the condition: %w", err)
	}
	program, err := plan(s.ast, e, s.ast.ReferenceMap())
	if err != nil {
		return fmt.Errorf("plan %s: %w", text, err)
	}
	s.names[e.ID()], s.parts[text] = pastMark+text, &past{program, e.Type(), s.fields}
	return nil
}

// reads reports whether an expression reads the event or the record before it, and whether it reads
// anything else: what may be different later, or the variable of a loop around it.
func reads(e ast.NavigableExpr) (ofPast, ofElse bool) {
	for _, ident := range ast.MatchDescendants(e, ast.KindMatcher(ast.IdentKind)) {
		loop, local := loopOf(ident)
		name := ident.AsIdent()
		switch {
		case local:
			ofElse = ofElse || loop.Depth() < e.Depth()
		case name == "event", name == "before":
			ofPast = true
		case name != "account":
			ofElse = true
		}
	}
	return ofPast, ofElse
}

// loopOf returns the loop that an identifier is the variable of.
func loopOf(ident ast.NavigableExpr) (loop ast.NavigableExpr, local bool) {
	name := ident.AsIdent()
	for child := ident; ; {
		parent, more := child.Parent()
		if !more {
			return nil, false
		}
		if parent.Kind() == ast.ComprehensionKind {
			c := parent.AsComprehension()
			outside := child.ID() == c.IterRange().ID() || child.ID() == c.AccuInit().ID()
			if !outside && (name == c.IterVar() || name == c.IterVar2() || name == c.AccuVar()) {
				return parent, true
			}
		}
		child = parent
	}
}

// keepable reports whether values of a type can be kept: texts, numbers, times,
// participants, and lists of these.
func keepable(t *cel.Type) bool {
	switch t.Kind() {
	case types.BoolKind, types.IntKind, types.UintKind, types.DoubleKind, types.StringKind, types.DurationKind, types.TimestampKind:
		return true
	case types.ListKind:
		return keepable(t.Parameters()[0])
	}
	return t.IsExactType(participantType)
}

// keep evaluates the part and encodes its value.
func (p *past) keep(r *Reading) json.RawMessage {
	out, _, err := p.program.Eval(r)
	if err != nil {
		return inJSON(nil)
	}
	return inJSON(p.plain(out))
}

// inJSON is the JSON of texts, lists and maps, which can always be encoded.
func inJSON(v any) json.RawMessage {
	raw, _ := json.Marshal(v)
	return raw
}

// plain converts a value to texts, lists and maps.
func (p *past) plain(v ref.Val) any {
	switch v := v.(type) {
	case *object:
		values := map[string]any{}
		for _, name := range p.fields {
			values[name] = p.plain(findField(v.typ.TypeName(), name).get(v))
		}
		return values
	case traits.Lister:
		all := []any{}
		for i := types.Int(0); i < v.Size().(types.Int); i++ {
			all = append(all, p.plain(v.Get(i)))
		}
		return all
	}
	return v.ConvertToType(types.StringType).Value()
}

// recall makes a CEL value from a decoded one.
func (r *Reading) recall(values any, t *cel.Type) ref.Val {
	switch values := values.(type) {
	case string:
		return types.String(values).ConvertToType(t)
	case []any:
		all := make([]ref.Val, len(values))
		for i := range values {
			all[i] = r.recall(values[i], t.Parameters()[0])
		}
		return types.NewRefValList(types.DefaultTypeAdapter, all)
	case map[string]any:
		leg := &Reading{vars: r.vars, fields: map[string]ref.Val{}}
		for name, value := range values {
			if f := findField(t.TypeName(), name); f != nil {
				leg.fields[name] = r.recall(value, f.typ)
			}
		}
		callSid, _ := values["call_sid"].(string)
		return leg.participant(nil, &projections.Participant{CallSid: callSid})
	}
	return types.NewErr("the value was not evaluated")
}
