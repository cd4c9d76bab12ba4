package condition

import (
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
)

const (
	// MaxCost bounds one evaluation, and all evaluations of a condition for one event, in CEL's units
	// of at most 50 ns: a loop over all participants inside another still fits, three do not.
	MaxCost = 1_000_000
	// MostSubjects is how many participants a rule is judged for in a full room.
	MostSubjects = mostParticipants
)

// Cost bounds what a condition costs for one event in a full room, in CEL's units. Texts are as long
// as a record can hold them, so that an evaluation usually costs far less.
type Cost struct {
	// Once are the shared parts, by their text: each is evaluated once, for all subjects and rules.
	Once map[string]uint64
	// Each is the rest, which is evaluated for each subject.
	Each uint64
	// Line and Column are those of the first loop that reads participant, or else of the condition.
	Line, Column int
}

// For returns the cost for a number of subjects.
func (c Cost) For(subjects uint64) uint64 {
	sum := cost.SafeMultiply(c.Each, subjects)
	for _, part := range c.Once {
		sum = cost.SafeAdd(sum, part)
	}
	return sum
}

// Cost returns what the condition costs.
func (c *Condition) Cost() Cost { return c.cost }

// bound estimates the cost of a condition from its shared parts and the rest.
func (s *sharer) bound(rest ast.Expr, refs map[int64]*ast.ReferenceInfo) (c Cost, err error) {
	c.Line = 1
	if loop := s.loop; loop != nil {
		at := s.ast.SourceInfo().GetStartLocation(loop.ID())
		c.Line, c.Column = at.Line(), at.Column()
	}
	c.Once = map[string]uint64{}
	for name, part := range s.exprs {
		if c.Once[strings.TrimPrefix(name, sharedMark)], err = s.estimate(part, s.ast.ReferenceMap()); err != nil {
			return Cost{}, err
		}
	}
	c.Each, err = s.estimate(rest, refs)
	return c, err
}

// estimate returns the bound of an expression that was made from the checked one. CEL's functions that
// our environment adds have their bounds there, so the estimate is the environment's own.
func (s *sharer) estimate(e ast.Expr, refs map[int64]*ast.ReferenceInfo) (uint64, error) {
	encoded, err := ast.ToProto(ast.NewCheckedAST(ast.NewAST(e, s.ast.SourceInfo()), s.ast.TypeMap(), refs))
	if err != nil {
		return 0, fmt.Errorf("encode a part of the condition: %w", err)
	}
	estimate, err := environment().EstimateCost(cel.CheckedExprToAst(encoded), sizes{})
	if err != nil {
		return 0, fmt.Errorf("estimate its cost: %w", err)
	}
	return estimate.Max, nil
}

// withoutMark returns a path of which the name of a shared part is the last element as the path
// of the field that the part ends with, as in `conference.participants`.
func withoutMark(path []string) []string {
	if len(path) == 0 || !isShared(path[len(path)-1]) {
		return path
	}
	return strings.Split(path[len(path)-1], ".")
}
