package chain

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"gavel/internal/cell"
)

const (
	// ledgerKey is the key of the ledger in its bucket.
	ledgerKey = "journal"
	// ledgerTime bounds one read or change of the ledger.
	ledgerTime = 5 * time.Second
	// maxAcceptances bounds the acceptances that are kept.
	maxAcceptances = 50
	// MaxReason bounds the reason of an acceptance, in bytes.
	MaxReason = 256
)

// The errors that callers match.
var (
	// ErrNothing: no lane waits for an acceptance.
	ErrNothing = errors.New("the journal has nothing to accept")
	// ErrReason: the reason is empty or longer than MaxReason.
	ErrReason = fmt.Errorf("the reason must have 1 to %d bytes", MaxReason)

	errNoAnswer = errors.New("the bucket of the brakes does not answer")
)

// Held is a lane that is not worked until an operator accepts what its journal has lost.
type Held struct {
	Fault
	Since time.Time `json:"since"`
	// Lost: what is missing was acknowledged and never processed. The process found it that had the
	// acknowledgement, so the lane's owner cannot, and waits as well.
	Lost bool `json:"lost,omitempty"`
	// Accepted is the number of the acceptance after which the lane is being filled, 0 before.
	Accepted uint64 `json:"accepted,omitempty"`
}

// Waits reports whether the lane's owner has to wait, although it finds nothing wrong.
func (h Held) Waits() bool { return h.Lost && h.Accepted == 0 }

// Acceptance is an operator's decision to go on with the journal as it is.
type Acceptance struct {
	Number uint64        `json:"number"`
	Reason string        `json:"reason"`
	By     string        `json:"by"`
	At     time.Time     `json:"at"`
	Lanes  map[int]Fault `json:"lanes"`
}

// Verification is an operator's request to verify all lanes of the journal now.
type Verification struct {
	Number uint64    `json:"number"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`
	Lanes  int       `json:"lanes"` // how many the journal has
}

// Verified is how far the owner of a lane has verified it, or that all of it was found as it was
// processed: the stream sequences From to To.
type Verified struct {
	Number   uint64    `json:"number"` // of the Verification
	From     uint64    `json:"from"`
	To       uint64    `json:"to"`
	Done     uint64    `json:"done"` // stream sequence that was reached
	Finished bool      `json:"finished,omitempty"`
	At       time.Time `json:"at"`
}

// Book is the content of the ledger.
type Book struct {
	Held map[int]Held `json:"held,omitempty"`
	// Accepted are the newest acceptances, oldest first.
	Accepted []Acceptance `json:"accepted,omitempty"`
	// Numbers has for each lane the number of its last acceptance.
	Numbers map[int]uint64 `json:"numbers,omitempty"`
	Last    uint64         `json:"last,omitempty"` // number of the last acceptance
	// Verification is the newest request, nil before the first. Verified are the answers, by lane.
	Verification *Verification    `json:"verification,omitempty"`
	Verified     map[int]Verified `json:"verified,omitempty"`
}

// Wanted returns the number of the verification that a lane has not finished, 0 without one.
func (b *Book) Wanted(lane int) uint64 {
	v := b.Verification
	if v == nil || b.Verified[lane].Number > v.Number || b.Verified[lane].Number == v.Number && b.Verified[lane].Finished {
		return 0
	}
	return v.Number
}

// Ledger is shared by all processes on one NATS.
type Ledger struct {
	cell *cell.Cell[Book]
	now  func() time.Time
}

// NewLedger returns the ledger in a bucket. seen is called with each state of it that this process
// reads or stores.
func NewLedger(bucket cell.Bucket, now func() time.Time, seen func(*Book)) *Ledger {
	return &Ledger{now: now, cell: cell.New(bucket, cell.Config[Book]{
		Key: ledgerKey, Within: ledgerTime, NoAnswer: errNoAnswer,
		Kept: func(b *Book, _ uint64) { seen(b) },
	})}
}

// Read returns the ledger.
func (l *Ledger) Read(ctx context.Context) (*Book, error) {
	b, err := l.cell.Read(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the ledger of the journal: %w", err)
	}
	return b, nil
}

// Hold records that a lane waits for an operator.
func (l *Ledger) Hold(ctx context.Context, lane int, f *Fault) error {
	return l.hold(ctx, lane, Held{Fault: *f}, func(was Held) bool { return was.Fault == *f })
}

// HoldLost is Hold for groups that were acknowledged and never processed. A lane that waits for an
// operator already stays as it is: what is accepted is the journal.
func (l *Ledger) HoldLost(ctx context.Context, lane int, f *Fault) error {
	return l.hold(ctx, lane, Held{Fault: *f, Lost: true}, func(Held) bool { return true })
}

