package project

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gavel/events"
	"gavel/lanes"
	"gavel/projections"
)

// putRecords is how many records one call of the store writes.
const putRecords = 500

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
	now        func() time.Time
	newMachine func() (*lanes.Machine, error)
}

// picture is a lane in memory, folded from a part of its journal. The decisions of its entries were
// published, and their alarms set, when the entries were first processed.
type picture struct {
	machine     *lanes.Machine
	conferences map[events.Key]*lanes.Conference
	read        lanes.Reader // of one group
	skipped     int
}

// add applies one group, whose news is acknowledged. An entry that cannot be folded
// is skipped: it became a dead letter when it was first processed.
func (p *picture) add(ctx context.Context, g events.Group) error {
	p.machine.Announced(g.Sequence)
	p.read.Reset()
	p.read.Read(g, p.machine.Evaluates())
	p.skipped += len(p.read.Letters)
	for i := range p.read.Entries {
		e := &p.read.Entries[i]
		r, err := p.machine.Step(ctx, e, p.conference(&e.Event))
		if err != nil {
			return err
		}
		if r.Letter != nil {
			p.skipped++
		}
	}
	return nil
}

// conference returns the event's conference, nil if it has none.
func (p *picture) conference(e *events.Event) *lanes.Conference {
	if e.ConferenceSid == "" {
		return nil
	}
	c := p.conferences[e.Key()]
	if c == nil {
		c = &lanes.Conference{}
		p.conferences[lanes.Key(e)] = c
	}
	return c
}

// fill makes the lane's picture up to the ack floor and puts it in place.
func (f *filler) fill(ctx context.Context, floor uint64, progress func(done uint64)) (*picture, error) {
	p, build, err := f.begin(ctx, floor, progress)
	if err != nil {
		return nil, err
	}
	if err := f.put(ctx, build, p, floor); err != nil {
		return nil, errors.Join(err, build.Abandon(context.WithoutCancel(ctx)))
	}
	return p, nil
}

// begin folds the journal from its start to the stream sequence upTo, which it includes, and begins
// a new picture in the store. It calls progress with the sequence of each message.
func (f *filler) begin(ctx context.Context, upTo uint64, progress func(done uint64)) (*picture, projections.Build, error) {
	machine, err := f.newMachine()
	if err != nil {
		return nil, nil, err
	}
	p := &picture{conferences: make(map[events.Key]*lanes.Conference), machine: machine}
	if err := f.read(ctx, p, 1, upTo, progress); err != nil {
		return nil, nil, err
	}
	build, err := f.store.Build(ctx, f.lane)
	if err != nil {
		return nil, nil, fmt.Errorf("begin a new picture: %w", err)
	}
	return p, build, nil
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

// put writes p and makes it the lane's picture. It leaves out conferences whose last
// event is older than Config.Keep.
func (f *filler) put(ctx context.Context, build projections.Build, p *picture, upTo uint64) error {
	cutoff := projections.Instant(0)
	if f.keep > 0 {
		cutoff = projections.At(f.now().Add(-f.keep))
	}
	records := make([]projections.Stored, 0, putRecords)
	flush := func() error {
		if err := build.Put(ctx, records); err != nil {
			return fmt.Errorf("put %d records: %w", len(records), err)
		}
		records = records[:0]
		return nil
	}
	for _, c := range p.conferences {
		if c.Record == nil || c.Book.LastEventAt < cutoff {
			continue
		}
		stored, err := c.Stored()
		if err != nil {
			return err
		}
		if records = append(records, stored); len(records) == putRecords {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	state, err := p.machine.MarshalState()
	if err != nil {
		return err
	}
	applied := events.Position{Sequence: upTo, Index: events.MaxGroupEntries}
	if err := build.Commit(ctx, applied, state); err != nil {
		return fmt.Errorf("switch to the new picture: %w", err)
	}
	return nil
}
