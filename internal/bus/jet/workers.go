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
)

const (
	// fetchWait is how long a request for messages stands. The loop waits for it
	// when it ends, so that no message is lost on its way to nobody.
	fetchWait = 250 * time.Millisecond
	// gatherWait is how long a batch waits for its next message.
	gatherWait = 20 * time.Millisecond
	// maxPending bounds the messages that are delivered and not settled, over all
	// processes: more than all their workers together. What has to wait for long
	// is settled (events.MaxLater), or it would hold up all the others.
	maxPending = 4096
	// patience is after what time a message that is not settled is delivered
	// again, for instance because its process died. Workers report progress three
	// times in it.
	patience = 10 * time.Second
)

// Workers work the messages of a durable pull consumer, several calls at a time and
// in no order. Processes that name the same consumer share its messages. A message
// comes again until it is settled, however often.
type Workers struct {
	Conn     *nats.Conn
	Stream   string
	Consumer string
	Subjects []string
	// Subject takes the place of Subjects where the consumer is one of a single
	// subject: the two are different settings, and neither can become the other.
	Subject string
	Log     *slog.Logger
	// Most is how many calls are under way at a time.
	Most int
	// Batch is how many messages one call gets at the most; 0: one.
	Batch int
	// MaxPending and Patience replace maxPending and patience where they are set.
	MaxPending int
	Patience   time.Duration
}

// loop is one Run. It fetches no more than it has free workers for: what waits here
// other processes would get only when patience is over.
type loop struct {
	Workers
	js       jetstream.JetStream
	consumer jetstream.Consumer
	work     func(context.Context, []jetstream.Msg) error
	free     chan struct{} // one for each worker that has nothing to do
	working  sync.WaitGroup
}

// Run calls fn until ctx ends, which is no error, and waits for the calls under
// way. What fn returns settles all messages of its call; see settle. The consumer is
// made where it is missing, also when it goes missing later.
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

// js never fails: it is given no options.
func js(conn *nats.Conn) jetstream.JetStream {
	s, _ := jetstream.New(conn)
	return s
}

// begin makes the consumer, and the loop over it.
func (w Workers) begin(ctx context.Context, fn func(context.Context, []jetstream.Msg) error) (*loop, error) {
	w.Batch, w.MaxPending, w.Patience = max(w.Batch, 1), cmp.Or(w.MaxPending, maxPending), cmp.Or(w.Patience, patience)
	l := &loop{Workers: w, js: js(w.Conn), work: fn, free: make(chan struct{}, w.Most)}
	for range w.Most {
		l.free <- struct{}{}
	}
	return l, Retry(ctx, Transient, l.open)
}

// open finds the consumer, or makes it.
func (l *loop) open(ctx context.Context) error {
	consumer, err := l.js.CreateOrUpdateConsumer(ctx, l.Stream, jetstream.ConsumerConfig{
		Durable:        l.Consumer,
		FilterSubject:  l.Subject,
		FilterSubjects: l.Subjects,
		AckPolicy:      jetstream.AckExplicitPolicy,
		AckWait:        l.Patience,
		MaxDeliver:     -1,
		MaxAckPending:  l.MaxPending,
	})
	if err != nil {
		return fmt.Errorf("make consumer %s of %s: %w", l.Consumer, l.Stream, err)
	}
	l.consumer = consumer
	return nil
}

// run fetches again and again.
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
			l.Log.Warn("consumer gets nothing", "consumer", l.Consumer, "why", err, "error", again)
		}
	}
	return nil
}

// fetch asks for as many messages as the free workers take, and starts a worker for
// each batch that comes.
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

// claim waits for one free worker and takes all that are free; 0 is the end of ctx.
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

// gather adds to the first message what comes within gatherWait.
func (l *loop) gather(first jetstream.Msg, more <-chan jetstream.Msg) []jetstream.Msg {
	batch := []jetstream.Msg{first}
	if l.Batch == 1 {
		return batch
	}
	over := time.NewTimer(gatherWait)
	defer over.Stop()
	for len(batch) < l.Batch {
		select {
		case m, open := <-more:
			if !open {
				return batch
			}
			batch = append(batch, m)
		case <-over.C:
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

// call makes one call of work and reports progress meanwhile, so that the messages
// do not go to a second worker.
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
	progress := time.NewTicker(l.Patience / 3)
	defer progress.Stop()
	for {
		select {
		case <-progress.C:
			for _, m := range batch {
				if err := m.InProgress(); err != nil {
					l.Log.Warn("cannot tell that a message is in progress", "consumer", l.Consumer, "error", err)
				}
			}
		case <-done:
			return
		}
	}
}

// settle tells JetStream what becomes of the messages of a call. Should that be
// lost, they come again.
func (l *loop) settle(batch []jetstream.Msg, err error) {
	for _, m := range batch {
		var sequence, delivered uint64
		if at, err := m.Metadata(); err == nil {
			sequence, delivered = at.Sequence.Stream, at.NumDelivered
		}
		how, delay := settle(err, delivered)
		if how == term {
			l.Log.Error("message is given up", "consumer", l.Consumer, "sequence", sequence, "error", err)
		}
		if err := how.tell(m, delay); err != nil {
			l.Log.Warn("cannot settle a message", "verdict", string(how), "error", err)
		}
	}
}
