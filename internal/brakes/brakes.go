package brakes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gavel/internal/cell"
	"gavel/rules"
)

const (
	// ledgerKey holds all admissions, stopKey the stop.
	ledgerKey = "admissions"
	stopKey   = "stop"
	// answerTime bounds one compare-and-set with all its tries: a call to
	// Twilio has to follow the re-read of its target within 2 s.
	answerTime = 2 * time.Second
	// metricsEvery is how often Run reads the bucket. Only the metrics use it.
	metricsEvery = 10 * time.Second
)

// ErrNoAnswer is returned if the bucket did not answer in time. The action is
// not admitted then.
var ErrNoAnswer = errors.New("no answer from the brakes")

// Bucket stores the state of the brakes.
type Bucket = cell.Bucket

// Brakes admits actions, over all processes that share the bucket. Its methods
// may be called from many goroutines.
type Brakes struct {
	bucket  Bucket
	now     func() time.Time
	dir     string // the folder that may contain a file STOP; "" for none
	store   func() error
	log     *slog.Logger
	metrics *Metrics

	stopReads *cell.Reads[Stop]

	ledger *cell.Cell[ledger]
}

// Option sets an optional part of Brakes.
type Option func(*Brakes)

// WithStopFile also reads the file STOP in dir: see Stopped.
func WithStopFile(dir string) Option { return func(b *Brakes) { b.dir = dir } }

// WithStore stops rules while unfit returns an error: while something is wrong with the store.
func WithStore(unfit func() error) Option { return func(b *Brakes) { b.store = unfit } }

// WithLog logs trips, resets, stops and resumes.
func WithLog(log *slog.Logger) Option { return func(b *Brakes) { b.log = log } }

// WithMetrics reports to m.
func WithMetrics(m *Metrics) Option { return func(b *Brakes) { b.metrics = m } }

// New returns brakes on a bucket. The clocks of the processes should agree: each
// process counts a minute by its own clock.
func New(bucket Bucket, now func() time.Time, options ...Option) *Brakes {
	b := &Brakes{bucket: bucket, now: now, log: slog.New(slog.DiscardHandler), metrics: NewMetrics(nil), stopReads: cell.NewReads[Stop](stopTime, ErrNoAnswer),
		store: func() error { return nil }}
	for _, option := range options {
		option(b)
	}
	b.ledger = cell.New(bucket, cell.Config[ledger]{
		Key: ledgerKey, Within: answerTime, NoAnswer: ErrNoAnswer, Kept: b.report,
		Decode: func(value []byte) (*ledger, error) { return parseLedger(value, b.now()) },
		// Parsing the ledger at each admission was 12 % of the CPU time of a storm of deadlines.
		Refresh: func(l *ledger) { l.refresh(b.now()) },
		Again:   true, // an action that the ledger already contains is a repeat
	})
	return b
}

// Run keeps the metrics current while no action is admitted. It returns when ctx
// ends.
func (b *Brakes) Run(ctx context.Context) {
	tick := time.NewTicker(metricsEvery)
	defer tick.Stop()
	for {
		// If a read fails, its metrics keep their values. Admit and Stopped return
		// the error to their callers.
		_, _ = b.State(ctx)
		_, _, _ = b.Stopped(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Request is the request to admit one action.
type Request struct {
	Rule       string
	AccountSid string
	// Subject is what the rule was judged for: a conference, or a leg in it. A rule's actions for one
	// subject count once in a minute against Limits, and each against Ceiling. Empty: each action counts.
	Subject string
	// ID is that of the action. A further request with it within 10 min is not
	// counted.
	ID      string
	Limits  rules.Limits
	Ceiling rules.Ceiling
}

// occasion identifies the rule and the subject of a request; 0 without a subject.
func (r Request) occasion() uint64 {
	if r.Subject == "" {
		return 0
	}
	return hashOf(r.Rule + "\x00" + r.AccountSid + "\x00" + r.Subject)
}

// unlimited reports whether neither limits nor a ceiling apply.
func (r Request) unlimited() bool { return r.Limits == rules.Limits{} && r.Ceiling == rules.Ceiling{} }

// Answer is the brakes' decision on a request.
type Answer string

// The answers.
const (
	Admitted Answer = "admitted"
	Wait     Answer = "wait"    // a limit or the ceiling is reached for now
	Tripped  Answer = "tripped" // the rule acted too often and was not reset
)

// Verdict is an Answer with its details.
type Verdict struct {
	Answer Answer
	// Until is, after Wait, the earliest time when a new request may be admitted.
	Until time.Time
	// Repeat means that the action was admitted before and was not counted again.
	Repeat bool
}

// Admit decides whether an action may be done now. After an error it may not.
// The error wraps ErrNoAnswer or the error of ctx.
func (b *Brakes) Admit(ctx context.Context, r Request) (Verdict, error) {
	if r.unlimited() {
		return Verdict{Answer: Admitted}, nil
	}
	var v Verdict
	err := b.ledger.Change(ctx, func(l *ledger) (changed bool) {
		v, changed = l.admit(r, b.now())
		return changed
	})
	if err != nil {
		return Verdict{}, fmt.Errorf("admit an action: %w", err)
	}
	b.metrics.admission(r.Rule, v)
	return v, nil
}

// sealer is a bucket that notices when a sealed value is lost (jet.Guarded).
type sealer interface {
	Seal(ctx context.Context, key string, revision uint64) error
}

// report sets the metrics from the ledger, and logs and seals the trips of the last change: damage
// of the store must not bring back the ledger before them.
func (b *Brakes) report(l *ledger, revision uint64) {
	b.metrics.trips(l)
	for _, name := range l.tripped {
		b.log.Error("rule tripped: it does not act until an operator resets it",
			"rule", name, "admissions_in_an_hour", l.Rules[name].Trip.Admissions)
	}
	if seals, ok := b.bucket.(sealer); ok && len(l.tripped) > 0 {
		ctx, cancel := context.WithTimeout(context.Background(), answerTime)
		defer cancel()
		if err := seals.Seal(ctx, ledgerKey, revision); err != nil {
			b.log.Warn("trip was stored but not sealed: damage of the store could undo it", "error", err)
		}
	}
}
