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
	// rearmAtMost bounds the conferences whose alarms are set again when a lane is taken over, at
	// about 150 bytes each. Those beyond it have the latest deadlines; if NATS has lost their
	// alarms as well, the check of each minute finds them.
	rearmAtMost = 250_000
	// rearmAtOnce and rearmPause bound that to 5,000 a second, so that the picture
	// can be written in between.
	rearmAtOnce = 250
	rearmPause  = 50 * time.Millisecond
	// overdueEvery is how often the lane checks for deadlines without a wake-up,
	// overdueAfter how late an alarm may be.
	overdueEvery = time.Minute
	overdueAfter = 5 * time.Second
	// overdueAtMost bounds the conferences that one check wakes.
	overdueAtMost = 10_000
)

// deadlines lists conferences by their deadlines.
type deadlines interface {
	Due(ctx context.Context, lane int, until time.Time, most int) ([]projections.Due, error)
}

// alarmKeeper sets all alarms of the lane again, because those of the former
// owner may be lost, and then checks once a minute for lost alarms.
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
		return fmt.Errorf("set all alarms again: %w", err)
	}
	tick := time.NewTicker(overdueEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := a.wakeOverdue(ctx); err != nil {
				return fmt.Errorf("wake overdue conferences: %w", err)
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
		if err = a.setAlarms(ctx, all[:n]); err == nil {
			err = wait(ctx, rearmPause)
		}
		all = all[n:]
	}
	a.endRearming()
	return err
}

// beginRearming lists all deadlines. From here on every save notes the deadlines of
// its conferences, so that no alarm is set back to a listed one.
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

// setAlarms sets some alarms, while the saver is locked out.
func (a *alarmKeeper) setAlarms(ctx context.Context, some []projections.Due) error {
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

// wakeOverdue wakes overdue conferences whose alarm was lost. While the lane is
// behind, their wake-ups may still wait in its journal, so it does nothing.
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
	a.log.Warn("overdue alarms woken", "conferences", len(late), "due", late[0].At)
	keys := make([]events.Key, len(late))
	for i, d := range late {
		keys[i] = d.Key
	}
	return wake(ctx, a.journal, keys, now)
}
