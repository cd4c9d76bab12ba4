package project

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v4"

	"gavel/events"
	"gavel/internal/chain"
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
	guard  *guard // nil if the journal is not verified
	log    *slog.Logger
	// switchover carries a rebuilt picture to the session, which switches to it
	// between two batches.
	switchover chan *switchover
	restored   bool // the lane's decisions are complete
}

func newKeeper(c Config, lane Lane) *keeper {
	log := c.Log.With("component", "project", "lane", lane.Number())
	status := newStatus(lane, c.Metrics)
	k := &keeper{
		config: c, lane: lane, status: status, log: log, switchover: make(chan *switchover),
		filler: &filler{
			lane: lane.Number(), journal: c.Journal, store: c.Store, keep: c.Keep, passed: c.Passed,
			newMachine: func(saved []byte) (*lanes.Machine, error) { return lanes.New(c.RuleBook, saved) },
		},
	}
	if c.Chain != nil {
		k.guard = &guard{Chain: *c.Chain, lane: lane.Number(), journal: c.Journal, store: c.Store, log: log}
	}
	return k
}

// keep takes the lane over and works it, repeatedly until ctx ends.
func (k *keeper) keep(ctx context.Context) error {
	pause := backoff.NewExponentialBackOff(backoff.WithMaxInterval(retryAtMost), backoff.WithMaxElapsedTime(0))
	for {
		err := k.takeOver(ctx, pause.Reset)
		if fault := (*chain.Fault)(nil); errors.As(err, &fault) {
			k.status.set(State{Err: fault.Error()})
			err = k.guard.answer(ctx, err, fault)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var delay time.Duration
		switch {
		case errors.Is(err, errSwitched), errors.Is(err, errAccepted), errors.Is(err, errSuspected):
			continue
		case errors.Is(err, events.ErrLaneMoved):
			k.guard.trust()
			k.log.Info("lane moves to another projector", "error", err)
			k.status.set(State{Elsewhere: true})
			delay = movedPause
		default:
			k.guard.trust()
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

// takeOver resumes the lane, verifies its journal, makes the picture complete, and works the lane
// until something fails. It calls settled when the lane is being worked, so that the next failure
// counts as a new one.
func (k *keeper) takeOver(ctx context.Context, settled func()) error {
	floor, last, err := k.lane.Resume(ctx)
	if err != nil {
		return fmt.Errorf("resume lane: %w", err)
	}
	if floor, err = k.ownFloor(ctx, floor); err != nil {
		return err
	}
	waiting := last
	o, err := k.openJournal(ctx, &floor, &last)
	if err != nil {
		return err
	}
	record, err := k.complete(ctx, floor, o)
	if err != nil {
		return err
	}
	machine, err := k.openMachine(ctx)
	if err != nil {
		return err
	}
	only := k.guard != nil && k.guard.Alone && len(k.config.Lanes) == 1
	s, err := newSession(k, machine, last, newRecorder(record, o, only))
	if err != nil {
		return err
	}
	if o != nil {
		s.auditor = &auditor{guard: k.guard, walks: o.walks}
	}
	if o != nil && o.held {
		s.publisher.release = &release{ledger: k.guard.Ledger, lane: k.lane.Number(), upTo: waiting}
		if err := s.publisher.release.at(ctx, floor); err != nil {
			return err
		}
	}
	k.status.worked.Store(floor)
	settled()
	k.log.Debug("lane is being worked", "floor", floor, "waiting_up_to", last)
	k.status.set(State{Ready: true})
	k.config.Metrics.own(k.lane.Number())
	defer k.config.Metrics.disown(k.lane.Number())
	return s.run(ctx)
}

// openJournal verifies the journal, nil without a guard. After an acceptance it lowers the floor
// and the newest sequence to the groups that were processed before the journal was cut.
func (k *keeper) openJournal(ctx context.Context, floor, last *uint64) (*opened, error) {
	if k.guard == nil {
		return nil, nil
	}
	o, err := k.guard.open(ctx)
	if err != nil {
		return nil, err
	}
	if !o.accepted {
		*floor, err = k.correct(ctx, *floor, &o)
		return &o, err
	}
	if *last = o.cut; o.cut < *floor {
		*floor = o.cut
		if err := k.lane.Rewind(ctx, o.cut); err != nil {
			return nil, fmt.Errorf("rewind lane: %w", err)
		}
	}
	return &o, nil
}

// correct returns the ack floor that follows from the file: a damaged state of the consumer is no error
// to NATS. A floor that is too high would leave groups without news; one that is too low costs a
// second delivery of groups, which changes nothing.
func (k *keeper) correct(ctx context.Context, floor uint64, o *opened) (uint64, error) {
	finished := o.inFile.Head.Sequence
	switch {
	case floor > o.last: // of a journal that does not end there
	case finished == floor || o.inFile.Empty() || finished < floor && !k.guard.Alone:
		return floor, nil
	default:
		if next, err := k.config.Journal.After(ctx, k.lane.Number(), min(floor, finished)); err != nil || next == 0 || next > max(floor, finished) {
			return floor, err // they differ by the groups of other lanes
		}
	}
	k.log.Warn("ack floor of the lane is not where its processing ended, and is corrected", "floor", floor, "position", finished)
	if err := k.lane.Rewind(ctx, finished); err != nil {
		return 0, fmt.Errorf("correct the ack floor: %w", err)
	}
	return finished, nil
}

// ownFloor returns the last sequence up to which the picture must be complete, given the ack floor.
// While a lane is idle, NATS moves the ack floor of its consumer past the groups of other lanes, so
// a picture behind the floor lacks something only if the lane has a group between them.
func (k *keeper) ownFloor(ctx context.Context, floor uint64) (uint64, error) {
	applied, _, err := k.config.Store.Applied(ctx, k.lane.Number())
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

// complete compares the picture with the journal and fills it if it is lost, or if an operator
// accepted another journal than the one it was made from. It returns the record to continue, nil
// without a guard.
func (k *keeper) complete(ctx context.Context, floor uint64, o *opened) (*recorder, error) {
	err := k.config.Store.Check(ctx, k.lane.Number(), floor)
	lost := errors.Is(err, projections.ErrLost)
	collect := k.collector(o)
	switch {
	case err == nil && o == nil:
		return nil, nil
	case err == nil && collect != nil:
		err = errRestoring
	case err == nil && !o.accepted:
		return k.follow(ctx, floor, max(floor, o.applied), o)
	case err == nil:
		err = errAccepted
	case !lost:
		return nil, err
	}
	from := k.resumed()
	if o != nil && o.accepted || collect != nil {
		from = nil // it was made from what the journal has lost, or lacks the earlier decisions
	}
	filler, verified := *k.filler, (*verifier)(nil)
	filler.decided = collect
	if o != nil {
		verified = o.reader(k.filler.journal, floor)
		filler.journal = verified
	}
	if err := k.fill(ctx, &filler, from, floor, err); err != nil || o == nil {
		return nil, err
	}
	if err := k.restore(ctx, collect); err != nil {
		return nil, err
	}
	if verified.part {
		return k.follow(ctx, floor, floor, o)
	}
	k.guard.found(nil)
	return k.begin(ctx, floor, floor, verified.begin)
}

// follow continues the record of a lane without reading all of its journal.
func (k *keeper) follow(ctx context.Context, floor, applied uint64, o *opened) (*recorder, error) {
	record, err := k.guard.follow(ctx, o, applied)
	if err != nil {
		return nil, err
	}
	return k.begin(ctx, floor, applied, record)
}

// begin stores the record of a lane that is about to be worked. The file keeps its own until the groups
// that the picture is ahead are published.
func (k *keeper) begin(ctx context.Context, floor, applied uint64, r chain.Record) (*recorder, error) {
	lane, at := k.lane.Number(), events.Position{Sequence: applied, Index: events.MaxGroupEntries}
	if err := k.config.Store.NoteApplied(ctx, lane, at, nil, r.Brief()); err != nil {
		return nil, fmt.Errorf("store the chain of the lane: %w", err)
	}
	if before := k.guard.File.Get(lane); applied == floor || before.Empty() {
		k.guard.File.Set(lane, r)
	}
	return &recorder{record: r}, nil
}

// fill fills the picture up to floor; why is in the log.
func (k *keeper) fill(ctx context.Context, f *filler, from *projections.Resumed, floor uint64, why error) error {
	level := levelOf(floor)
	if from != nil {
		level = slog.LevelDebug
	}
	k.log.Log(ctx, level, "filling the picture from the journal", "error", why, "up_to", floor)
	k.config.Metrics.fills.Inc()
	started := k.config.Now()
	p, err := f.fill(ctx, from, floor, k.progress(floor))
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
