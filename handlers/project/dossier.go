package project

import (
	"context"
	"fmt"
	"time"

	"gavel/events"
	"gavel/projections"
	"gavel/rules"
)

// dossier is what is on file of one conference: its record, and its rule state
// decoded (Stored.Rules is not used).
type dossier struct {
	projections.Stored
	state *rules.State
}

// openDossier decodes what the store gave.
func openDossier(kept projections.Stored) (dossier, error) {
	state, err := rules.DecodeState(kept.Rules)
	kept.Rules = nil
	return dossier{kept, state}, err
}

// kept is what the store keeps.
func (f *dossier) kept() (projections.Stored, error) {
	raw, err := rules.EncodeState(f.state)
	kept := f.Stored
	kept.Rules = raw
	return kept, err
}

// heard is an entry of a conference after its fold.
type heard struct {
	event *events.Event
	at    events.Position
	// fresh: it is no double, and is to be told as news.
	fresh bool
	// before and applied are the record before it, and how far that was worked.
	before  *projections.Conference
	applied events.Position
}

// fold tells the record an entry. The error is one of an entry that can never
// be folded.
func (f *dossier) fold(e *events.Event, at events.Position) (heard, error) {
	h := heard{event: e, at: at, before: f.Conference, applied: f.Book.Applied}
	var err error
	switch e.Kind {
	case events.Wake, events.Reread:
		return h, nil // they only say that it is to be judged
	case events.Exempted:
		h.fresh = f.Conference != nil // it changes no record and is told with one
	default:
		f.Conference, h.fresh, err = projections.Fold(f.Conference, e)
	}
	if err == nil && h.fresh {
		f.note(at)
		f.Book.Heard = max(f.Book.Heard, projections.At(e.ReceivedAt))
	}
	return h, err
}

// note keeps the books of one change.
func (f *dossier) note(at events.Position) {
	f.Book.Version++
	f.Book.Applied = at
}

// sitting is what judging one entry led to.
type sitting struct {
	decisions []rules.Decision
	alarm     time.Time // for when to set the alarm, or zero
	faults    []rules.ExpressionFault
	// overslept is how long after its alarm a wake-up came.
	overslept time.Duration
	judged    bool
}

// judge holds an entry against the rules in force at its place, after the loads
// that the conference slept through. A nil docket judges nothing, nor does one
// without loads, but for what persons said before the first.
func (d *docket) judge(ctx context.Context, f *dossier, h heard) (s sitting, err error) {
	if d == nil || f.Conference == nil || len(d.state.Loads) == 0 && f.state == nil && h.event.Kind != events.Exempted {
		return s, nil
	}
	in, says := rules.InputOf(h.event, h.fresh)
	if !says {
		return s, nil
	}
	if f.state != nil && h.event.Kind == events.Wake && !f.state.Alarm.IsZero() && in.At.After(f.state.Alarm) {
		s.overslept = in.At.Sub(f.state.Alarm)
	}
	before := f.state
	inForce := d.before(h.at)
	if h.before != nil && (h.before.End == nil || f.state != nil) {
		if err := d.catchUp(ctx, f, h, inForce, &s); err != nil {
			return s, err
		}
	}
	set, err := d.setOf(ctx, inForce-1)
	if err != nil {
		return s, err
	}
	s.hear(f, set, h.before, in)
	if before != nil || f.state != nil || len(s.decisions) > 0 {
		f.keep(h)
	}
	return s, nil
}

// catchUp judges the conference at the loads behind what it was worked up to:
// until each load by the rules before, then by those that it brought.
func (d *docket) catchUp(ctx context.Context, f *dossier, h heard, inForce int, s *sitting) error {
	after := f.Conference
	f.Conference = h.before
	defer func() { f.Conference = after }()
	for i := d.before(h.applied); i < inForce; i++ {
		old, err := d.setOf(ctx, i-1)
		if err != nil {
			return err
		}
		set, err := d.setOf(ctx, i)
		if err != nil {
			return err
		}
		l := &d.state.Loads[i]
		if f.state != nil {
			s.hear(f, old, h.before, rules.Input{ID: l.ID, At: l.At})
		}
		s.hear(f, set, h.before, rules.Input{ID: l.ID, At: l.At, Loaded: &rules.Load{Changed: rules.Changed(old, set)}})
	}
	return nil
}

// hear is one call of Judge.
func (s *sitting) hear(f *dossier, set *rules.Set, before *projections.Conference, in rules.Input) {
	j := rules.Judge(set, f.state, before, in, f.Conference)
	f.state, s.judged = j.State, true
	s.decisions = append(s.decisions, j.Decisions...)
	s.faults = append(s.faults, j.Faults...)
	if !j.Wake.IsZero() {
		s.alarm = j.Wake
	}
}

// keep notes that the rule state changed at an entry, and when the conference
// is due next.
func (f *dossier) keep(h heard) {
	if !h.fresh {
		f.note(h.at)
	}
	f.Book.Due = dueAt(f.state.Next())
}

// dueAt is a deadline as the books have it: never before it is due.
func dueAt(deadline time.Time) int64 {
	if deadline.IsZero() {
		return 0
	}
	return deadline.Add(time.Millisecond - 1).UnixMilli()
}

// rules are the bytes to be saved of the rule state: nil where there is nothing
// and was nothing, empty where it has gone.
func (f *dossier) rules(before *rules.State) ([]byte, error) {
	raw, err := rules.EncodeState(f.state)
	if err != nil {
		return nil, fmt.Errorf("keep what rules know of a conference: %w", err)
	}
	if raw == nil && before != nil {
		raw = []byte{}
	}
	return raw, nil
}
