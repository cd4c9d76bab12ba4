package lanes

import (
	"context"
	"time"

	"gavel/events"
	"gavel/rules"
)

// evaluate evaluates the rules in force at the entry's position, after any rule sets loaded since
// the conference's last entry. Before the first load only exemptions matter.
func (m *Machine) evaluate(ctx context.Context, r *Ready, c *Conference, f *folded) error {
	e := &f.entry.Event
	if m.loader == nil || c.Record == nil || len(m.state.Loads) == 0 && c.Rules == nil && e.Kind != events.Exempted {
		return nil
	}
	in, relevant := rules.InputOf(e, f.fresh)
	if !relevant {
		return nil
	}
	in.At = f.entry.received(in.At)
	inForce := m.loadsBefore(f.entry.At)
	if m.unjudged(inForce) {
		return c.exempt(f, in)
	}
	before := c.Rules
	if before != nil && e.Kind == events.Wake && !before.Alarm.IsZero() && in.At.After(before.Alarm) {
		r.Overdue = in.At.Sub(before.Alarm)
	}
	if f.before != nil && (f.before.End == nil || c.Rules != nil) {
		if err := m.catchUp(ctx, r, c, f, inForce); err != nil {
			return err
		}
	}
	set, err := m.setOf(ctx, inForce-1)
	if err != nil {
		return err
	}
	m.exemptNamed(c, f, in)
	r.judge(c, set, f, in)
	if before != nil || c.Rules != nil || len(r.Decisions)+len(r.Matches) > 0 {
		c.evaluated(f)
	}
	return nil
}

// catchUp evaluates the conference at each load between its last entry and this one, on the record
// before this entry: until the load by the set before it, then by the set that it loads.
func (m *Machine) catchUp(ctx context.Context, r *Ready, c *Conference, f *folded, inForce int) error {
	after := c.Record
	c.Record = f.before
	defer func() { c.Record = after }()
	for i := max(m.loadsBefore(f.applied), m.first()); i < inForce; i++ {
		if m.restarts(i) {
			if err := m.restart(ctx, r, c, i); err != nil {
				return err
			}
			continue
		}
		old, err := m.setOf(ctx, i-1)
		if err != nil {
			return err
		}
		set, err := m.setOf(ctx, i)
		if err != nil {
			return err
		}
		l := &m.state.Loads[i]
		if l.Exempt != nil || l.Reset != "" {
			if in := (rules.Input{ID: l.ID, At: l.At, Reset: l.Reset}); l.exempts(c, &in) || l.Reset != "" {
				r.judge(c, set, f, in)
			}
			continue
		}
		if c.Rules != nil {
			r.judge(c, old, f, rules.Input{ID: l.ID, At: l.At})
		}
		r.judge(c, set, f, rules.Input{ID: l.ID, At: l.At, Loaded: rules.LoadOf(old, set)})
	}
	return nil
}

// exemptNamed applies the exemptions of a conference's name where the name becomes known.
func (m *Machine) exemptNamed(c *Conference, f *folded, in rules.Input) {
	if f.before != nil && f.before.FriendlyName.Value == c.Record.FriendlyName.Value {
		return
	}
	m.applyNames(c, f.entry.At, in.At)
}

// applyNames applies the exemptions of a conference's name from before a position.
func (m *Machine) applyNames(c *Conference, before events.Position, now time.Time) {
	for i := range m.state.Names {
		if x := &m.state.Names[i]; x.of(c.Record) && before.After(x.Position) && x.Until.After(now) {
			c.Rules = rules.ExemptUnjudged(c.Rules, x.until(), now)
		}
	}
}

// unjudged reports whether an entry after that many loads is before this machine's engine came into
// force. It is folded and not evaluated, so that a fill needs no set of rules that an older build
// compiled, and a lane without a fill has the same state.
func (m *Machine) unjudged(loads int) bool { return loads > 0 && loads <= m.first() }

// exempt applies an operator's exemption, which no engine changes.
func (c *Conference) exempt(f *folded, in rules.Input) error {
	if in.Exemption != nil {
		c.Rules = rules.ExemptUnjudged(c.Rules, *in.Exemption, in.At)
		c.evaluated(f)
	}
	return nil
}

// restart evaluates the conference at the load with which this machine's engine came into force.
func (m *Machine) restart(ctx context.Context, r *Ready, c *Conference, i int) error {
	set, err := m.setOf(ctx, i)
	if err != nil {
		return err
	}
	l := &m.state.Loads[i]
	m.applyNames(c, l.Position, l.At)
	r.addJudgement(c, rules.Restart(set, c.Rules, rules.Input{ID: l.ID, At: l.At}, c.Record))
	return nil
}

// exempts sets the exemption of an input if the load exempts the conference.
func (l *load) exempts(c *Conference, in *rules.Input) bool {
	if l.Exempt == nil || !l.Exempt.of(c.Record) {
		return false
	}
	x := l.Exempt.until()
	in.Exemption = &x
	return true
}

// judge calls Judge once and adds what it returns.
func (r *Ready) judge(c *Conference, set *rules.Set, f *folded, in rules.Input) {
	r.addJudgement(c, rules.Judge(set, c.Rules, f.before, in, c.Record))
}

func (r *Ready) addJudgement(c *Conference, j rules.Judgement) {
	c.Rules = j.State
	r.add(j.Decisions)
	r.Faults = append(r.Faults, j.Faults...)
	if !j.Wake.IsZero() {
		r.Alarm = j.Wake
	}
}
