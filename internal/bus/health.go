package bus

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
	"gavel/internal/bus/jet"
	"gavel/internal/bus/natsd"
)

const (
	// probeEvery is how often the journal is checked.
	probeEvery = time.Second
	// probeStuck is when a probe without an answer counts as silent.
	probeStuck = 2 * time.Second
	// silentPatience is how long the embedded server may be silent. A stream answers
	// nothing during an fsync, so silence is a slow disk, and callbacks wait for that
	// as long as their budget lasts.
	silentPatience = appendBudget
	// confirmAfter is the time between two reports of the embedded server that count as one.
	confirmAfter = 250 * time.Millisecond
	// embeddedPatience is zero because two reports of the embedded server are certain.
	embeddedPatience = 0
	// externalPatience is longer than an election (4 to 9 s), after which a stream may
	// answer again before the append's budget ends.
	externalPatience = 12 * time.Second
	// deadAfter is when an embedded server that is frozen counts as dead. One I/O error
	// freezes a stream until the process restarts.
	deadAfter = 5 * time.Second
)

var (
	errGone   = errors.New("the embedded NATS server has stopped; start Gavel again")
	errSilent = errors.New("NATS does not answer for the journal; an embedded one waits for a disk that hangs or is far too slow")
	// errNoRoom is the limit of all streams, not that of the journal, which is lower
	// and which Usage reports.
	errNoRoom = errors.New("NATS has no storage left: give it more " +
		"(max_file_store or a larger volume, or the account's limit), or remove streams that are not Gavel's")
)

// health is the watchdog over the journal. While the journal fails, appends fail at
// once instead of using up the time that Twilio waits.
type health struct {
	probe    func(context.Context) error
	gone     func() bool // whether the embedded server has stopped; a probe under way then gets no answer
	patience time.Duration
	embedded bool // only an embedded server can be dead
	store    *Store
	// checkRoom makes the next probe check whether NATS has storage left.
	checkRoom atomic.Bool
	// state is never nil.
	state atomic.Pointer[period]
	dead  chan error
	// stored is when the last group was acknowledged, in Unix ns.
	stored atomic.Int64
	// since is when the current failure was first seen, and silent whether it is the
	// embedded server's silence.
	since   time.Time
	silent  bool
	pending chan error // the answer of a running probe
	stop    context.CancelFunc
	stopped chan struct{}
}

// period is the time up to the next failure, or a failure.
type period struct {
	// healthy ends with the failure's reason.
	healthy context.Context
	fail    context.CancelCauseFunc
}

// watch starts the watchdog over the journal. trial is a write that NATS refuses if
// it has no storage left.
func watch(server *natsd.Server, journal jetstream.Stream, trial func(context.Context) error, c Config, store *Store) *health {
	h := newHealth(externalPatience, false, store)
	if server != nil {
		h.patience, h.embedded = embeddedPatience, true
		h.gone = func() bool { return !server.Running() }
	}
	h.checkRoom.Store(true) // it may have been full before this start
	if err := server.Room(); err != nil {
		h.fail(err)
	}
	return h.start(func(ctx context.Context) error {
		if err := server.Room(); err != nil { // first: what it has frozen thaws in a new server only
			return err
		}
		if err := confirmed(ctx, server.Fault); err != nil {
			return err
		}
		info, err := journal.Info(ctx)
		if err != nil {
			return fmt.Errorf("read the state of the journal: %w", err)
		}
		c.Metrics.observeJournal(info)
		store.Report(JournalFull, usageOf(info).fault())
		return h.tryRoom(ctx, trial)
	})
}