// hold records h, unless the lane waits already and that stays.
func (l *Ledger) hold(ctx context.Context, lane int, h Held, stays func(was Held) bool) error {
	err := l.cell.Change(ctx, func(b *Book) bool {
		if was, held := b.Held[lane]; held && was.Accepted == 0 && stays(was) {
			return false
		}
		if b.Held == nil {
			b.Held = map[int]Held{}
		}
		h.Since = l.now().UTC()
		b.Held[lane] = h
		return true
	})
	if err != nil {
		return fmt.Errorf("record that lane %d is held: %w", lane, err)
	}
	return nil
}

// Verify requests a verification of all lanes. The owner of each lane does it.
func (l *Ledger) Verify(ctx context.Context, by string, lanes int) (v Verification, err error) {
	err = l.cell.ChangeRead(ctx, func(b *Book) bool {
		v = Verification{Number: 1, By: by, At: l.now().UTC(), Lanes: lanes}
		if b.Verification != nil {
			v.Number = b.Verification.Number + 1
		}
		b.Verification = &v
		return true
	})
	if err != nil {
		return v, fmt.Errorf("request a verification of the journal: %w", err)
	}
	return v, nil
}

// Note records how far a lane is verified, unless a later request has begun.
func (l *Ledger) Note(ctx context.Context, lane int, v Verified) error {
	err := l.cell.Change(ctx, func(b *Book) bool {
		if b.Verification == nil || b.Verification.Number != v.Number {
			return false
		}
		if b.Verified == nil {
			b.Verified = map[int]Verified{}
		}
		v.At = l.now().UTC()
		b.Verified[lane] = v
		return true
	})
	if err != nil {
		return fmt.Errorf("record the verification of lane %d: %w", lane, err)
	}
	return nil
}

// Release ends the hold of a lane, if it is held.
func (l *Ledger) Release(ctx context.Context, lane int) error {
	return l.release(ctx, lane, func(Held) bool { return true })
}

// ReleaseLost ends a hold of HoldLost up to a stream sequence, because the journal has all of it again.
func (l *Ledger) ReleaseLost(ctx context.Context, lane int, upTo uint64) error {
	return l.release(ctx, lane, func(h Held) bool { return h.Waits() && h.To <= upTo })
}

func (l *Ledger) release(ctx context.Context, lane int, ends func(Held) bool) error {
	err := l.cell.Change(ctx, func(b *Book) bool {
		h, held := b.Held[lane]
		if held = held && ends(h); held {
			delete(b.Held, lane)
		}
		return held
	})
	if err != nil {
		return fmt.Errorf("record that lane %d goes on: %w", lane, err)
	}
	return nil
}

// Accept lets all lanes that are held go on with the journal as it is.
func (l *Ledger) Accept(ctx context.Context, reason, by string) (a Acceptance, err error) {
	if reason == "" || len(reason) > MaxReason {
		return a, ErrReason
	}
	err = l.cell.ChangeRead(ctx, func(b *Book) bool {
		a = Acceptance{Number: b.Last + 1, Reason: reason, By: by, At: l.now().UTC(), Lanes: map[int]Fault{}}
		for lane, h := range b.Held {
			if h.Accepted == 0 {
				a.Lanes[lane] = h.Fault
			}
		}
		return len(a.Lanes) > 0 && b.accept(a)
	})
	if err != nil {
		return a, fmt.Errorf("accept the journal: %w", err)
	}
	if len(a.Lanes) == 0 {
		return a, ErrNothing
	}
	return a, nil
}

func (b *Book) accept(a Acceptance) bool {
	if b.Numbers == nil {
		b.Numbers = map[int]uint64{}
	}
	for lane := range a.Lanes {
		h := b.Held[lane]
		h.Accepted = a.Number
		b.Held[lane], b.Numbers[lane] = h, a.Number
	}
	b.Last = a.Number
	b.Accepted = append(b.Accepted, a)
	b.Accepted = b.Accepted[max(0, len(b.Accepted)-maxAcceptances):]
	return true
}

// Lanes are the lanes that are held, sorted.
func (b *Book) Lanes() []int { return slices.Sorted(maps.Keys(b.Held)) }

// Why returns the extents of one kind, nil without a lane that is held because of it.
func (b *Book) Why(kind Kind) error {
	var all []error
	for _, lane := range b.Lanes() {
		if h := b.Held[lane]; h.Kind == kind {
			all = append(all, fmt.Errorf("lane %d: %w", lane, &h.Fault))
		}
	}
	return errors.Join(all...)
}
