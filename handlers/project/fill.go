package project

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"gavel/events"
	"gavel/lanes"
	"gavel/projections"
)

const (
	// putRecords is how many records one call of the store writes.
	putRecords = 500
	// fillRecords is how many conferences a fill of one lane holds, at 2 to 4 KB each: more than
	// are live at a time on most floors. Those without an entry for the longest time are written to
	// the new picture, and read again if an entry comes. Without this bound the memory of a fill
	// would grow with the journal.
	fillRecords = 2048
	// expiries is how often a fill removes old conferences from the new picture while it reads as
	// much of the journal as Config.Keep covers.
	expiries = 8
)

// reader reads a lane's journal from one stream sequence to another, both included.
type reader interface {
	Read(ctx context.Context, lane int, from, to uint64, fn func(events.Group) error) error
}

// builds begins new pictures.
type builds interface {
	Build(ctx context.Context, lane int) (projections.Build, error)
}

// filler makes a lane's picture from its journal. It has no state, so the keeper
// and a rebuild may use it at the same time.
type filler struct {
	lane       int
	journal    reader
	store      builds
	keep       time.Duration
	passed     func() time.Time
	newMachine func(saved []byte) (*lanes.Machine, error)
	// decided collects the decisions of the entries that are filled; nil drops them.
	decided *decided
}

// picture is a new picture of a lane, folded from a part of its journal: partly in memory, partly
// in the store. The decisions of its entries were published, and their alarms set, when the entries
// were first processed.
type picture struct {
	machine *lanes.Machine
	build   projections.Build
	keep    time.Duration
	// held are the conferences in memory. Conferences with an entry in the group that is applied
	// are never written meanwhile.
	held *simplelru.LRU[events.Key, *held]
	// written has a hash of the key of each conference that was written: 8 bytes instead of the
	// key's 100. A collision costs a read. If resumed is set, the build may have any other.
	written map[uint64]struct{}
	resumed bool
	seed    maphash.Seed
	read    lanes.Reader // of one group
	missing []*held      // of one group
	keys    []events.Key // of missing
	// from is the position that the build had at the beginning.
	from events.Position
	// at is a time that had passed when the newest entry was received, expired the value of at when
	// old conferences were last removed.
	at, expired          time.Time
	conferences, skipped int
	decided              *decided
}

// held is a conference in memory, and what the build has of it.
type held struct {
	lanes.Conference
	before lanes.Conference
}

func newPicture(machine *lanes.Machine, build projections.Build, keep time.Duration) (*picture, error) {
	cache, err := simplelru.NewLRU[events.Key, *held](2*fillRecords, nil)
	if err != nil {
		return nil, fmt.Errorf("make the cache of a fill: %w", err)
	}
	return &picture{
		machine: machine, build: build, keep: keep, held: cache,
		written: map[uint64]struct{}{}, seed: maphash.MakeSeed(),
	}, nil
}

// add applies one group, whose news is acknowledged. An entry that cannot be folded
// is skipped: it became a dead letter when it was first processed.
func (p *picture) add(ctx context.Context, g events.Group) error {
	p.machine.Announced(g.Sequence)
	p.read.Reset()
	p.read.Read(g, p.machine.Evaluates())
	p.skipped += len(p.read.Letters) + p.read.Skipped
	if err := p.load(ctx); err != nil {
		return err
	}
	for i := range p.read.Entries {
		e := &p.read.Entries[i]
		if !e.At.After(p.from) {
			continue // its conference may have been removed since
		}
		r, err := p.machine.Step(ctx, e, p.conference(&e.Event))
		if err != nil {
			return err
		}
		if r.Letter != nil || r.Skipped {
			p.skipped++
		}
		if err := p.decided.add(r.Decisions, e.At); err != nil {
			return err
		}
		p.at = reached(p.at, &e.Event)
	}
	return p.shrink(ctx)
}

// reached returns a time that had passed when an event was received, given that of the event before.
// Our own clock may have been ahead, so it counts only as far as Twilio has signed as much.
func reached(before time.Time, e *events.Event) time.Time {
	at := e.Signed()
	if at.After(e.ReceivedAt) {
		at = e.ReceivedAt
	}
	if at.After(before) {
		return at
	}
	return before
}

// load holds the conferences of the group's entries. It reads those that the build has.
func (p *picture) load(ctx context.Context) error {
	p.missing, p.keys = p.missing[:0], p.keys[:0]
	for i := range p.read.Entries {
		e := &p.read.Entries[i].Event
		if e.ConferenceSid == "" {
			continue
		}
		if _, known := p.held.Get(e.Key()); known {
			continue
		}
		key, c := lanes.Key(e), new(held)
		p.held.Add(key, c)
		if _, written := p.written[p.hash(key)]; written || p.resumed {
			p.missing, p.keys = append(p.missing, c), append(p.keys, key)
		}
	}
	if len(p.keys) == 0 {
		return nil
	}
	stored, err := p.build.Load(ctx, p.keys)
	if err != nil {
		return fmt.Errorf("read %d records of the new picture: %w", len(p.keys), err)
	}
	for i, c := range p.missing {
		if c.Conference, err = lanes.Open(stored[i]); err != nil {
			return fmt.Errorf("read %s: %w", p.keys[i].ConferenceSid, err)
		}
		c.before = c.Conference
	}
	return nil
}

func (p *picture) hash(key events.Key) uint64 { return maphash.Comparable(p.seed, key) }

// conference returns the event's conference, nil if it has none.
func (p *picture) conference(e *events.Event) *lanes.Conference {
	if e.ConferenceSid == "" {
		return nil
	}
	c, _ := p.held.Peek(e.Key())
	return &c.Conference
}

