package project

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/sync/errgroup"

	"gavel/events"
	"gavel/lanes"
	"gavel/projections"
)

// cacheRecords bounds the records that a lane keeps in memory between batches;
// at about 2 KB each that is 64 MB at the most.
const cacheRecords = 32 << 10

// session is one unbroken stretch of working a lane. It ends with its first
// error; the next one begins again behind the ack floor and knows nothing.
//
// Its four stages run side by side, each on the batch before the next one's:
// take and parse, fold and judge, decide and save, tell and acknowledge. Each
// stage meets the batches in journal order, so a record is saved before its news
// goes out, and an earlier batch is told and acknowledged before a later one. A
// batch is folded onto records whose saving may still be under way: should that
// fail, the session ends, and nothing of it was told.
type session struct {
	*keeper
	// resumedAt is the lane's newest sequence when it was taken over. Whatever
	// lies at or before it may have been worked by somebody before us.
	resumedAt uint64
	// toldUpTo is the sequence up to which this session has told everything.
	toldUpTo atomic.Uint64
	// records belong to the stage that folds. They are many more than all
	// batches under way can touch, so none leaves before it is saved.
	records *simplelru.LRU[events.Key, *record]
	// machine is the lane's state machine. It belongs to the stage that folds.
	machine *lanes.Machine
	// loaded are the ids of all loads, for any goroutine.
	loaded atomic.Pointer[[]string]
	// loadedNow asks for all conferences to be woken.
	loadedNow chan struct{}
	// writing is held while the picture is being written or switched.
	writing sync.Mutex
	// dues are when conferences are due that were saved while all alarms are
	// set anew; nil otherwise. Whoever writes holds it.
	dues map[events.Key]int64
	// saved and expired belong to the stage that saves.
	saved, expired time.Time
	// scratch holds the news of one batch and belongs to the stage that tells.
	scratch []byte
	// spare are batches to use again: their slices have grown.
	spare chan *batch
}

// record is a conference between two batches.
type record struct {
	lanes.Conference
	// open is what the batch being folded does to it.
	open *change
}

// takeOver resumes the lane, sees to it that the picture is whole, and works
// the lane until something fails. It calls settled once it got so far that the
// next failure is a new one.
func (k *keeper) takeOver(ctx context.Context, settled func()) error {
	floor, last, err := k.lane.Resume(ctx)
	if err != nil {
		return fmt.Errorf("resume lane: %w", err)
	}
	if err := k.makeWhole(ctx, floor); err != nil {
		return err
	}
	machine, err := k.resumeMachine(ctx)
	if err != nil {
		return err
	}
	records, err := simplelru.NewLRU[events.Key, *record](cacheRecords, nil)
	if err != nil {
		return fmt.Errorf("make the lane's cache: %w", err)
	}
	k.worked.Store(floor)
	s := &session{
		keeper: k, resumedAt: last, records: records, expired: k.Now(), spare: make(chan *batch, stages),
		machine: machine, loadedNow: make(chan struct{}, 1),
	}
	s.publishLoads()
	if at := machine.LoadedAt(); !at.IsZero() && k.Now().Sub(at) < youngLoad {
		s.wakeAll()
	}
	settled()
	k.log.Debug("lane is being worked", "floor", floor, "waiting_up_to", last)
	return s.work(ctx)
}

// resumeMachine returns the lane's state machine as far as the lane was worked.
func (k *keeper) resumeMachine(ctx context.Context) (*lanes.Machine, error) {
	if k.RuleBook == nil {
		return lanes.New(nil, nil)
	}
	saved, err := k.Store.LaneState(ctx, k.lane.Number())
	if err != nil {
		return nil, err
	}
	return lanes.New(k.RuleBook, saved)
}

// makeWhole compares the picture with the journal and fills it where it is
// lost.
func (k *keeper) makeWhole(ctx context.Context, floor uint64) error {
	err := k.Store.Check(ctx, k.lane.Number(), floor)
	if !errors.Is(err, projections.ErrLost) {
		return err
	}
	k.log.Log(ctx, levelOf(floor), "picture is filled from the journal", "why", err, "up_to", floor)
	if err := k.fill(ctx, floor); err != nil {
		return err
	}
	return k.Store.Check(ctx, k.lane.Number(), floor)
}

