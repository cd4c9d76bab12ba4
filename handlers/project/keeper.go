package project

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v4"

	"gavel/events"
	"gavel/lanes"
	"gavel/projections"
)

const (
	// retryAtMost bounds the pause after a lane failed.
	retryAtMost = 5 * time.Second
	// movedPause keeps two projectors that contend for a lane from spinning. It is
	// short, because the former owner releases a lane only when it resumes.
	movedPause = 100 * time.Millisecond
)

// keeper works one lane: it takes the lane over again after each loss. One
// goroutine runs it; each take-over starts a session of its own.
type keeper struct {
	config Config
	lane   Lane
	status *status
	filler *filler
	log    *slog.Logger
	// switchover carries a rebuilt picture to the session, which switches to it
	// between two batches.
	switchover chan *switchover
}

func newKeeper(c Config, lane Lane) *keeper {
	log := c.Log.With("component", "project", "lane", lane.Number())
	status := newStatus(lane, c.Metrics)
	return &keeper{
		config: c, lane: lane, status: status, log: log, switchover: make(chan *switchover),
		filler: &filler{
			lane: lane.Number(), journal: c.Journal, store: c.Store, keep: c.Keep, now: c.Now,
			newMachine: func(saved []byte) (*lanes.Machine, error) { return lanes.New(c.RuleBook, saved) },
		},
	}
}

// keep takes the lane over and works it, repeatedly until ctx ends.
func (k *keeper) keep(ctx context.Context) error {
	pause := backoff.NewExponentialBackOff(backoff.WithMaxInterval(retryAtMost), backoff.WithMaxElapsedTime(0))
	for {
		err := k.takeOver(ctx, pause.Reset)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var delay time.Duration
		switch {
		case errors.Is(err, errSwitched):
			continue
		case errors.Is(err, events.ErrLaneMoved):
			k.log.Info("lane moves to another projector", "error", err)
			k.status.set(State{Elsewhere: true})
			delay = movedPause
		default:
			k.config.Metrics.restarts.Inc()
			k.log.Warn("lane failed and is taken over again", "error", err)
			k.status.set(State{Err: err.Error()})
			delay = pause.NextBackOff()
		}
		if err := wait(ctx, delay); err != nil {
			return err
		}
	}
}

// takeOver resumes the lane, makes the picture complete, and works the lane until something fails.
// It calls settled when the lane is being worked, so that the next failure counts as a new one.
func (k *keeper) takeOver(ctx context.Context, settled func()) error {
	floor, last, err := k.lane.Resume(ctx)
	if err != nil {
		return fmt.Errorf("resume lane: %w", err)
	}
	if floor, err = k.ownFloor(ctx, floor); err != nil {
		return err
	}
	if err := k.complete(ctx, floor); err != nil {
		return err
	}
	machine, err := k.openMachine(ctx)
	if err != nil {
		return err
	}
	s, err := newSession(k, machine, last)
	if err != nil {
		return err
	}
	k.status.worked.Store(floor)
	settled()
	k.log.Debug("lane is being worked", "floor", floor, "waiting_up_to", last)
	k.status.set(State{Ready: true})
	k.config.Metrics.own(k.lane.Number())
	defer k.config.Metrics.disown(k.lane.Number())
	return s.run(ctx)
}

// ownFloor returns the last sequence up to which the picture must be complete, given the ack floor.
// While a lane is idle, NATS moves the ack floor of its consumer past the groups of other lanes, so
// a picture behind the floor lacks something only if the lane has a group between them.
func (k *keeper) ownFloor(ctx context.Context, floor uint64) (uint64, error) {
	applied, err := k.config.Store.Applied(ctx, k.lane.Number())
	if err != nil || applied == (events.Position{}) || applied.Sequence >= floor {
		return floor, err
	}
	next, err := k.config.Journal.After(ctx, k.lane.Number(), applied.Sequence)
	if err != nil || next != 0 && next <= floor {
		return floor, err
	}
	return applied.Sequence, nil
}

// openMachine returns the lane's state machine in its saved state.
func (k *keeper) openMachine(ctx context.Context) (*lanes.Machine, error) {
	if k.config.RuleBook == nil {
		return lanes.New(nil, nil)
	}
	saved, err := k.config.Store.LaneState(ctx, k.lane.Number())
	if err != nil {
		return nil, err
	}
	return lanes.New(k.config.RuleBook, saved)
}

// complete compares the picture with the journal and fills it if it is lost.
func (k *keeper) complete(ctx context.Context, floor uint64) error {
	err := k.config.Store.Check(ctx, k.lane.Number(), floor)
	if !errors.Is(err, projections.ErrLost) {
		return err
	}
	from, level := k.resumed(), levelOf(floor)
	if from != nil {
		level = slog.LevelDebug
	}
	k.log.Log(ctx, level, "filling the picture from the journal", "error", err, "up_to", floor)
	k.config.Metrics.fills.Inc()
	started := k.config.Now()
	p, err := k.filler.fill(ctx, from, floor, k.progress(floor))
	if err != nil {
		return err
	}
	k.log.Log(ctx, level, "picture filled", "conferences", p.conferences, "passed_over", p.skipped, "from", p.from.Sequence,
		"took_seconds", k.config.Now().Sub(started).Seconds())
	return k.config.Store.Check(ctx, k.lane.Number(), floor)
}

// resumed returns the lane's picture from a snapshot, nil without one.
func (k *keeper) resumed() *projections.Resumed {
	if k.config.Resumed == nil {
		return nil
	}
	if r, ok := k.config.Resumed(k.lane.Number()); ok {
		return &r
	}
	return nil
}

// levelOf is the log level of a fill: at the first start the journal is empty.
func levelOf(floor uint64) slog.Level {
	if floor == 0 {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

// progressEvery is how often a long fill is logged.
const progressEvery = time.Second

// progress returns a function that updates the state for /readyz and, once a second, logs.
func (k *keeper) progress(total uint64) func(done uint64) {
	logged := k.config.Now()
	var calls int
	k.status.set(State{Filling: true, Total: total})
	return func(done uint64) {
		if calls++; calls%256 != 0 {
			return
		}
		k.status.set(State{Filling: true, Done: done, Total: total})
		if now := k.config.Now(); now.Sub(logged) >= progressEvery {
			logged = now
			k.log.Info("filling the picture", "read", done, "of", total)
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
