package projections

import (
	"context"
	"errors"
	"time"

	"gavel/events"
)

// The errors by which callers of a store decide what to do.
var (
	// ErrNotFound: the picture is whole and the conference is not in it.
	ErrNotFound = errors.New("not found")
	// ErrConflict: somebody else wrote the record since it was loaded. Load
	// again, fold again.
	ErrConflict = errors.New("record was written by another")
	// ErrLost: the picture was emptied, rolled back or never filled. Nothing
	// may be written into it; fill it from the journal.
	ErrLost = errors.New("picture is lost")
	// ErrFilling: the picture is being filled; ask again soon.
	ErrFilling = errors.New("picture is being filled")
	// ErrBadPage: the page token is none of ours.
	ErrBadPage = errors.New("page token is not valid")
)

// Book is the bookkeeping beside a record, outside its compared part.
type Book struct {
	// Version is what a write compares. Every fact folded into the record
	// raises it, and so does every write that changes only what stands beside
	// the record.
	Version uint64 `json:"v"`
	// Applied is the last journal position worked into the record.
	Applied events.Position `json:"a"`
	// LastEventAt is our own clock when the last fact came, in whole seconds: how
	// long a record is kept counts from then.
	LastEventAt Instant `json:"h"`
	// Doubtful are the facts that may not have been told as news yet, with the
	// position that first folded each: a group worked again at that position
	// tells them again, any other position is a double.
	Doubtful []Doubt `json:"d,omitempty"`
	// Due is when the earliest deadline of the rule state falls due, in Unix
	// milliseconds on our own clock; 0 is none. [Writer.Due] finds it.
	Due int64 `json:"due,omitempty"`
}

// Doubt is one event id and the position that first folded it.
type Doubt struct {
	ID string          `json:"id"`
	At events.Position `json:"at"`
	// Late is what the news says of it: a fact with a greater SequenceNumber
	// had been folded before.
	Late bool `json:"late,omitempty"`
}

// Stored is a record as it is kept. Conference is nil when there is none.
type Stored struct {
	Conference *Conference
	Book       Book
	// Rules is the rule state, bytes that only rules read; nil is none.
	Rules []byte
}

// Due is a conference and when it is to be judged again, on our own clock.
type Due struct {
	Key events.Key
	At  time.Time // whole milliseconds
}

// Write is one compare-and-set.
type Write struct {
	// Before is what Load or the last Save gave (nil when there was no
	// record). The store writes only participants and recordings whose
	// pointers differ between Before and After, and updates only the indexes
	// whose values differ. Before and After are the same where only the rule
	// state or the bookkeeping changed; After is never nil.
	Before *Conference
	After  *Conference
	// Expect is the version that must be stored now; 0 means no record.
	Expect uint64
	// Book replaces the bookkeeping; Book.Version is the new version.
	Book Book
	// DueBefore is the Due of the bookkeeping that Book replaces.
	DueBefore int64
	// Rules replaces the rule state, in the same compare-and-set. Nil keeps
	// what is there; empty, but not nil, takes it away.
	Rules []byte
}

// Writer is what one projector needs to keep the picture of its lanes. A lane
// has a key space ("epoch") of its own, so that it can be built anew beside
// the one that is read.
type Writer interface {
	// Check compares the lane's picture with the journal: nil when everything
	// up to floor (the consumer's ack floor, a stream sequence) was applied,
	// ErrLost with the reason when it was emptied, rolled back or never
	// filled. It must be called before the first Load or Save of a lane, and
	// claims the lane for this process.
	Check(ctx context.Context, lane int, floor uint64) error
	// Load returns the records of keys, in their order. Keys are of this lane.
	Load(ctx context.Context, lane int, keys []events.Key) ([]Stored, error)
	// Save writes the records of one batch, each with its indexes, by
	// compare-and-set on epoch and version. On ErrConflict or ErrLost a part of the batch may have been
	// written; writing it again is harmless.
	Save(ctx context.Context, lane int, writes []Write) error
	// NoteApplied notes that everything up to applied was worked. It comes
	// after Save and before the news, and repeating it is harmless. state is the
	// lane's own state as of then, bytes that only rules read, written together
	// with the position; nil keeps what is there. Neither goes back: where a
	// later position is noted already, both stay.
	NoteApplied(ctx context.Context, lane int, applied events.Position, state []byte) error
	// LaneState returns the state that was noted last, nil for none: the lane's
	// as of the position noted.
	LaneState(ctx context.Context, lane int) ([]byte, error)
	// Due returns the lane's conferences whose Book.Due is at or before until,
	// earliest first, at most that many.
	Due(ctx context.Context, lane int, until time.Time, most int) ([]Due, error)
	// Build begins a new key space for the lane, unseen by readers until its
	// Commit.
	Build(ctx context.Context, lane int) (Build, error)
	// Expire removes conferences of which nothing was heard since cutoff, by
	// our own clock.
	Expire(ctx context.Context, lane int, cutoff time.Time) (removed int, err error)
}

// Build is a new picture of a lane in the making.
type Build interface {
	// Put writes records without comparing, each once.
	Put(ctx context.Context, records []Stored) error
	// Commit makes the build the lane's picture, worked up to applied, with the
	// lane's own state as of then (nil is none); readers and the next Save use
	// it from then on. The old one is removed.
	Commit(ctx context.Context, applied events.Position, state []byte) error
	// Abandon removes what was built.
	Abandon(ctx context.Context) error
}

// Reader is how the picture is read. Its errors are ErrNotFound, ErrFilling,
// ErrLost, or the store's own, which mean the same to a client as ErrFilling:
// come back soon. It never answers ErrNotFound from a picture that is not
// whole.
type Reader interface {
	// Conference returns one record with its bookkeeping.
	Conference(ctx context.Context, key events.Key) (Stored, error)
	// Conferences returns a page of an account's conferences, newest first by
	// Created, then by ConferenceSid descending.
	Conferences(ctx context.Context, account string, q Query) (Page, error)
	// Accounts returns the accounts that have conferences, sorted.
	Accounts(ctx context.Context) ([]string, error)
	// Armed returns an account's conferences that have a Due, earliest first,
	// at most that many; an empty account is any.
	Armed(ctx context.Context, account string, most int) ([]Due, error)
}

// Query selects conferences. Zero fields do not filter.
type Query struct {
	FriendlyName *string // exact
	Status       string  // init, in-progress, completed
	// Created and Updated bound the times, both ends inclusive; a zero Instant
	// is open.
	Created, Updated Span
	Limit            int // 1..1000
	// After and Before are the ConferenceSid of the item that the page follows
	// (towards older) or precedes (towards newer). At most one is set.
	After, Before string
}

// Span is a stretch of time, both ends inclusive; zero is open.
type Span struct{ From, To Instant }

// Contains reports whether i lies in s.
func (s Span) Contains(i Instant) bool {
	return (s.From == 0 || i >= s.From) && (s.To == 0 || i <= s.To)
}

// Page is one page of conferences.
type Page struct {
	Conferences []*Conference
	// More reports whether there is at least one more in the direction asked.
	More bool
}

// Store is both sides. Real Redis and the embedded one answer the same
// conformance suite (storetest).
type Store interface {
	Reader
	Writer
	Close() error
}
