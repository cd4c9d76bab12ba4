// Package app is the process: which parts it has, in which order they start, and how they stop. It
// has no flags, no settings file and no terminal, so that a test or another program can run one.
//
// Reading order: options.go, app.go (New, Run, Stop), lifecycle.go, listeners.go, then one file for
// each part: bus.go, clock.go, store.go, accounts.go, rules.go and rulefiles.go, projector.go, door.go,
// performer.go, readers.go, health.go, reload.go, memory.go.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"gavel/handlers/act"
	"gavel/handlers/announce"
	"gavel/handlers/api"
	"gavel/handlers/callback"
	"gavel/handlers/project"
	"gavel/handlers/rest"
	"gavel/internal/brakes"
	"gavel/internal/bus"
	"gavel/internal/chain"
	"gavel/internal/clock"
	"gavel/internal/keys"
	"gavel/internal/rulebook"
	"gavel/internal/twilio"
	"gavel/projections"
)

// App is one running process. Its parts are made in the order of the fields and
// stopped in the opposite one; a part that the roles do not need is nil.
type App struct {
	Options
	log      *slog.Logger
	metrics  *prometheus.Registry
	life     lifecycle
	failed   chan error // a part that ended by itself; the first one counts
	public   *Listener
	shownURL string    // PublicURL, with xxxxx for a password
	admin    *Listener // the same as public unless there is an AdminListen
	accounts *twilio.Accounts
	twilio   *twilio.Client
	bus      *bus.Bus
	sizes    bus.Sizes // at the start
	clock    *clock.Clock
	store    projections.Store
	resumed  func(lane int) (projections.Resumed, bool) // nil without an embedded picture
	keys     *keys.Keys
	rules    *rulebook.Book
	// ledger has the lanes of the journal that wait for an operator, heldLanes its last state.
	ledger    *chain.Ledger
	heldLanes atomic.Pointer[chain.Book]
	marks     *chain.Stored
	redecide  bool // the stream of decisions has lost some
	brakes    *brakes.Brakes
	project   *project.Projector
	door      *callback.Door
	// announcements serves what Twilio plays for a rule.
	announcements *announce.Handler
	performer     *act.Performer
	rest          *rest.Handler
	api           *api.API
	ready         *readiness
	reload        chan struct{} // a value makes the App read the rule files again
}

// New creates all parts and starts to serve. If a part fails to start, New stops the parts before
// it and returns the error. ctx bounds the start only: the App runs on after ctx ends.
func New(ctx context.Context, o Options) (*App, error) {
	a := &App{
		Options:  o,
		log:      o.Log,
		life:     lifecycle{log: o.Log},
		failed:   make(chan error, 1),
		accounts: new(twilio.Accounts),
		reload:   make(chan struct{}, 1),
	}
	if err := a.start(ctx); err != nil {
		return nil, errors.Join(err, a.life.stop(ctx))
	}
	return a, nil
}

// start is the composition root. Its order is the order of start: listeners
// first, so that a port that is taken is noticed before anything else is
// touched; the door and the readers last, because they need all the others.
func (a *App) start(ctx context.Context) error {
	a.metrics = prometheus.NewRegistry()
	a.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, step := range []func(context.Context) error{
		a.listen,
		a.openDataDir,
		a.openBus,
		a.openClock,
		a.openStore,
		a.openKeys,
		a.openRules,
		a.openJournal,
		a.openProjector,
		a.openAlarms,
		a.openDoor,
		a.openAnnouncements,
		a.openTwilio,
		a.openPerformer,
		a.openReaders,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	a.ready = &readiness{App: a}
	a.serve()
	// The last one started is the first one stopped: a load balancer that
	// follows /readyz sends nothing more while the process still answers.
	a.life.onStop("readiness", a.ready.stop)
	a.followReloads()
	return nil
}

// Run waits until ctx ends or a part fails, then stops the process. It returns
// the part's error, joined with those of Stop.
func (a *App) Run(ctx context.Context) error {
	var failure error
	select {
	case <-ctx.Done():
	case failure = <-a.failed:
		a.log.Error("a part failed, process ends", "error", failure)
	}
	return errors.Join(failure, a.Stop(ctx))
}

// Stop stops all parts, the last started first, within 15 s. It does so although ctx may have
// ended. The order is: readiness goes off, so that load balancers send no more; the HTTP servers
// accept no new request and finish those under way, whose events are then in the journal; the door
// publishes the numbers of speech events it dropped; the projector ends with its current batch, and
// what it did not acknowledge comes again at the next start; the store; NATS last, because all the
// others need it.
func (a *App) Stop(ctx context.Context) error { return a.life.stop(ctx) }

// Go runs a part until the process stops. If the part returns an error before
// that, the process ends: a restart is better than to continue without it.
func (a *App) Go(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err := run(ctx)
		if err != nil && ctx.Err() == nil {
			err = a.awaitRoom(ctx, fmt.Errorf("%s: %w", name, err))
		}
		if err != nil && ctx.Err() == nil {
			a.fail(err)
		}
	}()
	a.life.onStop(name, func(stopping context.Context) error {
		cancel()
		select {
		case <-ended:
			return nil
		case <-stopping.Done():
		}
		select {
		case <-ended: // also in time: another part used up the time
			return nil
		default:
			return context.Cause(stopping)
		}
	})
}

func (a *App) fail(err error) {
	select {
	case a.failed <- err:
	default: // one reason to end is enough
	}
}

// ErrStartAgain means that the process continues if it starts again: the volume was full, and has
// room now.
var ErrStartAgain = errors.New("the volume has room again")

// roomEvery is how often a part that ended for want of space checks whether there is some.
const roomEvery = time.Second

// awaitRoom returns at once why a part ended, unless the volume is full. In that case it waits until
// it is not: meanwhile the other parts answer readers, and a new process would do no more.
func (a *App) awaitRoom(ctx context.Context, failure error) error {
	if a.bus == nil || a.bus.Full() == nil && !strings.Contains(failure.Error(), syscall.ENOSPC.Error()) {
		return failure
	}
	a.log.Warn("part ended because the volume is full, and starts again when it has room", "error", failure)
	tick := time.NewTicker(roomEvery)
	defer tick.Stop()
	for a.bus.Full() != nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
	return fmt.Errorf("%w: %w", ErrStartAgain, failure)
}

// Run runs a process until ctx ends or a part fails. It starts the process again after
// ErrStartAgain. started is called after each start.
func Run(ctx context.Context, o Options, started func(*App)) error {
	for {
		a, err := New(ctx, o)
		if err != nil {
			return err
		}
		started(a)
		if err := a.Run(ctx); !errors.Is(err, ErrStartAgain) || ctx.Err() != nil {
			return err
		}
	}
}

// Info says where a process is reached and what it runs on.
type Info struct {
	Public, Admin string // addresses as HOST:PORT that this machine can reach
	PublicURL     string // what Twilio calls and signs, with xxxxx for a password
	KeyFile       string // holds the first API key
	NATS          bus.Info
	Sizes         bus.Sizes // at the start
	Rules         rulebook.Status
}

// Info returns the present state.
func (a *App) Info() Info {
	return Info{
		Public:    a.public.Address(),
		Admin:     a.admin.Address(),
		PublicURL: a.shownURL,
		KeyFile:   a.keyFile(),
		NATS:      a.bus.Info(),
		Sizes:     a.sizes,
		Rules:     a.rules.Status(),
	}
}
