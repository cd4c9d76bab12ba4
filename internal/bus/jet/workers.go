package jet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
)

const (
	// fetchWait is how long a request for messages is open. At the end the loop
	// waits for it, so that a message in transit has a receiver.
	fetchWait = 250 * time.Millisecond
	// gatherWait is how long an incomplete batch waits for messages.
	gatherWait = 20 * time.Millisecond
	// maxPending bounds the unsettled messages over all processes. It exceeds the
	// number of all their workers. A message that waits long is settled
	// (events.MaxLater), because enough of them would block all others.
	maxPending = 4096
	// defaultAckWait is when an unsettled message is redelivered, for instance after
	// its process died. Workers report progress three times in it.
	defaultAckWait = 10 * time.Second
)

// Workers process the messages of a durable pull consumer, several calls at a time
// and in no order. Processes that name the same consumer share its messages. A
// message is redelivered until it is settled.
type Workers struct {
	Conn     *nats.Conn
	Stream   string
	Consumer string
	Subjects []string
	// Subject replaces Subjects for a consumer of a single subject: the two are
	// different settings, and a consumer cannot change from one to the other.
	Subject string
	Log     *slog.Logger
	// Most is the number of concurrent calls.
	Most int
	// Batch is the maximum number of messages of one call; 0 means one.
	Batch int
	// MaxPending and AckWait default to maxPending and defaultAckWait.
	MaxPending int
	AckWait    time.Duration
	// DeliverNew makes a new consumer begin with the messages that are stored after its creation.
	DeliverNew bool
	// Longest is the longest delay of an events.Later; 0 means events.MaxLater. A delayed message is
	// pending, so it needs a MaxPending that the delayed ones cannot reach.
	Longest time.Duration
}

// loop is one Run. It fetches only for its free workers: other processes would get a
// message that waits here only after AckWait.
type loop struct {
	Workers
	js       jetstream.JetStream
	consumer jetstream.Consumer
	work     func(context.Context, []jetstream.Msg) error
	free     chan struct{} // one element for each idle worker
	working  sync.WaitGroup
}

// Run calls fn until ctx ends, waits for running calls and returns nil. The result of fn settles
// all messages of its call; see settle. Run creates the consumer if it is missing, also later.
func (w Workers) Run(ctx context.Context, fn func(context.Context, []jetstream.Msg) error) error {
	l, err := w.begin(ctx, fn)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	return l.run(ctx)
}

// Each is Run for one message at a time.
func (w Workers) Each(ctx context.Context, fn func(context.Context, jetstream.Msg) error) error {
	w.Batch = 1
	return w.Run(ctx, func(ctx context.Context, messages []jetstream.Msg) error { return fn(ctx, messages[0]) })
}

// js ignores the error, which only options can cause.
func js(conn *nats.Conn) jetstream.JetStream {
	s, _ := jetstream.New(conn)
	return s
}

// begin opens the consumer and returns the loop over it.
func (w Workers) begin(ctx context.Context, fn func(context.Context, []jetstream.Msg) error) (*loop, error) {
	w.Batch, w.MaxPending, w.AckWait = max(w.Batch, 1), cmp.Or(w.MaxPending, maxPending), cmp.Or(w.AckWait, defaultAckWait)
	w.Longest = cmp.Or(w.Longest, events.MaxLater)
	l := &loop{Workers: w, js: js(w.Conn), work: fn, free: make(chan struct{}, w.Most)}
	for range w.Most {
		l.free <- struct{}{}
	}
	return l, Retry(ctx, Transient, l.open)
}

// open finds or creates the consumer.
func (l *loop) open(ctx context.Context) error {
	from := jetstream.DeliverAllPolicy
	if l.DeliverNew {
		from = jetstream.DeliverNewPolicy
	}
	consumer, err := l.js.CreateOrUpdateConsumer(ctx, l.Stream, jetstream.ConsumerConfig{
		DeliverPolicy:  from,
		Durable:        l.Consumer,
		FilterSubject:  l.Subject,
		FilterSubjects: l.Subjects,
		AckPolicy:      jetstream.AckExplicitPolicy,
		AckWait:        l.AckWait,
		MaxDeliver:     -1,
		MaxAckPending:  l.MaxPending,
	})
	if err != nil {
		return fmt.Errorf("create consumer %s of %s: %w", l.Consumer, l.Stream, err)
	}
	l.consumer = consumer
	return l.checkState(ctx, consumer.CachedInfo())
}

