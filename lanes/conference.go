package lanes

import (
	"fmt"
	"strings"
	"time"

	"gavel/events"
	"gavel/projections"
	"gavel/rules"
)

// Conference is what a lane remembers of one conference. The zero value is a
// conference that the journal has not named yet. Step changes it; what it
// points to is never changed, so a copy is a snapshot.
type Conference struct {
	Record *projections.Conference
	Book   projections.Book
	Rules  *rules.State
	// LastNews is the position of the conference's last news, as it was when
	// this projector acquired the lane.
	LastNews events.Position
}

// Open returns a conference as it was stored.
func Open(stored projections.Stored) (Conference, error) {
	state, err := rules.DecodeState(stored.Rules)
	return Conference{Record: stored.Conference, Book: stored.Book, Rules: state}, err
}

// Stored returns the conference as the store keeps it.
func (c *Conference) Stored() (projections.Stored, error) {
	raw, err := rules.EncodeState(c.Rules)
	return projections.Stored{Conference: c.Record, Book: c.Book, Rules: raw}, err
}

// Write returns the compare-and-set that saves the conference; before is what was saved last.
func (c *Conference) Write(before *Conference) (projections.Write, error) {
	raw, err := rules.EncodeState(c.Rules)
	if err != nil {
		return projections.Write{}, fmt.Errorf("encode the rule state of a conference: %w", err)
	}
	if raw == nil && before.Rules != nil {
		raw = []byte{} // removes what is stored
	}
	return projections.Write{
		Before: before.Record, After: c.Record, Expect: before.Book.Version,
		Book: c.Book, DueBefore: before.Book.Due, Rules: raw,
	}, nil
}

// Key returns the event's key as a copy: the event's own strings keep a whole
// journal message in memory.
func Key(e *events.Event) events.Key {
	return events.Key{AccountSid: strings.Clone(e.AccountSid), ConferenceSid: strings.Clone(e.ConferenceSid)}
}

// folded is an entry after its fold.
type folded struct {
	entry *Entry
	// fresh: the entry is not a duplicate.
	fresh bool
	// before is the record before the entry, and applied is the position that it had reached.
	before  *projections.Conference
	applied events.Position
}

// fold folds an entry into the record. The error means that the entry can never be folded.
func (c *Conference) fold(e *Entry) (folded, error) {
	f := folded{entry: e, before: c.Record, applied: c.Book.Applied}
	var err error
	switch e.Event.Kind {
	case events.Wake, events.Reread:
		return f, nil
	case events.Exempted:
		f.fresh = c.Record != nil // it is news, but not part of the record
	default:
		c.Record, f.fresh, err = projections.Fold(c.Record, &e.Event)
	}
	if err == nil && f.fresh {
		c.changed(e.At)
		c.Book.LastEventAt = max(c.Book.LastEventAt, projections.At(e.Event.ReceivedAt))
	}
	return f, err
}

// changed records one change in the bookkeeping.
func (c *Conference) changed(at events.Position) {
	c.Book.Version++
	c.Book.Applied = at
}

// evaluated records that the rule state may have changed, and the next deadline.
func (c *Conference) evaluated(f *folded) {
	if !f.fresh {
		c.changed(f.entry.At)
	}
	c.Book.Due = dueAt(c.Rules.Next())
}

// dueAt is a deadline in the unit of Book.Due, rounded up, so that it is never before the deadline.
func dueAt(deadline time.Time) int64 {
	if deadline.IsZero() {
		return 0
	}
	return deadline.Add(time.Millisecond - 1).UnixMilli()
}
