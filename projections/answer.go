package projections

import (
	"cmp"

	"gavel/events"
)

// keepFlags keeps the later statement of the leg's flags.
func (p *Participant) keepFlags(stated Stated[Flags]) {
	if p.Answer == nil {
		p.Flags = later(p.Flags, stated, compareFlags)
		return
	}
	a := *p.Answer
	a.Others = later(a.Others, stated, compareFlags)
	p.Answer = &a
}

// keepAnswer keeps the later of two answers about the leg.
func (p *Participant) keepAnswer(a Answer) {
	switch {
	case p.Answer == nil:
		a.Others = p.Flags
	case compareAnswers(a, *p.Answer) <= 0:
		return
	default:
		a.Others = p.Answer.Others
	}
	p.Answer = &a
}

func compareAnswers(a, b Answer) int {
	return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Milli, b.Milli), cmp.Compare(a.Behind, b.Behind), compareFlags(a.Flags, b.Flags))
}

// placed returns the place of p.Answer among the events of the leg (ADR 0043): right behind the latest one that
// was certainly before it. That is the join that the record lacked, because Twilio answered about a leg
// that was there, an earlier answer, and every turn that is older by more than clocks differ. All other
// callbacks are later and override it. ok is false until such an event is folded.
func (p *Participant) placed() (place Turn, ok bool) {
	a := p.Answer
	if a == nil {
		return place, false
	}
	place = Turn{Seq: events.NoSequence, At: a.At, Healed: true, Milli: a.Milli}
	if join := p.lackedJoin(); join.On && join.At <= a.At+clockDifference {
		place.Seq = join.Seq
	}
	if o := a.Others; o.Healed != 0 && cmp.Or(cmp.Compare(o.Healed, a.At), cmp.Compare(o.Milli, a.Milli)) < 0 {
		place.Seq = max(place.Seq, o.Seq)
	}
	for _, turns := range [][]Turn{p.Present, p.Held, p.Muted} {
		for _, t := range turns {
			if !t.Healed && t.At < a.At-clockDifference {
				place.Seq = max(place.Seq, t.Seq)
			}
		}
	}
	return place, place.Seq != events.NoSequence
}

// lackedJoin is the join that the record lacked when Twilio was called: the leg's first turn after
// Behind, unless the leg was there already. Its zero value means that no such join is folded.
func (p *Participant) lackedJoin() (join Turn) {
	there := false
	for _, t := range p.Present {
		switch {
		case t.Healed:
		case t.Seq <= p.Answer.Behind:
			there = t.On
		case there:
			return join
		default:
			return t
		}
	}
	return join
}

// place lets the answer decide the flags, unless a later callback does.
func (p *Participant) place() {
	if p.Answer == nil {
		return
	}
	p.Flags = p.Answer.Others
	if place, ok := p.placed(); ok {
		stated := Stated[Flags]{Seq: place.Seq, Value: p.Answer.Flags, Milli: place.Milli, Healed: place.At}
		p.Flags = later(p.Flags, stated, compareFlags)
	}
}

// held and muted are Held and Muted with what the answer states at its place.
func (p *Participant) held() []Turn {
	return p.withAnswer(p.Held, func(f Flags) bool { return f.Hold })
}

func (p *Participant) muted() []Turn {
	return p.withAnswer(p.Muted, func(f Flags) bool { return f.Muted })
}

func (p *Participant) withAnswer(turns []Turn, flag func(Flags) bool) []Turn {
	place, ok := p.placed()
	if !ok {
		return turns
	}
	place.On = flag(p.Answer.Flags)
	return withTurn(turns, place)
}
