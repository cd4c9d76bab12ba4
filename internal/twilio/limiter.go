package twilio

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Twilio limits how many calls of an account are under way at a time, does not
// publish the number, and answers 429 above it (error dictionary, 20429). So
// the limit is searched for: it grows by one for every round of answers that
// were not refused, and is halved by a round that was.
const (
	firstLimit = 10
	maxLimit   = 100
)

// limits are the limiters of all accounts. They are made when first needed and
// stay: their number is that of the accounts ever configured.
type limits struct {
	metrics *ClientMetrics

	mu    sync.Mutex
	bySid map[string]*limiter
}

func newLimits(m *ClientMetrics) *limits {
	l := &limits{metrics: m, bySid: make(map[string]*limiter)}
	m.watch(l.lowest)
	return l
}

func (l *limits) of(accountSid string) *limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	one := l.bySid[accountSid]
	if one == nil {
		one = &limiter{limit: firstLimit, waiting: l.metrics.waiting}
		l.bySid[accountSid] = one
	}
	return one
}

// lowest is the limit of the account that Twilio holds shortest.
func (l *limits) lowest() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	lowest := float64(firstLimit)
	if len(l.bySid) > 0 {
		lowest = maxLimit
	}
	for _, one := range l.bySid {
		lowest = min(lowest, one.current())
	}
	return lowest
}

// limiter bounds the calls of one account. Those that wait are let in in the
// order in which they came.
type limiter struct {
	waiting prometheus.Gauge // of all accounts together

	mu      sync.Mutex
	limit   float64
	busy    int
	queue   []chan struct{} // closed when its turn has come
	lowered time.Time
}

// acquire waits for a place, as long as ctx leaves time to use it.
func (l *limiter) acquire(ctx context.Context) error {
	turn := l.enqueue()
	if turn == nil {
		return nil
	}
	ctx, cancel := leavingATry(ctx)
	defer cancel()
	l.waiting.Inc()
	defer l.waiting.Dec()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		l.leave(turn)
		return ctx.Err()
	}
}

// enqueue takes a place, or returns what tells when there is one.
func (l *limiter) enqueue() chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	turn := make(chan struct{})
	l.queue = append(l.queue, turn)
	l.admit()
	select {
	case <-turn:
		return nil
	default:
		return turn
	}
}

// leave gives up waiting. Where the turn came in the same moment, the place
// goes to the next.
func (l *limiter) leave(turn chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, other := range l.queue {
		if other == turn {
			l.queue = append(l.queue[:i], l.queue[i+1:]...)
			return
		}
	}
	l.busy--
	l.admit()
}

func (l *limiter) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy--
	l.admit()
}

// admit lets in as many as there is room for. Its caller holds the lock.
func (l *limiter) admit() {
	for len(l.queue) > 0 && l.busy < int(l.limit) {
		close(l.queue[0])
		l.queue = l.queue[1:]
		l.busy++
	}
}

// passed notes that a call was not refused. Only where the limit is used does
// an answer say that there is room above it; silence says nothing.
func (l *limiter) passed(answered bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if answered && 2*l.busy >= int(l.limit) {
		l.limit = min(l.limit+1/l.limit, maxLimit)
		l.admit()
	}
}

// refused notes a 429 to a try that began then. Calls that were under way
// together are refused together, and that is one sign and not many: a try that
// began before the limit was lowered lowers it no further.
func (l *limiter) refused(began time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !began.After(l.lowered) {
		return
	}
	l.limit = max(l.limit/2, 1)
	l.lowered = time.Now()
}

func (l *limiter) current() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.limit
}
