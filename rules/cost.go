package rules

import (
	"fmt"

	"gavel/rules/condition"
	"gavel/rules/schema"
)

const (
	// maxSetCost bounds (ADR 0040) what all rules together cost for one event in a full room: a second at worst.
	// What is usual is far below, because texts are short and most rules are not about most events.
	maxSetCost = 20 * condition.MaxCost
	// costSince is the engine that began to count subjects and the whole set.
	costSince = 3
)

// priced is a condition of the set with its place in a file and what it costs for one event.
type priced struct {
	fault schema.Fault // without its message
	cost  condition.Cost
	// subjects is for how many participants it is evaluated, 1 for the conference.
	subjects uint64
}

// costs checks what each condition of the rule costs for one event, with all participants that it is
// evaluated for. The bound of one evaluation is checked where the condition is compiled.
func (b *builder) costs() {
	r, subjects := b.rule, uint64(1)
	if r.Each == EachParticipant {
		subjects = condition.MostSubjects
	}
	b.price(b.node.Key("when"), r.When, subjects)
	b.price(b.node.Key("unless"), r.Unless, subjects)
	for i, n := range b.node.Key("do").Items() {
		if i < len(r.Do) && r.Do[i].Target != nil {
			b.checkCost(n.Key(string(r.Do[i].Kind)).Key("target"), r.Do[i].Target, condition.MostSubjects)
		}
	}
}

// price checks a condition and adds it to those that the set's cost consists of.
func (b *builder) price(n *schema.Node, c *condition.Condition, subjects uint64) {
	if c == nil {
		return
	}
	at := b.checkCost(n, c, subjects)
	if b.rule.Mode != Off {
		b.priced = append(b.priced, priced{schema.Fault{File: b.rule.File, Line: at.Line, Column: at.Column, Rule: b.rule.Name, Since: costSince}, c.Cost(), subjects})
	}
}

// checkCost checks a condition, and returns the place of what is evaluated for each participant.
func (b *builder) checkCost(n *schema.Node, c *condition.Condition, subjects uint64) schema.Place {
	cost := c.Cost()
	at := b.Within(n, cost.Line, cost.Column)
	if total := cost.For(subjects); total > condition.MaxCost {
		b.FaultSince(costSince, at, "costs up to %d units for one event in a conference of %d participants, more than %d, of which up to %d for each participant; "+
			"a loop that reads participant is the usual reason",
			total, condition.MostSubjects, condition.MaxCost, cost.Each)
	}
	return at
}

// checkCosts checks what all conditions of the set cost together. A part that several of them have counts once.
func (p *parser) checkCosts() {
	var total, most uint64
	var worst schema.Fault
	seen := map[string]bool{}
	for _, one := range p.priced {
		own := condition.Cost{Once: map[string]uint64{}, Each: one.cost.Each}
		for text, cost := range one.cost.Once {
			if !seen[text] {
				seen[text], own.Once[text] = true, cost
			}
		}
		cost := min(own.For(one.subjects), maxSetCost)
		if total += cost; cost > most {
			most, worst = cost, one.fault
		}
	}
	if total > maxSetCost {
		worst.Message = fmt.Sprintf("all rules together cost up to %d units for one event in a conference of %d participants, more than %d; this condition costs the most, up to %d",
			total, condition.MostSubjects, maxSetCost, most)
		p.faults = append(p.faults, worst)
	}
}
