package project

import (
	"context"
	"fmt"
	"time"

	"gavel/events"
	"gavel/projections"
)

const (
	// rearmAtMost bounds the conferences whose alarms are set anew when a lane
	// is taken over, at about 150 bytes each. Those beyond it have the latest
	// deadlines; should NATS have lost their alarms as well, the minute's look
	// finds them.
	rearmAtMost = 250_000
	// rearmAtOnce and rearmPause pace that: 5,000 a second, and the picture can
	// be written in between.
	rearmAtOnce = 250
	rearmPause  = 50 * time.Millisecond
	// overdueEvery is how often the lane looks for deadlines that nothing woke
	// it for, overdueAfter how late an alarm may ring.
	overdueEvery = time.Minute
	overdueAfter = 5 * time.Second
	// overdueAtMost bounds what one look wakes.
	overdueAtMost = 10_000
)

// keepAlarms sets all alarms of the lane anew, for nobody knows what became of
// those that the owner before set, and then looks once a minute whether any was
// lost.
func (s *session) keepAlarms(ctx context.Context) error {
	if err := s.rearm(ctx); err != nil {
		return fmt.Errorf("set all alarms anew: %w", err)
	}
	tick := time.NewTicker(overdueEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := s.wakeOverdue(ctx); err != nil {
				return fmt.Errorf("wake what is overdue: %w", err)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *session) rearm(ctx context.Context) error {
	all, err := s.beginRearming(ctx)
	for err == nil && len(all) > 0 {
		n := min(rearmAtOnce, len(all))
		if err = s.setAnew(ctx, all[:n]); err == nil {
			err = wait(ctx, rearmPause)
		}
		all = all[n:]
	}
	s.endRearming()
	return err
}

// beginRearming lists what is due. From here on every save notes when its
// conferences are due, so that no alarm is set back to what was listed.
func (s *session) beginRearming(ctx context.Context) ([]projections.Due, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.dues = map[events.Key]int64{}
	return s.Store.Due(ctx, s.lane.Number(), farFuture, rearmAtMost)
}

func (s *session) endRearming() {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.dues = nil
}

// farFuture is behind every deadline.
var farFuture = time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC)

// setAnew sets some alarms while nothing is saved.
func (s *session) setAnew(ctx context.Context, some []projections.Due) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	alarms := make([]events.Alarm, 0, len(some))
	for _, d := range some {
		now, changed := s.dues[d.Key]
		switch {
		case !changed:
			alarms = append(alarms, events.Alarm(d))
		case now > 0:
			alarms = append(alarms, events.Alarm{Key: d.Key, At: at(now)})
		}
	}
	if len(alarms) == 0 {
		return nil
	}
	return s.Timers.Set(ctx, s.lane.Number(), alarms)
}

// wakeOverdue wakes what no alarm woke. While the lane is behind, what rang waits
// in its journal, and there is nothing to be wondered at.
func (s *session) wakeOverdue(ctx context.Context) error {
	if s.state.Load().Lag > overdueAfter {
		return nil
	}
	now := s.Now()
	late, err := s.Store.Due(ctx, s.lane.Number(), now.Add(-overdueAfter), overdueAtMost)
	if err != nil || len(late) == 0 {
		return err
	}
	s.Metrics.overdue.Add(float64(len(late)))
	s.log.Warn("alarms did not ring", "conferences", len(late), "due", late[0].At)
	keys := make([]events.Key, len(late))
	for i, d := range late {
		keys[i] = d.Key
	}
	return wake(ctx, s.Journal, keys, now)
}
