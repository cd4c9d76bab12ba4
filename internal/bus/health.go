package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
	"gavel/internal/bus/jet"
	"gavel/internal/bus/natsd"
)

const (
	// probeEvery is how often the journal is looked at.
	probeEvery = time.Second
	// probeStuck is when a probe that has not answered counts as failed; fsync
	// stalls of 0.6 s are ordinary.
	probeStuck = 2 * time.Second
	// embeddedPatience: what the embedded server says about itself is certain.
	embeddedPatience = 0
	// externalPatience outlasts an election (4 to 9 s): until then a stream
	// that does not answer may be back before the append's budget ends.
	externalPatience = 12 * time.Second
	// deadAfter is when a frozen embedded server counts as dead. One I/O error
	// freezes a stream until the process restarts.
	deadAfter = 5 * time.Second
)

var (
	errStuck = errors.New("no answer within 2 s")
	// errNoRoom is not the journal's own limit, which lies in front of it and is
	// told by Usage, but that of all streams.
	errNoRoom = errors.New("NATS has no storage left: give it more " +
		"(max_file_store or a larger volume, or the account's limit), or remove streams that are not Gavel's")
)

// health is the watchdog over the journal. While it is unwell, appends fail at
// once instead of using up the time that Twilio waits.
type health struct {
	probe    func(context.Context) error
	patience time.Duration
	mortal   bool // an embedded server can be dead
	log      *slog.Logger
	// doubt: whether NATS has storage left is to be found out by the next probe.
	doubt atomic.Bool
	// state is never nil.
	state atomic.Pointer[condition]
	dead  chan error
	// since is when the present illness was first seen.
	since   time.Time
	asked   chan error // the answer of a probe that has not ended yet
	stop    context.CancelFunc
	stopped chan struct{}
}

// condition is one stretch of health or illness.
type condition struct {
	// well ends, with the reason, together with the health.
	well   context.Context
	sicken context.CancelCauseFunc
}

// watch starts the watchdog over the journal. trial is a write that NATS refuses
// where it has no storage left.
func watch(server *natsd.Server, journal jetstream.Stream, trial func(context.Context) error, c Config, log *slog.Logger) *health {
	h := newHealth(externalPatience, false, log)
	if server != nil {
		h.patience, h.mortal = embeddedPatience, true
	}
	h.doubt.Store(true) // it may have been full for long, and no callback come
	return h.start(func(ctx context.Context) error {
		if err := server.Fault(); err != nil {
			return err
		}
		info, err := journal.Info(ctx)
		if err != nil {
			return fmt.Errorf("ask for the state of the journal: %w", err)
		}
		c.Metrics.observeJournal(info)
		return h.tryRoom(ctx, trial)
	})
}

// tryRoom writes where it is in doubt whether there is storage left: no client can
// ask a server for that. Where the write fails for another reason the next append
// finds out.
func (h *health) tryRoom(ctx context.Context, trial func(context.Context) error) error {
	if !h.doubt.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, probeEvery)
	defer cancel()
	if err := trial(ctx); jet.StorageFull(err) {
		return fmt.Errorf("%w: %w", errNoRoom, err)
	}
	h.doubt.Store(false)
	return nil
}

// noRoom is called by an append that found no storage left. Until a probe finds
// some the journal is down.
func (h *health) noRoom(err error) error {
	err = fmt.Errorf("%w: %w", errNoRoom, err)
	h.doubt.Store(true)
	h.sicken(err)
	return fmt.Errorf("%w: %w", events.ErrUnavailable, err)
}

func newHealth(patience time.Duration, mortal bool, log *slog.Logger) *health {
	h := &health{patience: patience, mortal: mortal, log: log, dead: make(chan error, 1), stopped: make(chan struct{})}
	h.state.Store(newCondition())
	return h
}

func (h *health) start(probe func(context.Context) error) *health {
	ctx, stop := context.WithCancel(context.Background())
	h.probe, h.stop = probe, stop
	go h.run(ctx)
	return h
}

func newCondition() *condition {
	well, sicken := context.WithCancelCause(context.Background())
	return &condition{well, sicken}
}

// Healthy is nil, or why not.
func (h *health) Healthy() error { return context.Cause(h.while()) }

// while returns a context that lasts as long as the health does.
func (h *health) while() context.Context { return h.state.Load().well }

func (h *health) run(ctx context.Context) {
	defer close(h.stopped)
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		err := h.ask(ctx)
		if ctx.Err() == nil {
			h.judge(err, time.Now())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			h.awaitProbe()
			return
		}
	}
}

// ask runs the probe beside itself, because a frozen server may never answer
// and its Healthz takes no context. There is never more than one.
func (h *health) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeStuck)
	if h.asked == nil {
		answer := make(chan error, 1)
		h.asked = answer
		go func() { answer <- h.probe(ctx) }()
	}
	defer cancel()
	select {
	case err := <-h.asked:
		h.asked = nil
		return err
	case <-ctx.Done():
		return errStuck
	}
}

func (h *health) awaitProbe() {
	if h.asked != nil {
		<-h.asked
	}
}

// judge turns what the probe said into health, illness or death.
func (h *health) judge(err error, now time.Time) {
	if err == nil {
		h.heal()
		return
	}
	if h.since.IsZero() {
		h.since = now
	}
	ill := now.Sub(h.since)
	if ill >= h.patience || certain(err) {
		h.sicken(err)
	}
	if h.mortal && ill >= deadAfter && !errors.Is(err, errNoRoom) {
		select {
		case h.dead <- h.Healthy():
		default: // said once
		}
	}
}

// certain reports whether an external server's answer leaves nothing to wait
// for.
func certain(err error) bool {
	return errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, errNoRoom)
}

func (h *health) sicken(err error) {
	if h.Healthy() != nil {
		return
	}
	h.log.Error("journal takes nothing until this is over", "error", err)
	h.state.Load().sicken(fmt.Errorf("journal is down: %w: %w", events.ErrUnavailable, err))
}

func (h *health) heal() {
	h.since = time.Time{}
	if h.Healthy() == nil || h.doubt.Load() {
		return
	}
	h.log.Info("journal is well again")
	h.state.Store(newCondition())
}

// close ends the watchdog. A probe that hangs in a frozen server is waited for
// no longer than ctx lasts.
func (h *health) close(ctx context.Context) error {
	h.stop()
	select {
	case <-h.stopped:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
