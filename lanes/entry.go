package lanes

import (
	"errors"

	"gavel/events"
)

// Entry is one journal entry after parsing.
type Entry struct {
	Event events.Event
	// Raw is the entry as it is stored, for dead letters.
	Raw events.Entry
	At  events.Position
}

// Reader reads journal messages into entries, in memory that it uses again. The
// zero value is ready for use.
type Reader struct {
	// Entries are what was read since the last Reset, and valid until the next.
	Entries []Entry
	// Letters are for what cannot be read.
	Letters []events.DeadLetter
	parser  events.StoredParser
}

// Read reads one journal message. It leaves out entries that no step can use:
// actions on rooms that have a name only (they are in the journal for the
// audit) and, unless rules are evaluated, the entries that exist for rules.
func (r *Reader) Read(g events.Group, evaluates bool) {
	read := 0
	err := g.Split(func(i int, raw events.Entry) error {
		read = i + 1
		r.Entries = append(r.Entries, Entry{Raw: raw, At: events.Position{Sequence: g.Sequence, Index: i}})
		e := &r.Entries[len(r.Entries)-1]
		var err error
		if e.Event, err = r.parser.Parse(raw); err != nil {
			r.Letters = append(r.Letters, e.letter(err))
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

// Reset empties the reader. What entries point to would keep journal messages in
// memory.
func (r *Reader) Reset() {
	clear(r.Entries)
	r.Entries, r.Letters = r.Entries[:0], nil
	r.parser.Reset()
}

func usable(e *events.Event, evaluates bool) bool {
	switch e.Kind {
	case events.RulesLoaded, events.RuleMatch, events.Wake, events.Reread:
		return evaluates
	}
	return e.ConferenceSid != ""
}

// unfoldable is the dead letter of an entry whose account could be read.
func (e *Entry) unfoldable(err error) *events.DeadLetter {
	l := e.letter(err)
	l.AccountSid = e.Event.AccountSid
	return &l
}

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
