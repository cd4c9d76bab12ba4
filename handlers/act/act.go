package act

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"gavel/events"
	"gavel/internal/brakes"
	"gavel/internal/twilio"
	"gavel/projections"
	"gavel/rules"
)

// Durable consumers of decisions. Each has all of them, and passes over those
// of the other: whoever is slow to be told keeps nobody from ending a call.
const (
	twilioConsumer = "act-twilio"
	tellConsumer   = "act-tell"
	// announcementsConsumer hears of announcements that ended.
	announcementsConsumer = "act-announcements"
)

// How many decisions are worked at a time in this process.
const (
	// twilioWorkers is below what the client lets through at once where Twilio
	// takes much (100), so that re-reads do not queue behind one another.
	twilioWorkers = 64
	// tellWorkers bounds webhooks under way, each up to 15 s.
	tellWorkers = 32
	// dueWorkers is for what had to wait, of both kinds together; of those no
	// more than dueTells are notifications.
	dueWorkers = 64
	dueTells   = 16
)

// Decisions are what rules decided (the stream GAVEL_ACTIONS).
type Decisions interface {
	// Perform gives each decision to fn, workers at a time, until ctx ends.
	// What fn fails at comes again.
	Perform(ctx context.Context, consumer string, workers int, fn func(context.Context, events.Decided) error) error
	// Get returns one decision.
	Get(ctx context.Context, key events.Key, id string) (events.Decided, error)
	// Decide keeps decisions; those that are there already it leaves.
	Decide(ctx context.Context, decided []events.Decided) (fresh int, err error)
}

// Timers are alarm clocks that outlive the process.
type Timers interface {
	// Later gives a decision back at that time; a later call for the same one
	// replaces the one before.
	Later(ctx context.Context, key events.Key, id string, at time.Time, note []byte) error
	// Dues gives fn what is due, until ctx ends.
	Dues(ctx context.Context, workers int, fn func(ctx context.Context, key events.Key, id string, note []byte) error) error
}

// News is what was told to subscribers.
type News interface {
	Follow(ctx context.Context, consumer string, kinds []events.Kind, fn func(context.Context, events.Told) error) error
}

// Records is the picture.
type Records interface {
	Conference(ctx context.Context, key events.Key) (projections.Stored, error)
}

// Journal is where intents, outcomes and what was found at Twilio go. Append
// returns once it is stored.
type Journal interface {
	Append(ctx context.Context, conferenceSid string, e events.Entry) error
}

// Twilio is the client of Twilio's REST API.
type Twilio interface {
	Call(ctx context.Context, call twilio.Call) (twilio.Answer, error)
}

// RuleBook has all sets of rules that ever were in force.
type RuleBook interface {
	Set(ctx context.Context, version string) (*rules.Set, error)
}

// Brakes bound what rules do, over all processes, and know of the stop.
type Brakes interface {
	Admit(ctx context.Context, r brakes.Request) (brakes.Verdict, error)
	Stopped(ctx context.Context) (bool, brakes.Stop, error)
}

// DeadLetters keeps what could not be carried out.
type DeadLetters interface {
	Put(ctx context.Context, letter events.DeadLetter) error
}

// Config is what a performer is made of. All of it is needed.
type Config struct {
	Decisions   Decisions
	Timers      Timers
	News        News
	Records     Records
	Journal     Journal
	Twilio      Twilio
	Rules       RuleBook
	Brakes      Brakes
	DeadLetters DeadLetters
	Teller      Teller
	// Accounts make the addresses of announcements, behind PublicURL.
	Accounts  *twilio.Accounts
	PublicURL string
	Now       func() time.Time
	Log       *slog.Logger
	Metrics   *Metrics
}

// Performer does what rules decided. Several processes may each have one: they
// share the work.
type Performer struct {
	Config
	underWay underWay
	dueTells chan struct{} // one place for each notification that had to wait
}

// New makes a performer. It does nothing before Run.
func New(c Config) *Performer {
	return &Performer{Config: c, dueTells: make(chan struct{}, dueTells)}
}

// Run performs until ctx ends, and returns when nothing is under way any more.
// The end of ctx is no error.
func (p *Performer) Run(ctx context.Context) error {
	group, working := errgroup.WithContext(ctx)
	group.Go(func() error {
		return p.Decisions.Perform(working, twilioConsumer, twilioWorkers, p.only(true))
	})
	group.Go(func() error {
		return p.Decisions.Perform(working, tellConsumer, tellWorkers, p.only(false))
	})
	group.Go(func() error { return p.Timers.Dues(working, dueWorkers, p.due) })
	group.Go(func() error {
		kinds := []events.Kind{events.AnnouncementEnd, events.AnnouncementFail}
		return p.News.Follow(working, announcementsConsumer, kinds, p.heard)
	})
	err := group.Wait()
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// only performs the decisions of one of the two consumers.
func (p *Performer) only(atTwilio bool) func(context.Context, events.Decided) error {
	return func(ctx context.Context, d events.Decided) error {
		t, err := p.task(d, note{})
		if err != nil || t.decision.Do.AtTwilio() != atTwilio {
			return err
		}
		return p.perform(ctx, t)
	}
}

// due performs what had to wait.
func (p *Performer) due(ctx context.Context, key events.Key, id string, raw []byte) error {
	d, err := p.Decisions.Get(ctx, key, id)
	if err != nil {
		return err
	}
	t, err := p.task(d, readNote(raw))
	if err != nil {
		return err
	}
	if !t.decision.Do.AtTwilio() {
		select {
		case p.dueTells <- struct{}{}:
			defer func() { <-p.dueTells }()
		default:
			return events.Later{After: busyDelay}
		}
	}
	return p.perform(ctx, t)
}
