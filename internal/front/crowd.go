package front

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// searched bounds the connections that one search for a place checks, each with a system call at
	// the most. Under an attack the first one found can end; where all are busy none can.
	searched = 16
	// turnEvery is the share of answers, one in so many, that end their connection while another one
	// waits. A new connection costs a handshake and a goroutine, so a turn at each answer would cost much.
	turnEvery = 8
	// backlogShare is the part of the places, one in so many, that the kernel may hold beyond them.
	// As one answer in turnEvery makes room, a connection waits there for as long as an accepted one
	// waits for its answer. In a longer queue senders give up before their turn, and Gavel
	// would only answer those.
	backlogShare = turnEvery
	// leastBacklog is for a burst that arrives while the process does not run.
	leastBacklog = 128
)

// crowd bounds the connections of a server. Beyond its places one connection is accepted and waits,
// and the others remain in the kernel: to answer that the process is busy costs an eighth to a quarter
// of what a callback costs, so in an overload of ten times nothing would be left for callbacks.
type crowd struct {
	places int
	// waits: a connection waits for a place.
	waits  atomic.Bool
	waited atomic.Uint64 // how many did so far
	turns  atomic.Uint32
	freed  chan struct{} // receives when a place may be free

	mu    sync.Mutex
	conns []*conn // each at its index, conn.at
	hand  int     // the last connection that a search has checked
}

func newCrowd(places int) *crowd {
	return &crowd{places: max(places, 1), freed: make(chan struct{}, 1)}
}

// await returns once there is a place, or false when done is closed. One goroutine may call it, and
// then add.
func (w *crowd) await(done <-chan struct{}) bool {
	defer w.waits.Store(false)
	for !w.hasPlace() {
		if !w.waits.Swap(true) {
			w.waited.Add(1)
		}
		select {
		case <-w.freed:
		case <-time.After(tick): // until a connection has waited for long enough
		case <-done:
			return false
		}
	}
	return true
}

// hasPlace makes a place if none is free, by ending a connection that waits for a request.
func (w *crowd) hasPlace() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.conns) < w.places {
		return true
	}
	for range min(searched, len(w.conns)) {
		w.hand = (w.hand + 1) % len(w.conns)
		if c := w.conns[w.hand]; c.yield() {
			w.take(c)
			return true
		}
	}
	return false
}

func (w *crowd) add(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c.at = len(w.conns)
	w.conns = append(w.conns, c)
}

// remove releases a connection's place, unless it has been taken.
func (w *crowd) remove(c *conn) {
	w.mu.Lock()
	w.take(c)
	w.mu.Unlock()
	select {
	case w.freed <- struct{}{}:
	default:
	}
}

func (w *crowd) take(c *conn) {
	if c.at >= len(w.conns) || w.conns[c.at] != c {
		return
	}
	last := len(w.conns) - 1
	w.conns[c.at] = w.conns[last]
	w.conns[c.at].at = c.at
	w.conns[last] = nil
	w.conns = w.conns[:last]
}

func (w *crowd) size() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.conns)
}

func (w *crowd) each(do func(*conn)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		do(c)
	}
}

// turn reports whether an answer must end its connection, so that another one has its turn.
func (w *crowd) turn() bool { return w.waits.Load() && w.turns.Add(1)%turnEvery == 0 }
