package project

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"golang.org/x/sync/errgroup"

	"gavel/events"
	"gavel/projections"
)

// Lane is one lane of the journal as its one active projector sees it.
type Lane interface {
	Number() int
	// Resume takes the lane over: delivery begins again behind the ack floor.
	// last is the lane's newest stream sequence at that moment.
	Resume(ctx context.Context) (floor, last uint64, err error)
	// Elsewhere reports whether Resume is waiting because the lane is another
	// projector's.
	Elsewhere() bool
	// Next waits for at least one group and returns what has arrived. It fails
	// with events.ErrLaneMoved when the lane is another projector's now.
	Next(ctx context.Context, most int) ([]events.Group, error)
	// Ack says that the groups are worked.
	Ack(ctx context.Context, groups []events.Group) error
}

// Journal is the log of what we were told. Read gives what a lane holds from one
// stream sequence to another, both included; entries are added to the lane of a
// conference, or to one by its number.
type Journal interface {
	Read(ctx context.Context, lane int, from, to uint64, fn func(events.Group) error) error
	Appender
	AppendLane(ctx context.Context, lane int, e events.Entry) error
}

// News tells subscribers. Publish returns when all facts are acknowledged; a
// later fact of a conference is never in flight before an earlier one is. Told
// gives the position of the last news of each conference that has any.
type News interface {
	Publish(ctx context.Context, facts []events.News) error
	Told(ctx context.Context, keys []events.Key) (map[events.Key]events.Position, error)
}

// DeadLetters keeps what cannot be folded.
type DeadLetters interface {
	Put(ctx context.Context, letter events.DeadLetter) error
}

// Config is what a projector needs. News may be nil, for measuring without.
// Without a RuleBook nothing is judged; with one the three after it have to be
// there.
type Config struct {
	Lanes       []Lane
	Journal     Journal
	Store       projections.Writer
	News        News
	DeadLetters DeadLetters
	RuleBook    RuleBook
	Actions     Actions
	Timers      Timers
	// Listing is what finds the conferences that a change of the rules is to be
	// held against.
	Listing Listing
	// Keep is how long ended conferences stay in the picture.
	Keep    time.Duration
	Log     *slog.Logger
	Metrics *Metrics
	// Now is the clock that lag is measured with.
	Now func() time.Time
}

const (
	// batchGroups bounds the journal messages of one batch; at about ten
	// entries each it is the 500 records at which a pipelined Redis stops
	// gaining.
	batchGroups = 128
	// checkEvery is how often an idle lane compares the picture with the
	// journal, half of the two seconds within which a lost one is noticed.
	checkEvery = time.Second
	// expireEvery is how often ended conferences beyond Keep are removed.
	expireEvery = 10 * time.Minute
	// retryAtMost bounds the pause after a lane failed.
	retryAtMost = 5 * time.Second
	// movedPause keeps two who contend for a lane from spinning, and is short,
	// for who gives a lane away gives it free only when it resumes.
	movedPause = 100 * time.Millisecond
)

// Projector works lanes until it is stopped.
type Projector struct {
	Config
	keepers    []*keeper
	rebuilding sync.Mutex
}

// New returns a projector for the lanes in c.
func New(c Config) *Projector {
	p := &Projector{Config: c}
	for _, lane := range c.Lanes {
		p.keepers = append(p.keepers, newKeeper(p, lane))
	}
	return p
}

// Run works all lanes until ctx ends. A lane that fails is taken over again
// after a pause, for as long as it takes: its cause is a dependency that is
// down, and the door keeps accepting meanwhile.
func (p *Projector) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, k := range p.keepers {
		g.Go(func() error { return k.keep(ctx) })
	}
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("project: %w", err)
	}
	return nil
}

// State says how a lane stands.
type State struct {
	Lane int
	// Ready: the picture is whole and the lane is being worked.
	Ready bool
	// Elsewhere: another process works the lane, and this one stands by.
	Elsewhere bool
	// Filling: Done of Total stream sequences are read.
	Filling     bool
	Done, Total uint64
	// Lag is how long the newest entry worked had waited, zero when nothing
	// waits.
	Lag time.Duration
	// Err is why the lane does not go on, as text for people.
	Err string
}

// States returns how all lanes stand.
func (p *Projector) States() []State {
	out := make([]State, len(p.keepers))
	for i, k := range p.keepers {
		out[i] = k.stands()
	}
	return out
}

// keeper keeps one lane: it takes it over again whenever it was lost.
type keeper struct {
	*Projector
	lane  Lane
	log   *slog.Logger
	state atomic.Pointer[State]
	// switchover carries a rebuilt picture to the lane, which takes it between
	// two batches.
	switchover chan switchover
	// worked is the last stream sequence that the lane acknowledged.
	worked atomic.Uint64
}

// stands is the lane's state. Who stands by has no trouble with the lane, even
// where trouble was why it lost it.
func (k *keeper) stands() State {
	if k.lane.Elsewhere() {
		return State{Lane: k.lane.Number(), Elsewhere: true}
	}
	return *k.state.Load()
}

// judges reports whether rules are evaluated here.
func (k *keeper) judges() bool { return k.RuleBook != nil }

func newKeeper(p *Projector, lane Lane) *keeper {
	k := &keeper{
		Projector:  p,
		lane:       lane,
		log:        p.Log.With("component", "project", "lane", lane.Number()),
		switchover: make(chan switchover),
	}
	k.state.Store(&State{Lane: lane.Number()})
	return k
}

// keep takes the lane over and works it, again and again until ctx ends.
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
			k.moved(err)
			delay = movedPause
		default:
			k.failed(err)
			delay = pause.NextBackOff()
		}
		if err := wait(ctx, delay); err != nil {
			return err
		}
	}
}

// moved says that the lane is another projector's, which is no trouble.
func (k *keeper) moved(why error) {
	k.log.Info("lane goes to another projector", "why", why)
	k.state.Store(&State{Lane: k.lane.Number(), Elsewhere: true})
}

// failed says once why the lane stands still.
func (k *keeper) failed(err error) {
	k.Metrics.restarts.Inc()
	k.log.Warn("lane is taken over again", "err", err)
	k.state.Store(&State{Lane: k.lane.Number(), Err: err.Error()})
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
