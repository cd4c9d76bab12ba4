package project

import (
	"context"
	"fmt"
	"log/slog"
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

// deadlines lists the conferences that are due.
type deadlines interface {
	Due(ctx context.Context, lane int, until time.Time, most int) ([]projections.Due, error)
}

// alarmKeeper sets all alarms of the lane again, because those that the owner
// before set may be lost, and then checks once a minute whether any was lost.
type alarmKeeper struct {
	lane    int
	store   deadlines
	timers  Timers
	journal Appender
	writing *writeLock
	status  *status
	now     func() time.Time
	log     *slog.Logger
	metrics *Metrics
}

func (a *alarmKeeper) run(ctx context.Context) error {
	if err := a.rearm(ctx); err != nil {
		return fmt.Errorf("set all alarms anew: %w", err)
	}
	tick := time.NewTicker(overdueEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := a.wakeOverdue(ctx); err != nil {
				return fmt.Errorf("wake what is overdue: %w", err)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (a *alarmKeeper) rearm(ctx context.Context) error {
	all, err := a.beginRearming(ctx)
	for err == nil && len(all) > 0 {
		n := min(rearmAtOnce, len(all))
		if err = a.setAnew(ctx, all[:n]); err == nil {
			err = wait(ctx, rearmPause)
		}
		all = all[n:]
	}
	a.endRearming()
	return err
}

// beginRearming lists what is due. From here on every save notes when its
// conferences are due, so that no alarm is set back to what was listed.
func (a *alarmKeeper) beginRearming(ctx context.Context) ([]projections.Due, error) {
	a.writing.Lock()
	defer a.writing.Unlock()
	a.writing.dues = map[events.Key]int64{}
	return a.store.Due(ctx, a.lane, farFuture, rearmAtMost)
}

func (a *alarmKeeper) endRearming() {
	a.writing.Lock()
	defer a.writing.Unlock()
	a.writing.dues = nil
}

// farFuture is behind every deadline.
var farFuture = time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC)

// setAnew sets some alarms while nothing is saved.
func (a *alarmKeeper) setAnew(ctx context.Context, some []projections.Due) error {
	a.writing.Lock()
	defer a.writing.Unlock()
	alarms := make([]events.Alarm, 0, len(some))
	for _, d := range some {
		now, changed := a.writing.dues[d.Key]
		switch {
		case !changed:
			alarms = append(alarms, events.Alarm(d))
		case now > 0:
			alarms = append(alarms, events.Alarm{Key: d.Key, At: time.UnixMilli(now).UTC()})
		}
	}
	if len(alarms) == 0 {
		return nil
	}
	return a.timers.Set(ctx, a.lane, alarms)
}

// wakeOverdue wakes what no alarm woke. While the lane is behind, what rang waits
// in its journal, and there is nothing to be wondered at.
func (a *alarmKeeper) wakeOverdue(ctx context.Context) error {
	if a.status.lag() > overdueAfter {
		return nil
	}
	now := a.now()
	late, err := a.store.Due(ctx, a.lane, now.Add(-overdueAfter), overdueAtMost)
	if err != nil || len(late) == 0 {
		return err
	}
	a.metrics.overdue.Add(float64(len(late)))
	a.log.Warn("alarms did not ring", "conferences", len(late), "due", late[0].At)
	keys := make([]events.Key, len(late))
	for i, d := range late {
		keys[i] = d.Key
	}
	return wake(ctx, a.journal, keys, now)
}