// levelOf is how loud a fill is: the first start of all has nothing to fill.
func levelOf(floor uint64) slog.Level {
	if floor == 0 {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

const (
	// stages is how many batches are kept to be used again.
	stages = 4
	// tellQueue is how many saved batches may wait to be told. News can cost an
	// fsync for each fact; the picture need not wait for that.
	tellQueue = 8
)

// work runs the stages until one fails, and waits for all of them.
func (s *session) work(ctx context.Context) error {
	s.state.Store(&State{Lane: s.lane.Number(), Ready: true})
	s.Metrics.own(s.lane.Number())
	defer s.Metrics.disown(s.lane.Number())
	g, ctx := errgroup.WithContext(ctx)
	taken, folded, saved := make(chan *batch), make(chan *batch), make(chan *batch, tellQueue)
	g.Go(func() error { return s.take(ctx, taken) })
	g.Go(func() error { return s.fold(ctx, taken, folded) })
	g.Go(func() error { return s.save(ctx, folded, saved) })
	g.Go(func() error { return s.finish(ctx, saved) })
	if s.judges() {
		g.Go(func() error { return s.followRules(ctx) })
		g.Go(func() error { return s.wakeAfterLoads(ctx) })
		g.Go(func() error { return s.keepAlarms(ctx) })
	}
	return g.Wait()
}

// take is the first stage: what has arrived becomes a batch.
func (s *session) take(ctx context.Context, taken chan<- *batch) error {
	for {
		groups, err := s.lane.Next(ctx, batchGroups)
		if err != nil {
			return fmt.Errorf("take groups from the lane: %w", err)
		}
		b := s.newBatch(groups)
		b.parse()
		if err := pass(ctx, taken, b); err != nil {
			return err
		}
	}
}

// fold is the second stage.
func (s *session) fold(ctx context.Context, taken <-chan *batch, folded chan<- *batch) error {
	for {
		select {
		case b := <-taken:
			if err := b.load(ctx); err != nil {
				return err
			}
			if err := b.fold(ctx); err != nil {
				return err
			}
			b.remember()
			if err := pass(ctx, folded, b); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// save is the third stage. It also looks after the picture, once a second
// whether batches come or not.
func (s *session) save(ctx context.Context, folded <-chan *batch, saved chan<- *batch) error {
	check := time.NewTicker(checkEvery)
	defer check.Stop()
	for {
		select {
		case b := <-folded:
			if err := s.saveBatch(ctx, b); err != nil {
				return err
			}
			if err := pass(ctx, saved, b); err != nil {
				return err
			}
		case <-check.C:
			if err := s.lookAfter(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// pass hands a batch to the next stage.
func pass(ctx context.Context, to chan<- *batch, b *batch) error {
	select {
	case to <- b:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *session) saveBatch(ctx context.Context, b *batch) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.saved = s.Now()
	return b.save(ctx)
}

// finish is the fourth stage. Between two batches everything that was worked is
// acknowledged, so this is where a rebuilt picture takes the old one's place.
func (s *session) finish(ctx context.Context, saved <-chan *batch) error {
	for {
		select {
		case b := <-saved:
			if err := b.finish(ctx); err != nil {
				return err
			}
			s.putBack(b)
		case w := <-s.switchover:
			s.writing.Lock()
			defer s.writing.Unlock()
			return w.take(ctx, s.worked.Load())
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// lookAfter compares the picture with the journal and removes what is no
// longer kept.
func (s *session) lookAfter(ctx context.Context) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	now := s.Now()
	if now.Sub(s.saved) > checkEvery {
		s.noLag()
	}
	if err := s.Store.Check(ctx, s.lane.Number(), s.worked.Load()); err != nil {
		return fmt.Errorf("check the picture: %w", err)
	}
	return s.expire(ctx, now)
}

// expire removes conferences that ended longer ago than they are kept.
func (s *session) expire(ctx context.Context, now time.Time) error {
	if s.Keep <= 0 || now.Sub(s.expired) < expireEvery {
		return nil
	}
	s.expired = now
	removed, err := s.Store.Expire(ctx, s.lane.Number(), now.Add(-s.Keep))
	if err != nil {
		return fmt.Errorf("remove old conferences: %w", err)
	}
	if removed == 0 {
		return nil
	}
	s.log.Info("old conferences left the picture", "removed", removed)
	return errSwitched // what is in memory may be of conferences that went
}
