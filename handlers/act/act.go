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

// Durable consumers of decisions. Each receives all decisions and skips those of the other, so that
// a slow receiver of notifications does not delay the end of a call.
const (
	twilioConsumer = "act-twilio"
	notifyConsumer = "act-tell"
	// announcementsConsumer receives the ends of announcements.
	announcementsConsumer = "act-announcements"
	// fetchConsumer receives the ends of conferences. It begins with new ones, so that an upgrade calls
	// Twilio about none that ended before it.
	fetchConsumer = "act-fetch"
)

// Consumers returns the names of the durable consumers of decisions.
func Consumers() []string { return []string{twilioConsumer, notifyConsumer} }

// How many decisions this process performs at a time.
const (
	// twilioWorkers is below the client's limit of calls in flight while Twilio
	// accepts many (100), so that re-reads do not queue behind one another.
	twilioWorkers = 64
	// notifyWorkers bounds webhooks in flight, each up to 15 s.
	notifyWorkers = 32
	// dueWorkers is for decisions of both kinds that had to wait; at most
	// dueNotifications of them are notifications.
	dueWorkers       = 64
	dueNotifications = 16
)

// Decisions are the decisions of rules (the stream GAVEL_ACTIONS).
type Decisions interface {
	// Perform calls fn with each decision, workers at a time, until ctx ends. A
	// decision whose fn fails is delivered again.
	Perform(ctx context.Context, consumer string, workers int, fn func(context.Context, events.Decided) error) error
	// Get returns one decision.
	Get(ctx context.Context, key events.Key, id string) (events.Decided, error)
	// Decide stores decisions, each once; fresh is how many were not stored yet.
	Decide(ctx context.Context, decided []events.Decided) (fresh int, err error)
}

// Receipts keep the outcomes of decisions about no conference: those of rules that count.
type Receipts interface {
	RecordOutcome(ctx context.Context, key events.Key, id string, outcome events.Entry) error
}

// Timers are alarms that outlive the process.
type Timers interface {
	// Later sets an alarm for a decision. It replaces the decision's alarm before it.
	Later(ctx context.Context, key events.Key, id string, at time.Time, note []byte) error
	// Dues calls fn with each decision whose alarm is due, until ctx ends.
	Dues(ctx context.Context, workers int, fn func(ctx context.Context, key events.Key, id string, note []byte) error) error
}

// News is the stream of news (GAVEL_EVENTS).
type News interface {
	Follow(ctx context.Context, consumer string, kinds []events.Kind, fn func(context.Context, events.StoredNews) error) error
	// FollowNew is Follow for the news after the consumer was made. An events.Later may be of an hour.
	FollowNew(ctx context.Context, consumer string, kinds []events.Kind, fn func(context.Context, events.StoredNews) error) error
	// Unfollow removes a consumer.
	Unfollow(ctx context.Context, consumer string) error
}

// Records is the picture.
type Records interface {
	Conference(ctx context.Context, key events.Key) (projections.Stored, error)
}

// Journal stores intents, outcomes and healed facts. Append returns once the entry is stored.
type Journal interface {
	Append(ctx context.Context, conferenceSid string, e events.Entry) error
}

// Twilio is the client of Twilio's REST API.
type Twilio interface {
	Call(ctx context.Context, call twilio.Call) (twilio.Answer, error)
	// CanCall reports whether the account has credentials.
	CanCall(accountSid string) bool
}

// RuleBook has every set of rules that ever was in force.
type RuleBook interface {
	Set(ctx context.Context, version string) (*rules.Set, error)
	// Current returns the set in force, as NATS's leader has it now; nil if none is.
	Current(ctx context.Context) (*rules.Set, error)
}

// Brakes limit what rules do, over all processes, and hold the stop.
type Brakes interface {
	Admit(ctx context.Context, r brakes.Request) (brakes.Verdict, error)
	Stopped(ctx context.Context) (bool, brakes.Stop, error)
}

// DeadLetters stores decisions that could not be performed.
type DeadLetters interface {
	Put(ctx context.Context, letter events.DeadLetter) error
}

// Config holds what a performer needs. Every field but FetchEnded and Doubt is required.
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
	Notifier    Notifier
	// Receipts keeps the outcomes that no record has a place for; nil keeps none.
	Receipts Receipts
	// Accounts signs the addresses of announcements, below PublicURL.
	Accounts  *twilio.Accounts
	PublicURL string
	// FetchEnded makes the performer fetch each conference from Twilio once after its end.
	FetchEnded bool
	Now        func() time.Time
	// Doubt returns why the machine's clock is in doubt, or nil. Meanwhile no deadline counts, and
	// nothing is performed. Without it the clock is never in doubt.
	Doubt   func() error
	Log     *slog.Logger
	Metrics *Metrics
}

// Performer performs the decisions of rules. Each of several processes may run
// one; they share the work.
type Performer struct {
	Config
	underWay         underWay
	leaves           *lastLeaves
	dueNotifications chan struct{} // one place for each notification that had to wait
}

// New returns a performer. It does nothing before Run.
func New(c Config) *Performer {
	if c.Doubt == nil {
		c.Doubt = func() error { return nil }
	}
	return &Performer{Config: c, leaves: newLastLeaves(), dueNotifications: make(chan struct{}, dueNotifications)}
}

// Run performs decisions until ctx ends, and returns when none is under way. The
// end of ctx is not an error.
func (p *Performer) Run(ctx context.Context) error {
	group, working := errgroup.WithContext(ctx)
	group.Go(func() error {
		return p.Decisions.Perform(working, twilioConsumer, twilioWorkers, p.only(true))
	})
	group.Go(func() error {
		return p.Decisions.Perform(working, notifyConsumer, notifyWorkers, p.only(false))
	})
	group.Go(func() error { return p.Timers.Dues(working, dueWorkers, p.due) })
	group.Go(func() error {
		kinds := []events.Kind{events.AnnouncementEnd, events.AnnouncementFail}
		return p.News.Follow(working, announcementsConsumer, kinds, p.announcementEnded)
	})
	group.Go(func() error { return p.followEnds(working) })
	err := group.Wait()
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// only returns the handler of one of the two consumers of decisions.
func (p *Performer) only(atTwilio bool) func(context.Context, events.Decided) error {
	return func(ctx context.Context, d events.Decided) error {
		t, err := p.task(d, note{})
		if err != nil || t.decision.Do.AtTwilio() != atTwilio {
			return err
		}
		return p.perform(ctx, t)
	}
}

// due performs a decision that had to wait.
func (p *Performer) due(ctx context.Context, key events.Key, id string, raw []byte) error {
	d, err := p.Decisions.Get(ctx, key, id)
	if errors.Is(err, events.ErrNoDecision) {
		p.Log.Warn("decision was removed before its alarm was due", "decision", id)
		return nil
	}
	if err != nil {
		return err
	}
	t, err := p.task(d, readNote(raw))
	if err != nil {
		return err
	}
	if !t.decision.Do.AtTwilio() {
		select {
		case p.dueNotifications <- struct{}{}:
			defer func() { <-p.dueNotifications }()
		default:
			return events.Later{After: busyDelay}
		}
	}
	return p.perform(ctx, t)
}
