package twilio

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Twilio limits the concurrent calls of an account, does not publish the number, and answers 429
// above it (error dictionary, 20429). So the limiter searches for the limit: it adds one for every
// round of answers without a refusal, and halves the limit after a round with one.
const (
	firstLimit = 10
	maxLimit   = 100
)

// limits are the limiters of all accounts. They are created on first use and
// never removed: their number is that of the accounts ever configured.
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

// lowest is the lowest limit of all accounts.
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

// limiter bounds the calls of one account. Waiting calls are admitted in order, and spare calls only
// while no other call waits and half of the slots are free, so that they delay no action.
type limiter struct {
	waiting prometheus.Gauge // of all accounts together

	mu      sync.Mutex
	limit   float64
	busy    int
	queue   []chan struct{} // closed when the call is admitted
	spare   []chan struct{} // the same, of spare calls
	lowered time.Time
}

// acquire waits for a slot, as long as ctx leaves time to use it.
func (l *limiter) acquire(ctx context.Context, spare bool) error {
	queue := &l.queue
	if spare {
		queue = &l.spare
	}
	turn := l.enqueue(queue)
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
		l.leave(queue, turn)
		return ctx.Err()
	}
}

// enqueue acquires a slot, or returns a channel that is closed once it has one.
func (l *limiter) enqueue(queue *[]chan struct{}) chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	turn := make(chan struct{})
	*queue = append(*queue, turn)
	if l.admit(); !slices.Contains(*queue, turn) {
		return nil
	}
	return turn
}

// leave gives up waiting. If the call was admitted at that moment, its slot goes to the next one.
func (l *limiter) leave(queue *[]chan struct{}, turn chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(*queue, turn); i >= 0 {
		*queue = slices.Delete(*queue, i, i+1)
		l.admit() // it may have kept spare calls waiting
		return
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

// admit admits as many calls as have room. Its caller holds the lock.
func (l *limiter) admit() {
	for len(l.queue) > 0 && l.busy < int(l.limit) {
		l.admitFirst(&l.queue)
	}
	for len(l.queue) == 0 && len(l.spare) > 0 && l.busy < max(int(l.limit)/2, 1) {
		l.admitFirst(&l.spare)
	}
}

func (l *limiter) admitFirst(queue *[]chan struct{}) {
	close((*queue)[0])
	*queue = (*queue)[1:]
	l.busy++
}

// passed records that a call was not refused. Only while the limit is in use does an answer show
// that there is room above it; a missing answer shows nothing.
func (l *limiter) passed(answered bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if answered && 2*l.busy >= int(l.limit) {
		l.limit = min(l.limit+1/l.limit, maxLimit)
		l.admit()
	}
}

// refused records a 429 for an attempt that began then. Concurrent calls are
// refused together, which counts as one refusal: an attempt that began before
// the limit was lowered does not lower it again.
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
