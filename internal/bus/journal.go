package bus

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
	"gavel/internal/bus/jet"
)

const (
	// appendBudget bounds the tries of a group. Twilio gives up after 15 s; the rest
	// is for the network.
	appendBudget = 12 * time.Second
	// externalAttempt bounds one try to store a group in an external NATS, whose message is
	// lost if it reached a leader that no longer leads. An earlier second try would cost a
	// slow disk a second fsync. A group for the embedded server has one try for its whole
	// budget, because no message to it is lost.
	externalAttempt = 3 * time.Second
	// maxEntryBytes bounds an entry, so that its message fits into the stream and into
	// an external server's default payload of 1 MiB.
	maxEntryBytes = maxMessage - 64<<10
	// entryOverhead is the most that AppendEntry adds to the texts, in bytes.
	entryOverhead = 32
)

// QueueBytes bounds the entries that wait for the journal, in all lanes together, those of the groups
// in flight included. It is ten times what 10,000 callbacks of the usual 620 bytes need.
const QueueBytes = 64 << 20

// Journal is the log of all that Gavel received.
type Journal struct {
	health  *health
	read    jetstream.JetStream
	writers []*writer
	queue   *queue
}

// queue counts bytes that wait, in all lanes: for the journal, or for a projector.
type queue struct {
	most int64
	held atomic.Int64
}

// enter makes room for that many bytes, and reports whether there is any.
func (q *queue) enter(size int) bool {
	if q.held.Add(int64(size)) <= q.most {
		return true
	}
	q.leave(size)
	return false
}

func (q *queue) leave(size int) { q.held.Add(-int64(size)) }

func newJournal(door, read jetstream.JetStream, lanes int, h *health, c Config) *Journal {
	j := &Journal{health: h, read: read, queue: &queue{most: c.QueueBytes}}
	for n := range lanes {
		w := &writer{lane: n, acknowledged: c.Acknowledged, js: door, health: h, queue: j.queue, subject: journalSubject(n), budget: c.AppendBudget, attempt: externalAttempt, metrics: c.Metrics, ended: make(chan struct{})}
		if c.embedded() {
			w.attempt = c.AppendBudget
		}
		w.changed.L = &w.mu
		go w.run()
		j.writers = append(j.writers, w)
	}
	return j
}

// Append adds e to the lane of its conference and returns nil once JetStream
// has acknowledged it. Entries that wait together become one message.
//
// The group has its own deadline: a caller whose ctx ends stops waiting, and the entry
// may be stored or not. Errors wrap events.ErrUnavailable if the journal cannot store
// entries now, and events.ErrMalformed if an entry is too long.
func (j *Journal) Append(ctx context.Context, conferenceSid string, e events.Entry) error {
	return j.AppendLane(ctx, events.Lane(conferenceSid, len(j.writers)), e)
}

// AppendLane is Append for entries without a conference: it adds e to a lane by its
// number, 0 <= lane < Lanes().
func (j *Journal) AppendLane(ctx context.Context, lane int, e events.Entry) error {
	if err := j.health.Healthy(); err != nil {
		return fmt.Errorf("append entry: %w", err)
	}
	if len(e.Form)+len(e.Query) > maxEntryBytes {
		return fmt.Errorf("append entry: %w: longer than %d bytes", events.ErrMalformed, maxEntryBytes)
	}
	g, err := j.writers[lane].add(e)
	if err != nil {
		return fmt.Errorf("append entry: %w", err)
	}
	select {
	case <-g.done:
		return g.err
	case <-ctx.Done():
		return fmt.Errorf("append entry: the entry may be stored or not: %w", context.Cause(ctx))
	}
}

// Lanes is the number of lanes.
func (j *Journal) Lanes() int { return len(j.writers) }

