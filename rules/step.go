package rules

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"gavel/rules/condition"
	"gavel/rules/schema"
)

// steps reads the ladder.
func (b *builder) steps() {
	nodes := b.node.Key("do").Items()
	for i, n := range nodes {
		s := b.step(n)
		b.rule.Do = append(b.rule.Do, s)
		if s.Kind == StepWait && (i == 0 || i == len(nodes)-1) {
			b.Fault(n.At, "wait must be between two steps; use `for` before the first, and nothing waits after the last")
		}
	}
}

func (b *builder) step(n *schema.Node) Step {
	s := Step{Line: n.At.Line, To: EachConference, OnFailure: OnFailure(cmp.Or(n.Key("on_failure").Text(), string(Stop)))}
	for _, name := range n.Keys() {
		if name != "on_failure" {
			s.Kind = StepKind(name)
		}
	}
	inside := n.Key(string(s.Kind))
	if s.Kind == StepWait {
		s.Wait = span(b.Document, inside, minTime)
		return s
	}
	b.address(&s, inside, n.At)
	b.parameters(&s, inside)
	b.check(&s, inside, n.At)
	return s
}

// address sets what the step acts on: the conference or participants.
func (b *builder) address(s *Step, n *schema.Node, at schema.Place) {
	target, to := n.Key("target"), n.Key("to")
	if s.Target = compile(b.Document, target, condition.Compile); s.Target != nil {
		b.adviseGuards(target, s.Target.Unguarded)
	}
	if target != nil && s.Target != nil && (s.Target.Uses("event") || s.Target.Uses("before")) && !b.rule.PerEvent() {
		b.Fault(target.At, "reads event or before, which are only available if the condition of the rule reads them")
	}
	switch s.Kind {
	case StepKick, StepMute, StepUnmute, StepHold, StepUnhold, StepSet:
		s.To = EachParticipant
	case StepAnnounce:
		if target != nil || to.Text() == string(EachParticipant) {
			s.To = EachParticipant
		}
		if target != nil && to.Text() == string(EachConference) {
			b.Fault(to.At, "a step with a target acts on participants, so `to` cannot be the conference")
		}
	}
	if s.To == EachParticipant && target == nil && b.rule.Each != EachParticipant {
		b.Fault(at, "needs a target, or `each: participant` in the rule, to select participants")
	}
}

// parameters compiles all parameters that are texts.
func (b *builder) parameters(s *Step, n *schema.Node) {
	s.Params = map[string]*condition.Expression{}
	for _, name := range n.Keys() {
		value := n.Key(name)
		switch {
		case value == nil || name == "target" || name == "to":
		case name == "data":
			s.Data = map[string]*condition.Expression{}
			for _, field := range value.Keys() {
				if item := value.Key(field); item != nil {
					s.Data[field] = b.text(item, s.To == EachParticipant)
				}
			}
		default:
			s.Params[name] = b.text(value, s.To == EachParticipant)
		}
	}
}

func (b *builder) text(n *schema.Node, toParticipant bool) *condition.Expression {
	x := compile(b.Document, n, condition.CompileText)
	b.checkVariables(n, x, toParticipant)
	if x != nil {
		b.adviseGuards(n, x.Unguarded)
	}
	return x
}

// adviseGuards warns of times that may be missing where an expression reads them; `when` guards all other
// expressions of the rule.
func (b *builder) adviseGuards(n *schema.Node, all []condition.Unguarded) {
	for _, u := range all {
		if b.rule.When == nil || !b.rule.When.Excludes(u.Read) {
			b.Advise(b.Within(n, u.Line, u.Column), "%s may be missing, and is then less than every time; write has(%s) && in front", u.Read, u.Read)
		}
	}
}

// checkVariables adds faults for variables that have no value when the parameter is evaluated: a
// rule that is about a stretch has no event at its deadline.
func (b *builder) checkVariables(n *schema.Node, x *condition.Expression, toParticipant bool) {
	if x == nil || b.rule.When == nil || b.rule.PerEvent() {
		return
	}
	for _, name := range []string{"event", "before"} {
		if x.Uses(name) {
			b.Fault(n.At, "reads %s, which is only available if the condition of the rule reads it", name)
		}
	}
	if x.Uses("participant") && b.rule.Each != EachParticipant && !toParticipant {
		b.Fault(n.At, "reads participant: write `each: participant`, or give the step a target")
	}
}

// check adds faults for single parameters.
func (b *builder) check(s *Step, n *schema.Node, at schema.Place) {
	for _, name := range []string{"url", "file", "hold_url", "wait_url"} {
		if value := n.Key(name); value != nil && !isWebAddress(value.Text()) {
			b.Fault(value.At, "%s must begin with http:// or https:// and a literal host, without a password", name)
		}
	}
	if subject := n.Key("subject"); subject != nil && !isSubject(subject.Text()) {
		b.Fault(subject.At, "the subject must be words separated by dots; the first word must be literal, must not be gavel and must not start with $ or _")
	}
	if s.Kind == StepKick && n.Key("ends_conference") == nil {
		b.Advise(at, "skips participants whose leaving ends the conference; write ends_conference: true to remove them too, or false if that is meant")
	}
	if s.Kind == StepSet && !changesAny(n) {
		b.Fault(at, "changes nothing: set at least one flag")
	}
}

// webAddress has a literal host, without expressions: the author of the rule
// decides which host is called, never a caller's data.
var webAddress = regexp.MustCompile(`^https?://[A-Za-z0-9.\[\]:-]+(/|$)`)

func isWebAddress(text string) bool {
	if !webAddress.MatchString(text) {
		return false
	}
	host, _, _ := strings.Cut(text, "${")
	u, err := url.Parse(host)
	return err == nil && u.Hostname() != "" && u.User == nil
}

// subjectWords are words of a NATS subject, where ${...} is an expression's value.
var subjectWords = regexp.MustCompile(`^[A-Za-z0-9-][A-Za-z0-9_-]*(\.([A-Za-z0-9_-]|\$\{[^}]*\})+)*$`)

func isSubject(text string) bool {
	first, _, _ := strings.Cut(text, ".")
	return subjectWords.MatchString(text) && first != "gavel"
}

func changesAny(n *schema.Node) bool {
	return slices.ContainsFunc(n.Keys(), func(name string) bool { return name != "target" && name != "when_held" })
}