// checkState resets a consumer that claims to have delivered messages which do not exist yet, or has
// acknowledgements of messages that it did not deliver: its state is damaged, and it would skip as many of the next ones. Settled messages are delivered again.
func (l *loop) checkState(ctx context.Context, info *jetstream.ConsumerInfo) error {
	s, err := l.js.Stream(ctx, l.Stream)
	if err != nil {
		return fmt.Errorf("check consumer %s of %s: %w", l.Consumer, l.Stream, err)
	}
	last, from := s.CachedInfo().State.LastSeq, info.AckFloor.Stream+1
	if info.Delivered.Stream <= last && info.AckFloor.Stream <= info.Delivered.Stream {
		return nil
	}
	if from > min(last, info.Delivered.Stream)+1 {
		from = 1
	}
	l.Log.Error("state of a consumer is damaged: its messages are delivered again", "stream", l.Stream, "consumer", l.Consumer)
	if _, err := l.js.ResetConsumerToSequence(ctx, l.Stream, l.Consumer, from); err != nil {
		return fmt.Errorf("reset consumer %s of %s: %w", l.Consumer, l.Stream, err)
	}
	return nil
}

// run fetches until ctx ends or the connection is closed.
func (l *loop) run(ctx context.Context) error {
	defer l.working.Wait()
	pause := pauses()
	for ctx.Err() == nil {
		err := l.fetch(ctx)
		if errors.Is(err, nats.ErrConnectionClosed) {
			return err
		}
		if err == nil {
			pause.Reset()
			continue
		}
		if Wait(ctx, pause.NextBackOff()) != nil {
			break
		}
		if again := Attempt(ctx, l.open); again != nil && ctx.Err() == nil {
			l.Log.Warn("fetch from consumer failed", "consumer", l.Consumer, "error", errors.Join(err, again))
		}
	}
	return nil
}

// fetch requests as many messages as the free workers can process and starts a worker
// for each batch that arrives.
func (l *loop) fetch(ctx context.Context) error {
	free := l.claim(ctx)
	if free == 0 {
		return nil
	}
	fetched, err := l.consumer.Fetch(free*l.Batch, jetstream.FetchMaxWait(fetchWait))
	if err == nil {
		for first := range fetched.Messages() {
			if free == 0 { // batches that were not full
				<-l.free
				free++
			}
			free--
			l.start(ctx, l.gather(first, fetched.Messages()))
		}
		err = fetched.Error()
	}
	for range free {
		l.free <- struct{}{}
	}
	return err
}

// claim waits for one free worker and claims all free ones. It returns 0 when ctx ends.
func (l *loop) claim(ctx context.Context) (free int) {
	select {
	case <-l.free:
	case <-ctx.Done():
		return 0
	}
	for free = 1; free < cap(l.free); free++ {
		select {
		case <-l.free:
		default:
			return free
		}
	}
	return free
}

// gather adds the messages that arrive within gatherWait to the first one.
func (l *loop) gather(first jetstream.Msg, more <-chan jetstream.Msg) []jetstream.Msg {
	batch := []jetstream.Msg{first}
	if l.Batch == 1 {
		return batch
	}
	timeout := time.After(gatherWait)
	for len(batch) < l.Batch {
		select {
		case m, open := <-more:
			if !open {
				return batch
			}
			batch = append(batch, m)
		case <-timeout:
			return batch
		}
	}
	return batch
}

func (l *loop) start(ctx context.Context, batch []jetstream.Msg) {
	l.working.Go(func() {
		defer func() { l.free <- struct{}{} }()
		l.settle(batch, l.call(ctx, batch))
	})
}

// call calls work and reports progress meanwhile, so that no second worker gets the messages.
func (l *loop) call(ctx context.Context, batch []jetstream.Msg) error {
	if ctx.Err() != nil {
		return context.Canceled
	}
	done := make(chan struct{})
	var reporting sync.WaitGroup
	reporting.Go(func() { l.report(batch, done) })
	defer reporting.Wait()
	defer close(done)
	return l.work(ctx, batch)
}

func (l *loop) report(batch []jetstream.Msg, done <-chan struct{}) {
	progress := time.NewTicker(l.AckWait / 3)
	defer progress.Stop()
	for {
		select {
		case <-progress.C:
			for _, m := range batch {
				if err := m.InProgress(); err != nil {
					l.Log.Warn("progress report failed", "consumer", l.Consumer, "error", err)
				}
			}
		case <-done:
			return
		}
	}
}

// settle settles the messages of a call. If that is lost, they are redelivered.
func (l *loop) settle(batch []jetstream.Msg, err error) {
	for _, m := range batch {
		var sequence, delivered uint64
		if at, err := m.Metadata(); err == nil {
			sequence, delivered = at.Sequence.Stream, at.NumDelivered
		}
		how, delay := settle(err, delivered, l.Longest)
		if how == term {
			l.Log.Error("message terminated", "consumer", l.Consumer, "sequence", sequence, "error", err)
		}
		if err := how.send(m, delay); err != nil {
			l.Log.Warn("settling a message failed", "reply", string(how), "error", err)
		}
	}
}