// confirmed returns the second of two faults in a row. A single one passes by itself: while another
// client makes a stream, its folder exists before the stream does.
func confirmed(ctx context.Context, fault func() error) error {
	if fault() == nil {
		return nil
	}
	pause := time.NewTimer(confirmAfter)
	defer pause.Stop()
	select {
	case <-pause.C:
		return fault()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tryRoom finds out by a write whether NATS has storage left, because no request
// returns that. If the write fails for another reason, the next append fails too.
func (h *health) tryRoom(ctx context.Context, trial func(context.Context) error) error {
	if !h.checkRoom.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, probeEvery)
	defer cancel()
	if err := trial(ctx); jet.StorageFull(err) {
		return fmt.Errorf("%w: %w", errNoRoom, err)
	}
	h.checkRoom.Store(false)
	return nil
}

// noRoom marks the journal as down after an append that failed without storage, until
// a probe finds storage.
func (h *health) noRoom(err error) error {
	err = fmt.Errorf("%w: %w", errNoRoom, err)
	h.checkRoom.Store(true)
	h.fail(err)
	return fmt.Errorf("%w: %w", events.ErrUnavailable, err)
}

func newHealth(patience time.Duration, embedded bool, store *Store) *health {
	h := &health{gone: func() bool { return false }, patience: patience, embedded: embedded, store: store, dead: make(chan error, 1), stopped: make(chan struct{})}
	h.state.Store(newPeriod())
	return h
}

func (h *health) start(probe func(context.Context) error) *health {
	ctx, stop := context.WithCancel(context.Background())
	h.probe, h.stop = probe, stop
	go h.run(ctx)
	return h
}

func newPeriod() *period {
	healthy, fail := context.WithCancelCause(context.Background())
	return &period{healthy, fail}
}

// Healthy returns the current failure, or nil.
func (h *health) Healthy() error { return context.Cause(h.while()) }

// while returns a context that ends with the next failure.
func (h *health) while() context.Context { return h.state.Load().healthy }

func (h *health) run(ctx context.Context) {
	defer close(h.stopped)
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		err := h.callProbe(ctx)
		if ctx.Err() == nil {
			h.update(err, time.Now())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if h.pending != nil {
				<-h.pending
			}
			return
		}
	}
}

// callProbe runs the probe in a goroutine, because a frozen server may never answer and
// its Healthz has no context. At most one probe runs.
func (h *health) callProbe(ctx context.Context) error {
	if h.pending == nil {
		answer := make(chan error, 1)
		h.pending = answer
		go func() {
			ctx, cancel := context.WithTimeout(ctx, h.probeTime())
			defer cancel()
			answer <- h.probe(ctx)
		}()
	}
	patience := time.NewTimer(probeStuck)
	defer patience.Stop()
	select {
	case err := <-h.pending:
		h.pending = nil
		if h.embedded && errors.Is(err, context.DeadlineExceeded) {
			return errSilent
		}
		return err
	case <-patience.C:
		if h.gone() {
			return errGone
		}
	case <-ctx.Done():
	}
	return errSilent
}

// probeTime bounds a probe. A request to an external server can get lost, one to the embedded
// server cannot.
func (h *health) probeTime() time.Duration {
	if h.embedded {
		return silentPatience
	}
	return probeStuck
}

// update changes the state by the probe's result.
func (h *health) update(err error, now time.Time) {
	if err == nil {
		h.recovered()
		return
	}
	patience, silent := h.patience, h.embedded && errors.Is(err, errSilent)
	if h.since.IsZero() || silent != h.silent {
		h.since, h.silent = now, silent
	}
	if silent {
		patience = silentPatience - probeStuck // before it was seen
		// The groups of a slow disk can keep a probe waiting; a disk that stores them does not hang.
		if stored := time.Unix(0, h.stored.Load()); stored.After(h.since) {
			h.since = stored
		}
	}
	failing := now.Sub(h.since)
	if failing >= patience || certain(err) {
		h.fail(err)
	}
	if h.embedded && failing >= patience+deadAfter && conditionOf(err) != NoRoom {
		select {
		case h.dead <- fmt.Errorf("journal is down: %w: %w", events.ErrUnavailable, err):
		default: // it is reported once
		}
	}
}

// certain reports whether an external server's error will not pass by itself.
func certain(err error) bool {
	return errors.Is(err, jetstream.ErrStreamNotFound) || conditionOf(err) == NoRoom
}

func conditionOf(err error) Condition {
	if errors.Is(err, errNoRoom) || errors.Is(err, natsd.ErrFull) {
		return NoRoom
	}
	return Unreachable
}

func (h *health) fail(err error) {
	now, other := NoRoom, Unreachable
	if conditionOf(err) == Unreachable {
		now, other = other, now
	}
	h.store.Report(now, err)
	h.store.Report(other, nil)
	if h.Healthy() != nil {
		return
	}
	h.state.Load().fail(fmt.Errorf("journal is down: %w: %w", events.ErrUnavailable, err))
}

func (h *health) recovered() {
	h.since = time.Time{}
	if h.Healthy() == nil || h.checkRoom.Load() {
		return
	}
	h.store.Report(Unreachable, nil)
	h.store.Report(NoRoom, nil)
	h.state.Store(newPeriod())
}

// close stops the watchdog. It waits until ctx ends for a probe that hangs in a frozen server.
func (h *health) close(ctx context.Context) error {
	h.stop()
	select {
	case <-h.stopped:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
