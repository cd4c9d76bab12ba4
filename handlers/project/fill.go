package project

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"gavel/events"
	"gavel/projections"
)

const (
	// putRecords is how many records are handed to the store at once.
	putRecords = 500
	// progressEvery is how often a long fill says how far it is.
	progressEvery = time.Second
)

// fold is a picture in memory: what a stretch of the journal says.
type fold struct {
	records map[events.Key]*projections.Stored
	skipped int
}

func newFold() *fold { return &fold{records: make(map[events.Key]*projections.Stored)} }

// add folds one group. What cannot be folded is passed over: it went to the
// dead letters when it was first worked.
func (f *fold) add(g events.Group) error {
	err := g.Split(func(i int, raw events.Entry) error {
		e, err := events.ParseStored(raw)
		if err != nil {
			f.skipped++
			return nil
		}
		if ofNoConference(&e) {
			return nil
		}
		f.tell(&e, events.Position{Sequence: g.Sequence, Index: i})
		return nil
	})
	if errors.Is(err, events.ErrGroup) {
		f.skipped++
		return nil
	}
	return err
}

func (f *fold) tell(e *events.Event, at events.Position) {
	r := f.records[e.Key()]
	if r == nil {
		r = &projections.Stored{}
		f.records[ownKey(e)] = r
	}
	after, fresh, err := projections.Fold(r.Conference, e)
	if err != nil {
		f.skipped++
		return
	}
	if fresh {
		r.Conference = after
		note(&r.Book, e, at)
	}
}

// ownKey is the event's key without the journal message around it.
func ownKey(e *events.Event) events.Key {
	return events.Key{AccountSid: strings.Clone(e.AccountSid), ConferenceSid: strings.Clone(e.ConferenceSid)}
}

// fill builds the lane's picture up to the ack floor and puts it in place.
func (k *keeper) fill(ctx context.Context, floor uint64) (err error) {
	k.Metrics.fills.Inc()
	started := k.Now()
	f := newFold()
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
		return f.add(g)
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
		if r.Conference == nil || r.Book.Heard < cutoff {
			continue
		}
		if records = append(records, *r); len(records) == putRecords {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	applied := events.Position{Sequence: upTo, Index: events.MaxGroupEntries}
	if err := build.Commit(ctx, applied); err != nil {
		return fmt.Errorf("switch to the new picture: %w", err)
	}
	return nil
}