// shrink writes the conferences above the bound, those without an entry for the longest time first,
// and removes from the build those that the picture had removed at the time of the last entry.
func (p *picture) shrink(ctx context.Context) error {
	if p.held.Len() >= fillRecords+putRecords {
		if err := p.write(ctx, putRecords, 0); err != nil {
			return err
		}
	}
	if p.keep <= 0 || p.at.Sub(p.expired) < p.keep/expiries {
		return nil
	}
	p.expired = p.at
	return p.expire(ctx, p.at)
}

// expire removes conferences without an entry for longer than they are kept at a time.
func (p *picture) expire(ctx context.Context, now time.Time) error {
	if p.keep <= 0 || now.IsZero() || len(p.written) == 0 && !p.resumed {
		return nil
	}
	// A held conference must not be a change to a record that is removed.
	if err := p.write(ctx, p.held.Len(), 0); err != nil {
		return err
	}
	removed, err := p.build.Expire(ctx, now.Add(-p.keep))
	p.conferences -= removed
	return err
}

// write writes the n conferences without an entry for the longest time, and holds them no longer.
// It leaves out new ones whose last event was received before cutoff.
func (p *picture) write(ctx context.Context, n int, cutoff projections.Instant) error {
	writes := make([]projections.Write, 0, putRecords)
	for n > 0 {
		writes = writes[:0]
		for ; n > 0 && len(writes) < putRecords; n-- {
			key, c, _ := p.held.RemoveOldest()
			unchanged := c.Record == nil || c.Book.Version == c.before.Book.Version
			if unchanged || c.before.Record == nil && c.Book.LastEventAt < cutoff {
				continue
			}
			w, err := c.Write(&c.before)
			if err != nil {
				return err
			}
			if c.before.Record == nil {
				p.conferences++
			}
			writes, p.written[p.hash(key)] = append(writes, w), struct{}{}
		}
		if err := p.build.Put(ctx, writes); err != nil {
			return fmt.Errorf("put %d records: %w", len(writes), err)
		}
	}
	return nil
}

// fill makes the lane's picture up to the ack floor and puts it in place. It continues the picture
// of a snapshot if there is one.
func (f *filler) fill(ctx context.Context, from *projections.Resumed, floor uint64, progress func(done uint64)) (*picture, error) {
	p, err := f.begin(ctx, from, floor, progress)
	if err != nil {
		return nil, err
	}
	if err := f.put(ctx, p, floor); err != nil {
		return nil, errors.Join(err, p.build.Abandon(context.WithoutCancel(ctx)))
	}
	return p, nil
}

// begin begins a new picture, or continues one if from is not nil, and folds the journal into it,
// up to the stream sequence upTo, which it includes. It calls progress with the sequence of each
// message.
func (f *filler) begin(ctx context.Context, from *projections.Resumed, upTo uint64, progress func(done uint64)) (*picture, error) {
	p, err := f.open(ctx, from)
	if err != nil {
		return nil, err
	}
	// The message at the position may be applied in part.
	if err := f.read(ctx, p, max(1, p.from.Sequence), upTo, progress); err != nil {
		return nil, errors.Join(err, p.build.Abandon(context.WithoutCancel(ctx)))
	}
	return p, nil
}

// open returns a picture that is empty, or the one of a snapshot.
func (f *filler) open(ctx context.Context, from *projections.Resumed) (*picture, error) {
	start := projections.Resumed{}
	if from != nil {
		start = *from
	}
	machine, err := f.newMachine(start.State)
	if err != nil {
		return nil, err
	}
	if from == nil {
		if start.Build, err = f.store.Build(ctx, f.lane); err != nil {
			return nil, fmt.Errorf("begin a new picture: %w", err)
		}
	}
	p, err := newPicture(machine, start.Build, f.keep)
	if err != nil {
		return nil, errors.Join(err, start.Build.Abandon(context.WithoutCancel(ctx)))
	}
	p.from, p.resumed, p.decided = start.Applied, from != nil, f.decided
	return p, nil
}

// read applies the journal messages with the stream sequences from `from` to `to`,
// both included, to p.
func (f *filler) read(ctx context.Context, p *picture, from, to uint64, progress func(done uint64)) error {
	if from > to {
		return nil
	}
	err := f.journal.Read(ctx, f.lane, from, to, func(g events.Group) error {
		progress(g.Sequence)
		return p.add(ctx, g)
	})
	if err != nil {
		return fmt.Errorf("read the journal from %d to %d: %w", from, to, err)
	}
	return nil
}

// put writes what p still holds and makes it the lane's picture. It leaves out conferences whose
// last event is older than Config.Keep.
func (f *filler) put(ctx context.Context, p *picture, upTo uint64) error {
	now, cutoff := f.passed(), projections.Instant(0)
	if f.keep > 0 && !now.IsZero() {
		cutoff = projections.At(now.Add(-f.keep))
	}
	if err := p.write(ctx, p.held.Len(), cutoff); err != nil {
		return err
	}
	if err := p.expire(ctx, now); err != nil {
		return fmt.Errorf("leave out old conferences: %w", err)
	}
	state, err := p.machine.MarshalState()
	if err != nil {
		return err
	}
	applied := events.Position{Sequence: upTo, Index: events.MaxGroupEntries}
	if p.from.After(applied) { // acknowledgements were lost
		applied = p.from
	}
	if err := p.build.Commit(ctx, applied, state); err != nil {
		return fmt.Errorf("switch to the new picture: %w", err)
	}
	return nil
}
