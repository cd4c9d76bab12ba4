package storetest

import (
	"testing"

	"gavel/events"
	"gavel/projections"
)

// unreadable checks that every read of a picture that is not complete fails with target.
func (p *process) unreadable(when string, target error) {
	p.t.Helper()
	_, err := p.store.Conference(p.ctx(), keyOf(conference(1, noon)))
	wantErr(p.t, "read a conference "+when, err, target)
	_, err = p.store.Conferences(p.ctx(), account(1), projections.Query{Limit: 10})
	wantErr(p.t, "list "+when, err, target)
	_, err = p.store.Accounts(p.ctx())
	wantErr(p.t, "read accounts "+when, err, target)
	_, err = p.store.Armed(p.ctx(), "", 10)
	wantErr(p.t, "list deadlines "+when, err, target)
}

func neverFilled(t *testing.T, h Harness) {
	p := open(t, h, 2)
	wantErr(t, "check", p.store.Check(p.ctx(), 0, 0), projections.ErrLost)
	p.unreadable("of a picture never filled", projections.ErrLost)

	p.build(0)
	p.build(1)
	p.unreadable("while it is filled", projections.ErrFilling)
	wantErr(t, "check while it is filled", p.store.Check(p.ctx(), 0, 0), projections.ErrLost)
}

func emptied(t *testing.T, h Harness) {
	c := conference(1, noon)
	for step, do := range map[string]func(*process) error{
		"load":  func(p *process) error { _, err := p.tryLoad(keyOf(c)); return err },
		"save":  func(p *process) error { return p.trySave(started(c)) },
		"note":  func(p *process) error { return p.store.NoteApplied(p.ctx(), 0, p.at, nil, "") },
		"check": func(p *process) error { return p.store.Check(p.ctx(), 0, 0) },
		"due":   func(p *process) error { _, err := p.store.Due(p.ctx(), 0, noon.Time(), 9); return err },
		"save of a new record": func(p *process) error {
			return p.trySave(conference(2, noon))
		},
	} {
		h.Empty(t)
		p := filled(t, h, 1, c)
		p.shows(c)
		h.Empty(t)
		wantErr(t, step, do(p), projections.ErrLost)
		p.unreadable("after it was emptied", projections.ErrLost)
	}
	p := filled(t, h, 1, c)
	p.save(started(c))
	p.shows(started(c))
}

// chainOutlives: the chain says what the journal held when the picture was written, so it must not
// be lost with the picture, nor be replaced by an older one.
func chainOutlives(t *testing.T, h Harness) {
	p := filled(t, h, 1, conference(1, noon))
	chain := func(sequence uint64, text, want string) {
		t.Helper()
		at := events.Position{Sequence: p.at.Sequence + sequence, Index: 1}
		p.must(p.store.NoteApplied(p.ctx(), 0, at, nil, text), "note")
		applied, got, err := p.store.Applied(p.ctx(), 0)
		p.must(err, "read the position")
		if got != want || applied.Sequence < at.Sequence {
			t.Errorf("at %v the chain is %q, want %q", applied, got, want)
		}
	}
	chain(1, "", "")
	chain(2, "one", "one")
	chain(3, "", "one")
	chain(5, "two", "two")
	chain(4, "older", "two")

	wantErr(t, "check of a picture behind the journal", p.store.Check(p.ctx(), 0, p.at.Sequence+9), projections.ErrLost)
	if applied, got, err := p.store.Applied(p.ctx(), 0); got != "two" || applied != (events.Position{}) || err != nil {
		t.Errorf("after the picture was lost: %v, %q, %v", applied, got, err)
	}
}

func rolledBack(t *testing.T, h Harness) {
	c := conference(1, noon)
	for step, do := range map[string]func(*process) error{
		"load":  func(p *process) error { _, err := p.tryLoad(keyOf(c)); return err },
		"save":  func(p *process) error { return p.trySave(ended(c, noon)) },
		"note":  func(p *process) error { return p.store.NoteApplied(p.ctx(), 0, p.at, nil, "") },
		"check": func(p *process) error { return p.store.Check(p.ctx(), 0, 0) },
	} {
		h.Empty(t)
		p := filled(t, h, 1, c)
		rollBack := h.Snapshot(t)
		p.save(started(c))
		rollBack()
		wantErr(t, step, do(p), projections.ErrLost)

		// The projector checks once more before it fills, and from then on no
		// reader gets the data of the old snapshot.
		wantErr(t, "check after "+step, p.store.Check(p.ctx(), 0, p.at.Sequence), projections.ErrLost)
		p.unreadable("after it was rolled back", projections.ErrLost)
		p.fill(started(c))
		p.check(p.at.Sequence)
		p.shows(started(c))
	}
}

// rolledBackIdle rolls back over a batch that wrote no record: only the position shows it.
func rolledBackIdle(t *testing.T, h Harness) {
	p := filled(t, h, 1, conference(1, noon))
	rollBack := h.Snapshot(t)
	p.save()
	p.check(p.at.Sequence)
	rollBack()
	wantErr(t, "check", p.store.Check(p.ctx(), 0, 0), projections.ErrLost)
	p.unreadable("after it was rolled back", projections.ErrLost)
}

func rolledBackWhileAway(t *testing.T, h Harness) {
	c := conference(1, noon)
	p := filled(t, h, 2, c)
	rollBack := h.Snapshot(t)
	p.save(started(c))
	rollBack()

	next := open(t, h, 2)
	wantErr(t, "check against the acknowledged floor", next.store.Check(next.ctx(), 0, p.at.Sequence), projections.ErrLost)
	wantErr(t, "check of the other lane", next.store.Check(next.ctx(), 1, p.at.Sequence), projections.ErrLost)
	next.unreadable("after it was rolled back", projections.ErrLost)
}

func lanesAreApart(t *testing.T, h Harness) {
	var records []*projections.Conference
	for n := range 40 {
		records = append(records, conference(n, noon))
	}
	p := filled(t, h, 4, records...)
	// Lane 2 is behind its floor, so it is lost.
	wantErr(t, "check lane 2", p.store.Check(p.ctx(), 2, p.at.Sequence+1), projections.ErrLost)
	for _, c := range records {
		_, err := p.store.Conference(p.ctx(), keyOf(c))
		if events.Lane(c.ConferenceSid, 4) == 2 {
			wantErr(t, "read from the lost lane", err, projections.ErrLost)
		} else {
			p.must(err, "read from another lane")
		}
	}
	_, err := p.store.Conferences(p.ctx(), account(1), projections.Query{Limit: 10})
	wantErr(t, "list over all lanes", err, projections.ErrLost)

	b := p.build(2)
	p.must(b.Put(p.ctx(), p.firsts(p.ofLane(2, records))), "put")
	p.must(b.Commit(p.ctx(), p.at, nil), "commit")
	p.shows(records...)
}
