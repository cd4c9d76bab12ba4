package project

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"gavel/events"
	"gavel/projections"
)

// cacheRecords bounds the records that a lane keeps in memory between batches;
// at about 2 KB each that is 64 MB at the most.
const cacheRecords = 32 << 10

// session is one unbroken stretch of working a lane. It ends with its first
// error; the next one begins again behind the ack floor and knows nothing.
type session struct {
	*keeper
	// resumedAt is the lane's newest sequence when it was taken over. Whatever
	// lies at or before it may have been worked by somebody before us.
	resumedAt uint64
	records   *simplelru.LRU[events.Key, *record]
	checked   time.Time
	expired   time.Time
	// scratch holds the news of one batch; it is free again once they are
	// acknowledged.
	scratch []byte
}

// record is a conference between two batches.
type record struct {
	projections.Stored
	// told is the position of its last news that is known to be acknowledged.
	told events.Position
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
	records, err := simplelru.NewLRU[events.Key, *record](cacheRecords, nil)
	if err != nil {
		return fmt.Errorf("make the lane's cache: %w", err)
	}
	k.worked.Store(floor)
	s := &session{keeper: k, resumedAt: last, records: records, checked: k.Now(), expired: k.Now()}
	settled()
	k.log.Info("lane is being worked", "floor", floor, "waiting_up_to", last)
	return s.work(ctx)
}

// makeWhole compares the picture with the journal and fills it where it is
// lost.
func (k *keeper) makeWhole(ctx context.Context, floor uint64) error {
	err := k.Store.Check(ctx, k.lane.Number(), floor)
	if !errors.Is(err, projections.ErrLost) {
		return err
	}
	k.log.Warn("picture is filled from the journal", "why", err, "up_to", floor)
	if err := k.fill(ctx, floor); err != nil {
		return err
	}
	return k.Store.Check(ctx, k.lane.Number(), floor)
}

// work takes batches as they come. While none comes it looks after the
// picture once a second.
func (s *session) work(ctx context.Context) error {
	s.state.Store(&State{Lane: s.lane.Number(), Ready: true})
	for {
		if err := s.lookAfter(ctx); err != nil {
			return err
		}
		groups, err := s.next(ctx)
		if err != nil {
			return err
		}
		if len(groups) == 0 {
			continue
		}
		if err := s.batch(ctx, groups); err != nil {
			return err
		}
	}
}

// next waits for groups, or for the time to look after the picture.
func (s *session) next(ctx context.Context) ([]events.Group, error) {
	waiting, cancel := context.WithTimeout(ctx, checkEvery)
	defer cancel()
	groups, err := s.lane.Next(waiting, batchGroups)
	if err != nil && waiting.Err() != nil && ctx.Err() == nil {
		s.state.Store(&State{Lane: s.lane.Number(), Ready: true})
		s.Metrics.lag.WithLabelValues(s.label()).Set(0)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("take groups from the lane: %w", err)
	}
	return groups, nil
}

// lookAfter does what is due between two batches.
func (s *session) lookAfter(ctx context.Context) error {
	select {
	case w := <-s.switchover:
		return w.take(ctx, s.worked.Load())
	default:
	}
	now := s.Now()
	if now.Sub(s.checked) < checkEvery {
		return nil
	}
	s.checked = now
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
	if removed > 0 {
		s.records.Purge()
		s.log.Info("old conferences left the picture", "removed", removed)
	}
	return nil
}

func (s *session) label() string { return laneLabel(s.lane.Number()) }
