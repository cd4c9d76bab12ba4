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
