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

// Read appends the entries of one journal message to entries, and returns what
// cannot be read as dead letters. It leaves out entries that no step can use:
// actions on rooms that have a name only (they are in the journal for the
// audit) and, unless rules are evaluated, the entries that exist for rules.
func Read(entries []Entry, g events.Group, evaluates bool) (_ []Entry, letters []events.DeadLetter) {
	read := 0
	err := g.Split(func(i int, raw events.Entry) error {
		read = i + 1
		entries = append(entries, Entry{Raw: raw, At: events.Position{Sequence: g.Sequence, Index: i}})
		e := &entries[len(entries)-1]
		var err error
		if e.Event, err = events.ParseStored(raw); err != nil {
			letters = append(letters, e.letter(err))
		}
		if err != nil || !usable(&e.Event, evaluates) {
			entries = entries[:len(entries)-1]
		}
		return nil
	})
	if err != nil {
		at := events.Position{Sequence: g.Sequence, Index: read}
		letters = append(letters, events.DeadLetter{
			Kind: events.Unfoldable, Reason: err.Error(), Raw: g.Data, Position: at.String(),
		})
	}
	return entries, letters
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
