package lanes

import (
	"errors"
	"time"

	"gavel/events"
)

// Entry is one journal entry after parsing.
type Entry struct {
	Event events.Event
	// Raw is the entry as it is stored, for dead letters.
	Raw events.Entry
	At  events.Position
	// Stored is when NATS stored the entry, by its clock; zero if that is unknown.
	Stored time.Time
}

// maxAhead is how far ahead of the time when NATS stored it an entry may be stamped: it was stamped
// before, and hosts that synchronize by NTP are within a second of each other.
const maxAhead = 2 * time.Second

// received is when the entry was received, for rules. The stamp of a host whose clock is ahead would
// let each running time end at once.
func (e *Entry) received(stamp time.Time) time.Time {
	if e.Stored.IsZero() || stamp.Sub(e.Stored) <= maxAhead {
		return stamp
	}
	return e.Stored
}

// Reader parses journal messages into entries. It reuses its memory. The zero
// value is ready for use.
type Reader struct {
	// Entries are the entries read since the last Reset. They are valid until the next Reset.
	Entries []Entry
	// Letters are the dead letters of what could not be parsed.
	Letters []events.DeadLetter
	// Skipped is how many entries of Gavel's own this build does not understand: a newer build wrote
	// them. They are no dead letters, because a fill by that build applies them.
	Skipped int
	// Ahead is by how much an entry was stamped ahead of NATS's clock, the most of those since the last
	// Reset; zero if no entry was (see maxAhead). Stamps is how many were.
	Ahead  time.Duration
	Stamps int
	parser events.StoredParser
}

// Read parses one journal message. It leaves out entries that Step does not need:
// actions on rooms of which only the name is known (the journal has them for the
// audit) and, unless evaluates is set, the entries that exist for rules.
func (r *Reader) Read(g events.Group, evaluates bool) {
	read := 0
	err := g.Split(func(i int, raw events.Entry) error {
		read = i + 1
		r.Entries = append(r.Entries, Entry{Raw: raw, At: events.Position{Sequence: g.Sequence, Index: i}, Stored: g.Stored})
		e := &r.Entries[len(r.Entries)-1]
		var err error
		e.Event, err = r.parser.Parse(raw)
		switch {
		case err != nil && raw.Source == events.SourceGavel:
			r.Skipped++
		case err != nil:
			r.Letters = append(r.Letters, e.letter(err))
		}
		if stamp := e.received(raw.ReceivedAt); !stamp.Equal(raw.ReceivedAt) {
			r.Stamps++
			r.Ahead = max(r.Ahead, raw.ReceivedAt.Sub(stamp))
			if raw.Source == events.SourceGavel {
				e.Event.ReceivedAt = stamp
			}
		}
		if err != nil || !usable(&e.Event, evaluates) {
			r.Entries = r.Entries[:len(r.Entries)-1]
		}
		return nil
	})
	if err != nil {
		at := events.Position{Sequence: g.Sequence, Index: read}
		r.Letters = append(r.Letters, events.DeadLetter{
			Kind: events.Unfoldable, Reason: err.Error(), Raw: g.Data, Position: at.String(),
		})
	}
}

// Reset empties the reader. It also clears the entries, whose strings would keep
// journal messages in memory.
func (r *Reader) Reset() {
	clear(r.Entries)
	r.Entries, r.Letters, r.Skipped = r.Entries[:0], nil, 0
	r.Ahead, r.Stamps = 0, 0
	r.parser.Reset()
}

func usable(e *events.Event, evaluates bool) bool {
	switch e.Kind {
	case events.RulesLoaded, events.RuleMatch, events.NameExempted, events.RuleReset, events.Wake, events.Reread:
		return evaluates
	}
	return e.ConferenceSid != ""
}

// unfoldable sets what becomes of an entry that was parsed and cannot be folded. One of Gavel's own
// is skipped. Another becomes a dead letter, which unlike that of letter has the account.
func (r *Ready) unfoldable(e *Entry, err error) {
	if r.Skipped = e.Event.Source == events.SourceGavel; r.Skipped {
		return
	}
	l := e.letter(err)
	l.AccountSid = e.Event.AccountSid
	r.Letter = &l
}

// letter returns the dead letter of an entry without its account, which is unknown
// if the entry could not be parsed.
func (e *Entry) letter(err error) events.DeadLetter {
	l := events.DeadLetter{
		Kind:       events.Unfoldable,
		ReceivedAt: e.Raw.ReceivedAt,
		Source:     e.Raw.Source,
		Query:      e.Raw.Query,
		Form:       e.Raw.Form,
		Reason:     err.Error(),
		Position:   e.At.String(),
	}
	var form *events.FormError
	if errors.As(err, &form) {
		l.Field, l.Reason = form.Field, form.Reason
	}
	return l
}
