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

const (
	// putRecords is how many records are handed to the store at once.
	putRecords = 500
	// progressEvery is how often a long fill says how far it is.
	progressEvery = time.Second
)

// fold is a picture in memory: what a stretch of the journal says, and what the
// rules made of it. Their decisions were taken, and their alarms set, when it
// was first worked.
type fold struct {
	machine *lanes.Machine
	records map[events.Key]*lanes.Conference
	entries []lanes.Entry
	skipped int
}

func (k *keeper) newFold() (*fold, error) {
	machine, err := lanes.New(k.RuleBook, nil)
	return &fold{records: make(map[events.Key]*lanes.Conference), machine: machine}, err
}

// add applies one group, whose news is acknowledged. What cannot be folded is
// skipped: it went to the dead letters when it was first worked.
func (f *fold) add(ctx context.Context, g events.Group) error {
	f.machine.Announced(g.Sequence)
	entries, letters := lanes.Read(f.entries[:0], g, f.machine.Evaluates())
	f.entries, f.skipped = entries, f.skipped+len(letters)
	for i := range entries {
		e := &entries[i]
		r, err := f.machine.Step(ctx, e, f.conference(&e.Event))
		if err != nil {
			return err
		}
		if r.Letter != nil {
			f.skipped++
		}
	}
	return nil
}

// conference is the one that an event is about, nil where it is about none.
func (f *fold) conference(e *events.Event) *lanes.Conference {
	if e.ConferenceSid == "" {
		return nil
	}
	c := f.records[e.Key()]
	if c == nil {
		c = &lanes.Conference{}
		f.records[lanes.Key(e)] = c
	}
	return c
}

// fill builds the lane's picture up to the ack floor and puts it in place.
func (k *keeper) fill(ctx context.Context, floor uint64) (err error) {
	k.Metrics.fills.Inc()
	started := k.Now()
	f, err := k.newFold()
	if err != nil {
		return err
	}
	if err := k.read(ctx, f, 1, floor, k.progress(floor)); err != nil {
		return err
	}
	build, err := k.Store.Build(ctx, k.lane.Number())
	if err != nil {
		return fmt.Errorf("begin a new picture: %w", err)
	}
	if err := k.put(ctx, build, f, floor); err != nil {
		return errors.Join(err, build.Abandon(context.WithoutCancel(ctx)))
	}
	k.log.Log(ctx, levelOf(floor), "picture is filled", "conferences", len(f.records), "passed_over", f.skipped,
		"took", k.Now().Sub(started).Round(time.Millisecond))
	return nil
}

// read folds the journal from one sequence to another into f.
func (k *keeper) read(ctx context.Context, f *fold, from, to uint64, progress func(done uint64)) error {
	if from > to {
		return nil
	}
	err := k.Journal.Read(ctx, k.lane.Number(), from, to, func(g events.Group) error {
		progress(g.Sequence)
		return f.add(ctx, g)
	})
	if err != nil {
		return fmt.Errorf("read the journal from %d to %d: %w", from, to, err)
	}
	return nil
}

// progress keeps the state that /readyz shows and, once a second, the log.
func (k *keeper) progress(total uint64) func(done uint64) {
	said := k.Now()
	var calls int
	k.state.Store(&State{Lane: k.lane.Number(), Filling: true, Total: total})
	return func(done uint64) {
		if calls++; calls%256 != 0 {
			return
		}
		k.state.Store(&State{Lane: k.lane.Number(), Filling: true, Done: done, Total: total})
		if now := k.Now(); now.Sub(said) >= progressEvery {
			said = now
			k.log.Info("filling the picture", "read", done, "of", total)
		}
	}
}

// put writes what f holds and makes it the lane's picture. Conferences of which
// nothing was heard for longer than they are kept stay out.
func (k *keeper) put(ctx context.Context, build projections.Build, f *fold, upTo uint64) error {
	cutoff := projections.Instant(0)
	if k.Keep > 0 {
		cutoff = projections.At(k.Now().Add(-k.Keep))
	}
	records := make([]projections.Stored, 0, putRecords)
	flush := func() error {
		if err := build.Put(ctx, records); err != nil {
			return fmt.Errorf("put %d records: %w", len(records), err)
		}
		records = records[:0]
		return nil
	}
	for _, r := range f.records {
		if r.Record == nil || r.Book.LastEventAt < cutoff {
			continue
		}
		kept, err := r.Stored()
		if err != nil {
			return err
		}
		if records = append(records, kept); len(records) == putRecords {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	state, err := f.machine.MarshalState()
	if err != nil {
		return err
	}
	applied := events.Position{Sequence: upTo, Index: events.MaxGroupEntries}
	if err := build.Commit(ctx, applied, state); err != nil {
		return fmt.Errorf("switch to the new picture: %w", err)
	}
	return nil
}
