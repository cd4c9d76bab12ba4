package rules

import "gavel/rules/condition"

// LookedAtAlways returns the set as it would be if every event could begin its
// rules about what lasts.
func LookedAtAlways(s *Set) *Set {
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