// close refuses new entries and waits until the queued groups are published.
func (j *Journal) close(ctx context.Context) error {
	for _, w := range j.writers {
		w.finish()
	}
	for _, w := range j.writers {
		select {
		case <-w.ended:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// group is one message. The writer owns it until done is closed; then callers may read err.
type group struct {
	data     []byte
	entries  int
	held     int // of the queue
	deadline time.Time
	done     chan struct{}
	err      error
}

// room reports whether an entry of that size fits into the group.
func (g *group) room(size int) bool {
	return g.entries < events.MaxGroupEntries && len(g.data)+size+entryOverhead <= events.MaxGroupBytes
}

// writer is the group commit of one lane. It has one group in flight; entries that
// arrive meanwhile form the next group. It never waits for a group to grow.
type writer struct {
	lane         int
	acknowledged func(lane int, sequence uint64, data []byte) // may be nil
	js           jetstream.JetStream
	health       *health
	queue        *queue
	subject      string
	budget       time.Duration
	attempt      time.Duration // bounds one try
	metrics      *Metrics

	mu      sync.Mutex
	changed sync.Cond
	open    *group   // receives entries; may be nil
	full    []*group // published before open
	spare   [][]byte // buffers for reuse
	closing bool
	ended   chan struct{}
}

var (
	errCrowded = fmt.Errorf("%w: too many bytes wait for the journal", events.ErrUnavailable)
	errClosing = fmt.Errorf("%w: the journal is being closed", events.ErrUnavailable)
)

// add puts e into the open group.
func (w *writer) add(e events.Entry) (*group, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closing {
		return nil, errClosing
	}
	size := len(e.Form) + len(e.Query)
	if !w.queue.enter(size + entryOverhead) {
		return nil, errCrowded
	}
	if w.open != nil && !w.open.room(size) {
		w.full, w.open = append(w.full, w.open), nil
	}
	if w.open == nil {
		w.open = &group{data: w.buffer(), deadline: time.Now().Add(w.budget), done: make(chan struct{})}
		w.changed.Signal()
	}
	w.open.data = events.AppendEntry(w.open.data, e)
	w.open.entries++
	w.open.held += size + entryOverhead
	return w.open, nil
}

// buffer returns an empty buffer, if possible a used one.
func (w *writer) buffer() []byte {
	last := len(w.spare) - 1
	if last < 0 {
		return nil
	}
	b := w.spare[last]
	w.spare = w.spare[:last]
	return b
}

// reuse keeps at most two buffers: one group fills while the other is in flight.
func (w *writer) reuse(b []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.spare) < 2 {
		w.spare = append(w.spare, b[:0])
	}
}

func (w *writer) finish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closing = true
	w.changed.Signal()
}

// run publishes one group after the other until the writer is closed and empty.
func (w *writer) run() {
	defer close(w.ended)
	for g := w.next(); g != nil; g = w.next() {
		w.commit(g)
	}
}

// next waits for the oldest group. It returns nil at the end.
func (w *writer) next() *group {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.open == nil && len(w.full) == 0 && !w.closing {
		w.changed.Wait()
	}
	if len(w.full) > 0 {
		g := w.full[0]
		w.full = w.full[1:]
		return g
	}
	g := w.open
	w.open = nil
	return g
}

// commit publishes g within its deadline and wakes the callers that wait for it.
func (w *writer) commit(g *group) {
	start := time.Now()
	ctx, cancel := context.WithDeadline(w.health.while(), g.deadline)
	defer cancel()
	sequence, err := w.publish(ctx, g.data)
	switch {
	case err != nil:
		g.err = fmt.Errorf("append group: %w", err)
	default:
		if w.acknowledged != nil { // before a caller learns of it
			w.acknowledged(w.lane, sequence, g.data)
		}
		w.health.stored.Store(time.Now().UnixNano())
	}
	w.metrics.observeGroup(g, time.Since(start))
	w.reuse(g.data)
	g.data = nil
	w.queue.leave(g.held)
	close(g.done)
}

// expectJournal keeps another stream on our subjects from acknowledging instead of the journal.
var expectJournal = nats.Header{headerExpectedStream: {journalStream}}

// publish sets no message id: the fold counts a group that a retry stored twice once,
// and a duplicate window would need memory for every group.
func (w *writer) publish(ctx context.Context, data []byte) (sequence uint64, err error) {
	err = jet.RetryEach(ctx, w.attempt, w.retryable, func(ctx context.Context) error {
		m := &nats.Msg{Subject: w.subject, Data: data, Header: expectJournal}
		ack, err := w.js.PublishMsg(ctx, m, jetstream.WithRetryAttempts(0))
		if err == nil && ack.Sequence == 0 {
			err = jetstream.ErrInvalidJSAck
		}
		if err == nil {
			sequence = ack.Sequence
		}
		return err
	})
	switch {
	case jet.StorageFull(err):
		err = w.health.noRoom(err)
	case jet.Full(err):
		err = fmt.Errorf("%w: journal is full: %w", events.ErrUnavailable, err)
	}
	return sequence, err
}

func (w *writer) retryable(err error) bool {
	if !jet.Promptly(err) {
		return false
	}
	w.metrics.retries.Inc()
	return true
}
