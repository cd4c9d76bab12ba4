package rules

import (
	"reflect"

	"gavel/projections"
	"gavel/rules/condition"
)

// JudgedAlways returns a copy of the set where every event may begin the rules
// about stretches, so that Judge evaluates them for every event.
func JudgedAlways(s *Set) *Set {
	all := *s
	all.Rules = nil
	for _, r := range s.Rules {
		always := *r
		if !r.PerEvent() {
			always.On, always.written = condition.Known, true
		}
		all.Rules = append(all.Rules, &always)
	}
	return &all
}

// CheckedSince returns Parse and ParseAccepted of a build that has one more check, which came with
// an engine and finds the rules of that name.
func CheckedSince(engine int, name string) (parse, accept func(...File) (*Set, error)) {
	check := func(b *builder) {
		if b.rule.Name == name {
			b.FaultSince(engine, b.node.At, "the name is no longer allowed")
		}
	}
	parse = func(files ...File) (*Set, error) { return (&parser{check: check}).proposed(files) }
	accept = func(files ...File) (*Set, error) { return (&parser{check: check}).accepted(files) }
	return parse, accept
}

// IdleThatChange judges all rules for participants that Judge would skip after an input, and returns their
// number, and which of them change, decide or report something.
func IdleThatChange(set *Set, state *State, before *projections.Conference, in Input, after *projections.Conference) (idle int, changed []string) {
	c := &evaluation{set: set, state: state.copy(), cause: cause{name: in.ID}}
	c.setVars(before, in.Fact, after)
	for _, r := range set.Rules {
		if !c.applies(r) || !c.idle(r) {
			continue
		}
		idle++
		was := c.state.copy()
		for _, p := range after.Participants {
			c.judgeSubject(r, p, true)
		}
		if !reflect.DeepEqual(was, c.state) || len(c.decisions)+len(c.faults) > 0 {
			changed = append(changed, r.Name)
		}
		c.decisions, c.faults = nil, nil
	}
	return idle, changed
}
