package projections

import (
	"context"
	"errors"
	"time"

	"gavel/events"
)

// The errors that callers of a store match.
var (
	// ErrNotFound: the picture is complete and does not hold the conference.
	ErrNotFound = errors.New("not found")
	// ErrConflict: another process wrote the record since it was loaded. Load and fold again.
	ErrConflict = errors.New("record was written by another process")
	// ErrLost: the picture was emptied, rolled back or never filled. Do not
	// write into it; fill it from the journal.
	ErrLost = errors.New("picture is lost")
	// ErrFilling: the picture is being filled; retry soon.
	ErrFilling = errors.New("picture is being filled")
	// ErrUnreachable: Redis did not answer a read, or answered it with an error; retry soon.
	ErrUnreachable = errors.New("Redis does not answer")
	// ErrBadPage: the store did not issue the page token.
	ErrBadPage = errors.New("page token is not valid")
)

// Book is the bookkeeping of a record. Comparing records excludes it.
type Book struct {
	// Version is what a write compares. Every event folded into the record raises it, and so does
	// every write that changes only the bookkeeping or the rule state.
	Version uint64 `json:"v"`
	// Applied is the last journal position folded into the record.
	Applied events.Position `json:"a"`
	// LastEventAt is when the last event arrived, on our own clock in whole
	// seconds: a record's retention counts from it.
	LastEventAt Instant `json:"h"`
	// Doubtful are the facts whose news may not be published yet, with the
	// position that first folded each: a redelivery of that position publishes
	// them again; at any other position the fact is a double.
	Doubtful []Doubt `json:"d,omitempty"`
	// Due is when the earliest deadline of the rule state is due, in Unix
	// milliseconds on our own clock; 0 without one. [Writer.Due] reads it.
	Due int64 `json:"due,omitempty"`
}

// Doubt is an event id and the position that first folded it.
type Doubt struct {
	ID string          `json:"id"`
	At events.Position `json:"at"`
	// Late is the value the news carries: a fact with a greater SequenceNumber
	// had been folded before.
	Late bool `json:"late,omitempty"`
}

// Stored is a record with its bookkeeping. Conference is nil if the record does not exist.
type Stored struct {
	Conference *Conference
	Book       Book
	// Rules is the rule state, bytes that only package rules decodes; nil without a state.
	Rules []byte
}

// Due is a conference and when its rules are due to be evaluated again, on our own clock.
type Due struct {
	Key events.Key
	At  time.Time // whole milliseconds
}

// Write is one compare-and-set.
type Write struct {
	// Before is what Load or the last Save returned (nil if there was no record). The store writes
	// only participants, recordings and actions whose pointers differ between Before and After, and
	// updates only the indexes whose values differ. Before and After are equal if only the rule
	// state or the bookkeeping changed; After is never nil.
	Before *Conference
	After  *Conference
	// Expect is the version that must be stored now; 0 means no record.
	Expect uint64
	// Book replaces the bookkeeping; Book.Version is the new version.
	Book Book
	// DueBefore is the Due of the bookkeeping that Book replaces.
	DueBefore int64
	// Rules replaces the rule state, in the same compare-and-set. Nil keeps the
	// stored state; empty, but not nil, removes it.
	Rules []byte
}

// First returns the write of a record that the store does not have yet.
func (s Stored) First() Write {
	return Write{After: s.Conference, Book: s.Book, Rules: s.Rules}
}

