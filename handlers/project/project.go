package project

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"gavel/events"
	"gavel/internal/chain"
	"gavel/projections"
)

// Lane is one lane of the journal for its one active projector.
type Lane interface {
	Number() int
	// Resume takes the lane over: delivery begins again behind the ack floor.
	// last is the lane's newest stream sequence at that moment.
	Resume(ctx context.Context) (floor, last uint64, err error)
	// Elsewhere reports whether Resume is waiting because another projector owns the lane.
	Elsewhere() bool
	// Next waits for at least one group and returns the groups that have arrived. It fails
	// with events.ErrLaneMoved when another projector owns the lane now.
	Next(ctx context.Context, most int) ([]events.Group, error)
	// Ack acknowledges the groups.
	Ack(ctx context.Context, groups []events.Group) error
	// Rewind restarts the delivery of a resumed lane behind a stream sequence below its ack floor.
	Rewind(ctx context.Context, floor uint64) error
}

// Journal is the log of all entries. Read returns what a lane holds from one stream sequence to
// another, both included; After returns the stream sequence of a lane's first group behind another
// sequence, 0 without one; entries are added to the lane of a conference, or to one by its number.
type Journal interface {
	reader
	After(ctx context.Context, lane int, sequence uint64) (uint64, error)
	// StoredUpTo returns the sequence of a lane's last group that NATS stored at a time or before.
	StoredUpTo(ctx context.Context, lane int, at time.Time) (uint64, error)
	// State returns the numbers of the journal's stream.
	State(ctx context.Context) (chain.Journal, error)
	Appender
	laneAppender
}

// News is the stream of news. Publish returns when all facts are acknowledged; a
// later fact of a conference is never in flight before an earlier one is. LastPositions
// returns the position of the last news of each conference that has any.
type News interface {
	Publish(ctx context.Context, facts []events.News) error
	lastNews
}

// DeadLetters stores entries that cannot be folded.
type DeadLetters interface {
	Put(ctx context.Context, letter events.DeadLetter) error
}

// Config is what a projector needs. News may be nil, for benchmarks. Without a RuleBook no rules
// are evaluated; with one the three fields after it must be set.
type Config struct {
	Lanes       []Lane
	Journal     Journal
	Store       projections.Writer
	News        News
	DeadLetters DeadLetters
	RuleBook    RuleBook
	Actions     Actions
	Timers      Timers
	// Listing finds the conferences to be woken after a change of the rules.
	Listing Listing
	// Resumed returns a lane's picture from a snapshot, once, for the first fill of the lane to
	// continue. It may be nil.
	Resumed func(lane int) (projections.Resumed, bool)
	// Chain may be nil: the journal is not verified then.
	Chain *Chain
	// Restore stores decisions that are missing and returns them, nil if none is. If it is set, the first
	// session of each lane fills its picture and passes the decisions of the last RestoreFor. It needs
	// Chain: only a journal that is verified leads to the same decisions.
	Restore    func(ctx context.Context, decided []events.Decided) (missing []events.Decided, err error)
	RestoreFor time.Duration
	// Keep is how long ended conferences stay in the picture.
	Keep time.Duration
	// MemoryLimit is how many bytes this process may use; 0 means no limit. The records that lanes
	// keep between batches follow it.
	MemoryLimit int64
	Log         *slog.Logger
	Metrics     *Metrics
	// Now is the clock that lag is measured with.
	Now func() time.Time
	// Passed returns a time that has certainly passed, zero if none is known; conferences are
	// removed by it, and none at zero. Now if nil.
	Passed func() time.Time
	// Witness is called with each time that Twilio signed. It may be nil.
	Witness func(time.Time)
}

// Projector works lanes until it is stopped.
type Projector struct {
	keepers    []*keeper
	rebuilding sync.Mutex
	chain      *Chain
	log        *slog.Logger
}

// New returns a projector for the lanes in c.
func New(c Config) *Projector {
	if c.Passed == nil {
		c.Passed = c.Now
	}
	if c.Witness == nil {
		c.Witness = func(time.Time) {}
	}
	p := &Projector{chain: c.Chain, log: c.Log.With("component", "project")}
	for _, lane := range c.Lanes {
		p.keepers = append(p.keepers, newKeeper(c, lane))
	}
	return p
}

// Run works all lanes until ctx ends. A lane that fails is taken over again after a pause, without
// a limit: the cause is a dependency that is down, and the door keeps accepting meanwhile.
func (p *Projector) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, k := range p.keepers {
		g.Go(func() error { return k.keep(ctx) })
	}
	if p.chain != nil {
		g.Go(func() error { return p.chain.writeFile(ctx, p.log) })
	}
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("project: %w", err)
	}
	return nil
}

// States returns the state of each lane.
func (p *Projector) States() []State {
	out := make([]State, len(p.keepers))
	for i, k := range p.keepers {
		out[i] = k.status.get()
	}
	return out
}
