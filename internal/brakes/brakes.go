package brakes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"gavel/events"
	"gavel/rules"
)

const (
	// ledgerKey holds all admissions, stopKey the stop.
	ledgerKey = "admissions"
	stopKey   = "stop"
	// answerTime bounds one compare-and-set with all its tries: a call at
	// Twilio has to follow its re-read within 2 s.
	answerTime = 2 * time.Second
	// maxPause is the longest time between two tries, to lose to somebody else
	// less often.
	maxPause = 32 * time.Millisecond
	// lookEvery is how often Run looks, for the metrics alone.
	lookEvery = 10 * time.Second
)

// ErrNoAnswer is returned where the bucket could not be asked in time. What
// asked is not admitted.
var ErrNoAnswer = errors.New("no answer from the brakes")

// Bucket is where the brakes are kept: bus.Bucket. Its errors wrap
// events.ErrKeyNotFound and events.ErrKeyChanged.
type Bucket interface {
	// Read returns a value as the leader has it, or events.ErrKeyNotFound.
	Read(ctx context.Context, key string) (value []byte, revision uint64, err error)
	// Update keeps a value where the revision is still that one, 0 for none,
	// and returns the new revision.
	Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
}

// Brakes admit actions, over all processes that share the bucket. Its methods
// may be called from many goroutines.
type Brakes struct {
	bucket  Bucket
	now     func() time.Time
	dir     string // where a STOP file is looked for, or ""
	log     *slog.Logger
	metrics *Metrics

	questions *questions // about the stop

	mu      sync.Mutex
	waiting []*waiter
	// turn is taken by whoever writes the ledger for all that wait; it guards
	// last, the ledger as this process knows it.
	turn chan struct{}
	last version
}

// version is the ledger at one revision, 0 where there is none.
type version struct {
	value    []byte
	revision uint64
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
	b := &Brakes{
		bucket:    bucket,
		now:       now,
		log:       slog.New(slog.DiscardHandler),
		metrics:   NewMetrics(nil),
		questions: newQuestions(),
		turn:      make(chan struct{}, 1),
	}
	for _, option := range options {
		option(b)
	}
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

// waiter is one request on its way.
type waiter struct {
	Request
	verdict Verdict
	err     error
	decided chan struct{}
}

// Admit asks whether an action may be done now. An error means that it may not:
// ErrNoAnswer, or that of ctx.
//
// Whoever gets the turn decides for all that wait: a request meets at most the
// compare-and-set under way and one more.
func (b *Brakes) Admit(ctx context.Context, r Request) (Verdict, error) {
	if r.unlimited() {
		return Verdict{Answer: Admitted}, nil
	}
	if err := ctx.Err(); err != nil {
		return Verdict{}, fmt.Errorf("admit an action: %w", err)
	}
	w := b.enter(r)
	select {
	case <-w.decided:
	case b.turn <- struct{}{}:
		b.decide(ctx)
		<-b.turn
	case <-ctx.Done():
		b.leave(w)
		return Verdict{}, fmt.Errorf("admit an action: %w", ctx.Err())
	}
	if w.err != nil {
		return Verdict{}, fmt.Errorf("admit an action: %w", w.err)
	}
	b.metrics.admission(r.Rule, w.verdict)
	return w.verdict, nil
}

func (b *Brakes) enter(r Request) *waiter {
	w := &waiter{Request: r, decided: make(chan struct{})}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = append(b.waiting, w)
	return w
}

// leave takes back what nobody decided on yet.
func (b *Brakes) leave(w *waiter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = slices.DeleteFunc(b.waiting, func(other *waiter) bool { return other == w })
}

func (b *Brakes) take() []*waiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.waiting
	b.waiting = nil
	return all
}

// decide answers all that wait. It does not end with the caller, who asks for
// the others too.
func (b *Brakes) decide(ctx context.Context) {
	all := b.take()
	if len(all) == 0 {
		return
	}
	err := b.change(context.WithoutCancel(ctx), func(l *ledger) (changed bool) {
		for _, w := range all {
			var counted bool
			w.verdict, counted = l.admit(w.Request, b.now())
			changed = changed || counted
		}
		return changed
	})
	for _, w := range all {
		w.err = err
		close(w.decided)
	}
}

// change makes one change of the ledger; fn is called again on a newer one
// where somebody else was faster. The turn is the caller's.
//
// A write of which no answer came may have been kept: the ledger is read again,
// and what was admitted then is a repeat now. So every failure is answered in
// the same way.
func (b *Brakes) change(ctx context.Context, fn func(*ledger) (changed bool)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, answerTime, ErrNoAnswer)
	defer cancel()
	pause := time.Millisecond
	for {
		err := b.tryChange(ctx, fn)
		if err == nil || errors.Is(err, errLedger) {
			return err
		}
		b.last = version{}
		select {
		case <-time.After(rand.N(pause)):
			pause = min(2*pause, maxPause)
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}

// tryChange makes it on what this process remembers, which saves the reading.
// That nothing changes is only believed of what was read just now: a rule may
// have been reset elsewhere.
func (b *Brakes) tryChange(ctx context.Context, fn func(*ledger) (changed bool)) (err error) {
	at := b.last
	l, changed := (*ledger)(nil), false
	if at.revision > 0 {
		if l, changed, err = b.apply(at, fn); err != nil {
			return err
		}
	}
	if !changed {
		if at, err = b.read(ctx); err != nil {
			return err
		}
		if l, changed, err = b.apply(at, fn); err != nil || !changed {
			b.last = at
			return err
		}
	}
	value := l.encode()
	revision, err := b.bucket.Update(ctx, ledgerKey, value, at.revision)
	if err != nil {
		return err
	}
	b.last = version{value, revision}
	b.tell(l)
	return nil
}

// apply calls fn on a ledger of its own.
func (b *Brakes) apply(at version, fn func(*ledger) (changed bool)) (*ledger, bool, error) {
	l, err := parseLedger(at.value, b.now())
	if err != nil {
		return nil, false, err
	}
	return l, fn(l), nil
}

// read returns the ledger as it is now; before the first admission there is none.
func (b *Brakes) read(ctx context.Context) (version, error) {
	value, revision, err := b.bucket.Read(ctx, ledgerKey)
	if errors.Is(err, events.ErrKeyNotFound) {
		return version{}, nil
	}
	return version{value, revision}, err
}

// tell says what a change did that was kept.
func (b *Brakes) tell(l *ledger) {
	b.metrics.trips(l)
	for _, name := range l.tripped {
		b.log.Error("rule tripped: it acts no more until a person resets it",
			"rule", name, "admissions_in_an_hour", l.Rules[name].Trip.Admissions)
	}
}
