package rules

import "gavel/rules/condition"

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
