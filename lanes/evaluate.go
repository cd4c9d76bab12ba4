package lanes

import (
	"context"

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
	before := c.Rules
	if before != nil && e.Kind == events.Wake && !before.Alarm.IsZero() && in.At.After(before.Alarm) {
		r.Overdue = in.At.Sub(before.Alarm)
	}
	inForce := m.loadsBefore(f.entry.At)
	if f.before != nil && (f.before.End == nil || c.Rules != nil) {
		if err := m.catchUp(ctx, r, c, f, inForce); err != nil {
			return err
		}
	}
	set, err := m.setOf(ctx, inForce-1)
	if err != nil {
		return err
	}
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
	for i := m.loadsBefore(f.applied); i < inForce; i++ {
		old, err := m.setOf(ctx, i-1)
		if err != nil {
			return err
		}
		set, err := m.setOf(ctx, i)
		if err != nil {
			return err
		}
		l := &m.state.Loads[i]
		if c.Rules != nil {
			r.judge(c, old, f, rules.Input{ID: l.ID, At: l.At})
		}
		r.judge(c, set, f, rules.Input{ID: l.ID, At: l.At, Loaded: &rules.Load{Changed: rules.Changed(old, set)}})
	}
	return nil
}

// judge calls Judge once and adds what it returns.
func (r *Ready) judge(c *Conference, set *rules.Set, f *folded, in rules.Input) {
	j := rules.Judge(set, c.Rules, f.before, in, c.Record)
	c.Rules = j.State
	r.add(j.Decisions)
	r.Faults = append(r.Faults, j.Faults...)
	if !j.Wake.IsZero() {
		r.Alarm = j.Wake
	}
}
