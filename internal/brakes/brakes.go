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
	// answerTime bounds one compare-and-set with all its tries: a call at
	// Twilio has to follow its re-read within 2 s.
	answerTime = 2 * time.Second
	// lookEvery is how often Run looks, for the metrics alone.
	lookEvery = 10 * time.Second
)

// ErrNoAnswer is returned where the bucket could not be asked in time. What
// asked is not admitted.
var ErrNoAnswer = errors.New("no answer from the brakes")

// Bucket is where the brakes are kept.
type Bucket = cell.Bucket

// Brakes admit actions, over all processes that share the bucket. Its methods
// may be called from many goroutines.
type Brakes struct {
	bucket  Bucket
	now     func() time.Time
	dir     string // where a STOP file is looked for, or ""
	log     *slog.Logger
	metrics *Metrics

	questions *questions // about the stop

	ledger *cell.Cell[ledger]
}

// Option is a part that Brakes can do without.
type Option func(*Brakes)

// WithStopFile looks for a file STOP in that folder as well: see Stopped.
func WithStopFile(dir string) Option { return func(b *Brakes) { b.dir = dir } }

// WithLog says what trips, is reset, stopped and resumed.
func WithLog(log *slog.Logger) Option { return func(b *Brakes) { b.log = log } }

// WithMetrics counts.
func WithMetrics(m *Metrics) Option { return func(b *Brakes) { b.metrics = m } }

// New returns brakes on a bucket. The processes' clocks should agree: a minute
// is counted by that of whoever asks.
func New(bucket Bucket, now func() time.Time, options ...Option) *Brakes {
	b := &Brakes{bucket: bucket, now: now, log: slog.New(slog.DiscardHandler), metrics: NewMetrics(nil), questions: newQuestions()}
	for _, option := range options {
		option(b)
	}
	b.ledger = cell.New(bucket, cell.Config[ledger]{
		Key: ledgerKey, Within: answerTime, NoAnswer: ErrNoAnswer, Kept: b.tell,
		Decode: func(value []byte) (*ledger, error) { return parseLedger(value, b.now()) },
		Again:  true, // an action that is in the ledger already is a repeat
	})
	return b
}

// Run keeps the metrics right where nothing is admitted, until ctx ends.
func (b *Brakes) Run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		// What cannot be read stays as it was known; whoever wants to act is told.
		_, _ = b.State(ctx)
		_, _, _ = b.Stopped(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Request asks for one action to be admitted.
type Request struct {
	Rule       string
	AccountSid string
	// ID is the action's. Asking again with it within 10 min is free.
	ID      string
	Limits  rules.Limits
	Ceiling rules.Ceiling
}

// unlimited reports whether there is nothing to count.
func (r Request) unlimited() bool { return r.Limits == rules.Limits{} && r.Ceiling == rules.Ceiling{} }

// Answer is what the brakes say.
type Answer string

// The answers.
const (
	Admitted Answer = "admitted"
	Wait     Answer = "wait"    // over a limit for now
	Tripped  Answer = "tripped" // the rule has acted too often, and nobody has reset it
)

// Verdict is an Answer with what belongs to it.
type Verdict struct {
	Answer Answer
	// Until is when asking again may help, after Wait.
	Until time.Time
	// Repeat says that the action was admitted before, and not counted again.
	Repeat bool
}

// Admit asks whether an action may be done now. An error means that it may not:
// ErrNoAnswer, or that of ctx.
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

// tell says what the ledger holds, and what a change did that was kept.
func (b *Brakes) tell(l *ledger, _ uint64) {
	b.metrics.trips(l)
	for _, name := range l.tripped {
		b.log.Error("rule tripped: it acts no more until a person resets it",
			"rule", name, "admissions_in_an_hour", l.Rules[name].Trip.Admissions)
	}
}
