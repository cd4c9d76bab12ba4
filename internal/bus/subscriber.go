package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// progressEvery tells JetStream that a message is still being worked, so
	// that a slow handler is not overtaken by a second one.
	progressEvery = ackWait / 3
	// fetchWait is how long a request for a message stands. A subscription
	// that ends waits for it, so that no message is lost on its way to nobody.
	fetchWait = 250 * time.Millisecond
)

// Subscriber is watermill's, over a durable pull consumer of a stream.
// Subscribers of one group share the messages of a topic; each group gets all.
// A subscription has one message at a time, in order as long as none is
// refused: one that comes again comes after newer ones.
type Subscriber struct {
	js     jetstream.JetStream
	stream string
	group  string
	log    *slog.Logger

	mu      sync.Mutex
	open    context.Context // ends with Close
	end     context.CancelFunc
	running sync.WaitGroup
}

var _ message.Subscriber = (*Subscriber)(nil)

// NewSubscriber reads stream on conn, which stays its owner's.
func NewSubscriber(conn *nats.Conn, stream, group string, log *slog.Logger) *Subscriber {
	s := &Subscriber{js: js(conn), stream: stream, group: group, log: log}
	s.open, s.end = context.WithCancel(context.Background())
	return s
}

// Subscribe gives the messages of a topic until ctx ends or the subscriber is
// closed. The topic may hold wildcards.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	sub := &subscription{of: s, topic: topic, out: make(chan *message.Message), log: s.log.With("topic", topic)}
	var end context.CancelFunc
	sub.ctx, end = context.WithCancel(ctx)
	unhook := context.AfterFunc(s.open, end)
	run := func() {
		defer unhook()
		defer end()
		sub.run()
	}
	err := retrying(sub.ctx, isTransient, sub.makeConsumer)
	if err == nil {
		err = s.start(run)
	}
	if err == nil {
		return sub.out, nil
	}
	unhook()
	end()
	if ctx.Err() != nil {
		// Over before it began is no error: watermill's router would wait for
		// ever for the handler of a subscription that failed.
		close(sub.out)
		return sub.out, nil
	}
	return nil, fmt.Errorf("subscribe to %s: %w", topic, err)
}

// start runs a subscription unless the subscriber is closed.
func (s *Subscriber) start(run func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open.Err() != nil {
		return errClosed
	}
	s.running.Go(run)
	return nil
}

// Close ends all subscriptions and waits for them. A message that nobody has
// answered yet goes to another subscriber of the group at once.
func (s *Subscriber) Close() error {
	s.mu.Lock()
	s.end()
	s.mu.Unlock()
	s.running.Wait()
	return nil
}

// subscription is one running Subscribe.
type subscription struct {
	of       *Subscriber
	ctx      context.Context // lasts as long as the subscription
	topic    string
	consumer jetstream.Consumer
	out      chan *message.Message
	log      *slog.Logger
}

// makeConsumer finds the group's consumer, or makes it.
func (s *subscription) makeConsumer(ctx context.Context) error {
	c, err := s.of.js.CreateOrUpdateConsumer(ctx, s.of.stream, jetstream.ConsumerConfig{
		Durable:       durableName(s.of.group, s.topic),
		FilterSubject: s.topic,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       ackWait,
		MaxDeliver:    -1,
		MaxAckPending: maxAckPending,
	})
	if err == nil {
		s.consumer = c
	}
	return err
}

// run asks for one message after the other. The client library's iterator is
// not made for that: with one message at a time it sometimes asks for none
// until a heartbeat is missed.
func (s *subscription) run() {
	defer close(s.out)
	pause := pauses()
	for s.ctx.Err() == nil {
		m, err := s.consumer.Next(jetstream.FetchMaxWait(fetchWait))
		switch {
		case err == nil:
			pause.Reset()
			tellVerdict(s.log, m, s.work(m))
		case errors.Is(err, nats.ErrConnectionClosed):
			s.log.Error("subscription ends", "err", err)
			return
		case !errors.Is(err, nats.ErrTimeout):
			s.mend(err, pause.NextBackOff())
		}
	}
}

// mend makes the consumer anew, should it be gone, after a pause.
func (s *subscription) mend(why error, pause time.Duration) {
	if wait(s.ctx, pause) != nil {
		return
	}
	if err := attempt(s.ctx, s.makeConsumer); err != nil {
		s.log.Warn("subscription gets nothing", "why", why, "err", err)
	}
}

// work hands one delivery over and waits for what becomes of it.
func (s *subscription) work(m jetstream.Msg) verdict {
	at, err := m.Metadata()
	if err != nil {
		return settle(err, 1)
	}
	out, err := decodeMessage(m, at.Sequence.Stream)
	if err != nil {
		s.log.Error("message cannot be read", "sequence", at.Sequence.Stream, "err", err)
		return settle(err, at.NumDelivered)
	}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	out.SetContext(ctx)
	select {
	case s.out <- out:
	case <-s.ctx.Done():
		return verdict{kind: nak}
	}
	return s.await(m, out, at.NumDelivered)
}

// await waits for the handler, and tells JetStream meanwhile that it works.
func (s *subscription) await(m jetstream.Msg, out *message.Message, delivered uint64) verdict {
	progress := time.NewTicker(progressEvery)
	defer progress.Stop()
	for {
		select {
		case <-out.Acked():
			return verdict{kind: ack}
		case <-out.Nacked():
			return settleNack(out, delivered)
		case <-progress.C:
			if err := m.InProgress(); err != nil {
				s.log.Warn("cannot tell that a message is in progress", "err", err)
			}
		case <-s.ctx.Done():
			return s.lastWord(out, delivered)
		}
	}
}

// lastWord prefers an answer that came together with the end.
func (s *subscription) lastWord(out *message.Message, delivered uint64) verdict {
	select {
	case <-out.Acked():
		return verdict{kind: ack}
	case <-out.Nacked():
		return settleNack(out, delivered)
	default:
		return verdict{kind: nak}
	}
}
