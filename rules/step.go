package rules

import (
	"net/url"
	"regexp"
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
			b.Fault(n.At, "wait stands between two steps; before the first `for` says how long, and after the last nothing waits")
		}
	}
}

func (b *builder) step(n *schema.Node) Step {
	s := Step{Line: n.At.Line, To: EachConference, OnFailure: OnFailure(orElse(n.Key("on_failure").Text(), string(Stop)))}
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

// address finds out for whom the step is.
func (b *builder) address(s *Step, n *schema.Node, at schema.Place) {
	target, to := n.Key("target"), n.Key("to")
	s.Target = compile(b.Document, target)
	if target != nil && s.Target != nil && (s.Target.UsesEvent() || s.Target.UsesBefore()) && !b.rule.PerEvent() {
		b.Fault(target.At, "reads event or before, which only a rule has whose condition reads them")
	}
	switch s.Kind {
	case StepKick, StepMute, StepUnmute, StepHold, StepUnhold, StepSet:
		s.To = EachParticipant
	case StepAnnounce:
		if target != nil || to.Text() == string(EachParticipant) {
			s.To = EachParticipant
		}
		if target != nil && to.Text() == string(EachConference) {
			b.Fault(to.At, "a target is a participant, so it cannot be to the conference")
		}
	}
	if s.To == EachParticipant && target == nil && b.rule.Each != EachParticipant {
		b.Fault(at, "needs a target, or `each: participant` in the rule: which participant?")
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
	x := compileText(b.Document, n)
	b.known(n, x, toParticipant)
	return x
}

// known says which variables a parameter reads that are not there when it is
// evaluated: a rule that is about a stretch has no event at its deadline.
func (b *builder) known(n *schema.Node, x *condition.Expression, toParticipant bool) {
	if x == nil || b.rule.When == nil || b.rule.PerEvent() {
		return
	}
	for _, name := range []string{"event", "before"} {
		if x.Uses(name) {
			b.Fault(n.At, "reads %s, which only a rule has whose condition reads it", name)
		}
	}
	if x.Uses("participant") && b.rule.Each != EachParticipant && !toParticipant {
		b.Fault(n.At, "reads participant: write `each: participant`, or give the step a target")
	}
}

// check says what is wrong with single parameters.
func (b *builder) check(s *Step, n *schema.Node, at schema.Place) {
	for _, name := range []string{"url", "file", "hold_url", "wait_url"} {
		if value := n.Key(name); value != nil && !isWebAddress(value.Text()) {
			b.Fault(value.At, "%s has to begin with http:// or https:// and a host that is written out, without a password", name)
		}
	}
	if subject := n.Key("subject"); subject != nil && !isSubject(subject.Text()) {
		b.Fault(subject.At, "the subject has to be words between dots, the first of them written out and neither gavel nor with a $ or _ in front")
	}
	if s.Kind == StepSet && !changesAny(n) {
		b.Fault(at, "changes nothing: name a flag")
	}
}

// webAddress has a host in which nothing is put in by an expression: where a
// call goes to is decided by who writes the rule, not by who calls.
var webAddress = regexp.MustCompile(`^https?://[A-Za-z0-9.\[\]:-]+(/|$)`)

func isWebAddress(text string) bool {
	if !webAddress.MatchString(text) {
		return false
	}
	host, _, _ := strings.Cut(text, "${")
	u, err := url.Parse(host)
	return err == nil && u.Hostname() != "" && u.User == nil
}

// subjectWords are words of a NATS subject, where ${...} stands for what an
// expression puts in.
var subjectWords = regexp.MustCompile(`^[A-Za-z0-9-][A-Za-z0-9_-]*(\.([A-Za-z0-9_-]|\$\{[^}]*\})+)*$`)

func isSubject(text string) bool {
	first, _, _ := strings.Cut(text, ".")
	return subjectWords.MatchString(text) && first != "gavel"
}

func changesAny(n *schema.Node) bool {
	for _, name := range n.Keys() {
		if name != "target" && name != "when_held" {
			return true
		}
	}
	return false
}