// Writer is what a projector needs to keep the picture of its lanes. A lane has its own key space
// ("epoch"), so that a new one can be built while readers use the old one.
type Writer interface {
	// Check compares the lane's picture with the journal. It returns nil if everything up to floor
	// (the consumer's ack floor, a stream sequence) was applied, and ErrLost with the reason if the
	// picture was emptied, rolled back or never filled. It must be called before the first Load or
	// Save of a lane, and claims the lane for this process.
	Check(ctx context.Context, lane int, floor uint64) error
	// Applied returns the position that the lane's picture has reached, zero without a picture, and
	// the chain of the last NoteApplied.
	Applied(ctx context.Context, lane int) (applied events.Position, chain string, err error)
	// Load returns the records of keys, in their order. All keys are of this lane.
	Load(ctx context.Context, lane int, keys []events.Key) ([]Stored, error)
	// Save writes the records of one batch, each with its indexes, by
	// compare-and-set on epoch and version. After ErrConflict or ErrLost, part
	// of the batch may be written; writing it again is harmless.
	Save(ctx context.Context, lane int, writes []Write) error
	// NoteApplied records that everything up to applied was processed. It comes
	// after Save and before the news, and repeating it is harmless. state is
	// the lane's own state at that position, bytes that only package rules
	// decodes, written together with the position; nil keeps the stored state.
	// Neither goes back: if a later position is already recorded, both stay.
	// chain is a text that only package chain reads, at most some 500 bytes, written together with
	// the position; an empty one keeps the stored text, which losing the picture does not remove.
	NoteApplied(ctx context.Context, lane int, applied events.Position, state []byte, chain string) error
	// LaneState returns the lane's own state at the recorded position, nil if none was recorded.
	LaneState(ctx context.Context, lane int) ([]byte, error)
	// Due returns the lane's conferences whose Book.Due is at or before until,
	// earliest first, at most that many.
	Due(ctx context.Context, lane int, until time.Time, most int) ([]Due, error)
	// Build starts a new key space for the lane, not visible to readers until Commit.
	Build(ctx context.Context, lane int) (Build, error)
	// Expire removes conferences whose last event arrived before cutoff, by our own clock.
	Expire(ctx context.Context, lane int, cutoff time.Time) (removed int, err error)
}

// Build is a new picture of a lane that is being built.
type Build interface {
	// Load returns the records of keys that were put, in their order.
	Load(ctx context.Context, keys []events.Key) ([]Stored, error)
	// Put writes records without comparing versions. Before, DueBefore and Rules mean the same as
	// for Save: what was last loaded or put of a record. A record may be in one Put only once.
	Put(ctx context.Context, writes []Write) error
	// Expire removes conferences whose last event arrived before cutoff, by our own clock.
	Expire(ctx context.Context, cutoff time.Time) (removed int, err error)
	// Commit makes the build the lane's picture, complete up to applied, with
	// the lane's own state at that position (nil without one); readers and the
	// next Save use it from then on. The old picture is removed.
	Commit(ctx context.Context, applied events.Position, state []byte) error
	// Abandon removes what was built.
	Abandon(ctx context.Context) error
}

// Resumed is a picture of a lane from a snapshot, as a build that readers do not find yet.
type Resumed struct {
	Build Build
	// Applied is the position up to which the build is complete. Records may be newer.
	Applied events.Position
	// State is the lane's own state, as Commit received it.
	State []byte
}

// Reader reads the picture. Its errors are ErrNotFound, ErrFilling, ErrLost, ErrUnreachable, or
// the store's own, which mean the same to a client as ErrFilling: retry soon. Each read ends within
// seconds, also if Redis accepts connections and does not answer, and ctx has no deadline.
// It never returns ErrNotFound from an incomplete picture.
type Reader interface {
	// Conference returns one record with its bookkeeping.
	Conference(ctx context.Context, key events.Key) (Stored, error)
	// Conferences returns a page of an account's conferences, newest first by
	// Created, then by ConferenceSid descending.
	Conferences(ctx context.Context, account string, q Query) (Page, error)
	// Accounts returns the accounts that have conferences, sorted.
	Accounts(ctx context.Context) ([]string, error)
	// Armed returns an account's conferences that have a Due, earliest first,
	// at most that many; an empty account selects all accounts.
	Armed(ctx context.Context, account string, most int) ([]Due, error)
}

// Query selects conferences. Zero fields do not filter.
type Query struct {
	FriendlyName *string // exact
	Status       string  // init, in-progress, completed
	Waiting      bool    // with in-progress: also where legs wait for the start (Conference.Waiting)
	// Created and Updated bound the times, both ends inclusive; a zero Instant is unbounded.
	Created, Updated Span
	Limit            int // 1..1000
	// After and Before are the ConferenceSid of the item that the page follows
	// (towards older) or precedes (towards newer). At most one is set.
	After, Before string
}

// Span is a stretch of time, both ends inclusive; a zero end is unbounded.
type Span struct{ From, To Instant }

// Contains reports whether i is in s.
func (s Span) Contains(i Instant) bool {
	return (s.From == 0 || i >= s.From) && (s.To == 0 || i <= s.To)
}

// Page is one page of conferences.
type Page struct {
	Conferences []*Conference
	// More reports whether at least one more conference follows in that direction.
	More bool
}

// Store reads and writes the picture. Redis and the embedded store pass the
// same conformance suite (storetest).
type Store interface {
	Reader
	Writer
	Close() error
}
