package condition

import (
	"cmp"
	"fmt"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"

	"gavel/projections"
)

// variable is one variable that conditions can read.
type variable struct {
	name, doc, example string
	typ                *cel.Type
}

// variables are in the order of the reference page.
var variables = []variable{
	{name: "conference", typ: conferenceType, doc: "The conference as it is recorded.", example: `conference.live.all(p, p.hold)`},
	{name: "participant", typ: participantType,
		doc:     "The participant that a rule with `each: participant` is judged for, or that a `target` is tested on. In other rules the participant that the event names; reading it counts as reading `event`.",
		example: `participant.label == "customer" && participant.hold`},
	{name: "event", typ: eventType,
		doc:     "The event that is judged. A rule that reads it has one occasion for each event, and cannot have `for` or `wait`.",
		example: `event.kind == "participant-leave"`},
	{name: "before", typ: conferenceType, doc: "The conference as it was before the event; reading it counts as reading `event`.",
		example: `size(before.live) == 2 && size(conference.live) == 1`},
	{name: "account", typ: text, doc: "The AccountSid.", example: `account.startsWith("AC")`},
	{name: "now", typ: when,
		doc:     "The conference's own time. In parameters only: in `when` and `unless`, use an elapsed-time function or `for` instead; Gavel can compute when these change.",
		example: `now - conference.created == duration("180s")`},
}

// Bounds of one expression.
const (
	// maxLength is in characters. A longer expression is unreadable.
	maxLength = 4096
	// maxPattern bounds the program of one regular expression.
	maxPattern = 1000
)

// environment is the CEL environment that all expressions are compiled in.
var environment = sync.OnceValue(func() *cel.Env {
	registry, err := types.NewRegistry()
	if err != nil {
		panic(fmt.Errorf("make the registry of types: %w", err))
	}
	options := []cel.EnvOption{
		cel.CustomTypeProvider(provider{registry}),
		cel.CustomTypeAdapter(registry),
		ext.Strings(),
		cel.HomogeneousAggregateLiterals(),
		cel.ParserExpressionSizeLimit(maxLength),
		cel.EnableMacroCallTracking(), // for the text of a part of a condition
		cel.ASTValidators(
			cel.ValidateDurationLiterals(),
			cel.ValidateTimestampLiterals(),
			cel.ValidateRegexLiterals(),
			cel.ValidateRegexProgramSizeLimit(maxPattern),
		),
	}
	for _, v := range variables {
		options = append(options, cel.Variable(v.name, v.typ))
	}
	for _, f := range functions {
		options = append(options, f.option())
	}
	options = append(options, shownTime())
	env, err := cel.NewEnv(options...)
	if err != nil {
		panic(fmt.Errorf("make the environment of conditions: %w", err))
	}
	return env
})

// option declares the function for CEL.
func (f *function) option() cel.EnvOption {
	bound := cel.FunctionBinding(func(args ...ref.Val) ref.Val {
		if o, ok := args[0].(*object); ok && o.of.fields != nil {
			return unknown // only fields were kept
		}
		if f.call != nil {
			return f.call(args...)
		}
		return f.elapsed(args...)
	})
	if f.member {
		return cel.Function(f.name, cel.MemberOverload(f.overload(), f.args, f.result, bound))
	}
	return cel.Function(f.name, cel.Overload(f.overload(), f.args, f.result, bound))
}

func (f *function) overload() string {
	return fmt.Sprintf("gavel_%s_%d", f.name, len(f.args))
}

// elapsed returns the length of the stretch. It reports a running stretch to
// the reading, because only the length of a running stretch changes with time.
func (f *function) elapsed(args ...ref.Val) ref.Val {
	o := args[0].(*object)
	s := f.since(o, args[1:]...)
	if s.running() {
		o.of.addFlip(f.name, s.From)
	}
	return types.Duration{Duration: s.length(o.of.vars.Now)}
}

// provider adds the fields of our types to CEL's own provider.
type provider struct{ *types.Registry }

// FindStructType is part of types.Provider.
func (p provider) FindStructType(name string) (*types.Type, bool) {
	if _, ours := fields[name]; ours {
		return types.NewTypeTypeWithParam(cel.ObjectType(name)), true
	}
	return p.Registry.FindStructType(name)
}

// FindStructFieldNames is part of types.Provider.
func (p provider) FindStructFieldNames(name string) ([]string, bool) {
	all, ours := fields[name]
	if !ours {
		return p.Registry.FindStructFieldNames(name)
	}
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].name
	}
	return names, true
}

// FindStructFieldType is part of types.Provider.
func (p provider) FindStructFieldType(name, fieldName string) (*types.FieldType, bool) {
	if _, ours := fields[name]; !ours {
		return p.Registry.FindStructFieldType(name, fieldName)
	}
	f := findField(name, fieldName)
	if f == nil {
		return nil, false
	}
	return &types.FieldType{
		Type:    f.typ,
		IsSet:   func(target any) bool { return f.has(target.(*object)) },
		GetFrom: func(target any) (any, error) { return f.of(target.(*object)), nil },
	}, true
}

func findField(typeName, name string) *field {
	all := fields[typeName]
	for i := range all {
		if all[i].name == name {
			return &all[i]
		}
	}
	return nil
}

// sizes returns the maximum size of things to CEL, so that the cost of an
// evaluation can be bounded at load.
type sizes struct{}

// EstimateSize is part of cost.Estimator.
func (sizes) EstimateSize(node cost.AstNode) *cost.SizeEstimate {
	if node.ComputedSize() != nil {
		return nil
	}
	path := withoutMark(node.Path())
	switch node.Type().Kind() {
	case types.StringKind:
		return &cost.SizeEstimate{Max: atMost(path, projections.MaxText)}
	case types.ListKind:
		return &cost.SizeEstimate{Max: atMost(path, mostParticipants)}
	}
	return nil
}

// atMost returns the maximum size of the field at the end of a path, or otherwise if the path leads
// to no field of ours, or to one without a bound of its own.
func atMost(path []string, otherwise uint64) uint64 {
	var longest uint64
	for typeName := range fields {
		if len(path) == 0 {
			break
		}
		if f := findField(typeName, path[len(path)-1]); f != nil {
			longest = max(longest, cmp.Or(f.atMost, otherwise))
		}
	}
	return cmp.Or(longest, otherwise)
}

// EstimateCallCost is part of cost.Estimator.
func (sizes) EstimateCallCost(_, overload string, _ *cost.AstNode, _ []cost.AstNode) *cost.CallEstimate {
	for i := range functions {
		f := &functions[i]
		if f.overload() == overload && f.cost > 0 {
			return cost.NewCallEstimate(cost.FixedCostEstimate(f.cost), &cost.SizeEstimate{Max: mostParticipants})
		}
	}
	return nil
}
