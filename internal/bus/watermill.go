package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
)

const (
	// publishBudget bounds the tries of one message.
	publishBudget = appendBudget
	// progressEvery tells JetStream that a message is still being worked, so
	// that a slow handler is not overtaken by a second one.
	progressEvery = ackWait / 3
	// fetchWait is how long a request for a message stands. A subscription
	// that ends waits for it, so that no message is lost on its way to nobody.
	fetchWait = 250 * time.Millisecond
)

var errClosed = errors.New("closed")

// Publisher is watermill's, over JetStream. A topic is a subject, which some
// stream must take.
type Publisher struct {
	js     jetstream.JetStream
	mu     sync.RWMutex // held for reading while publishing
	closed bool
}

var _ message.Publisher = (*Publisher)(nil)

// NewPublisher publishes on conn, which stays its owner's.
func NewPublisher(conn *nats.Conn) *Publisher { return &Publisher{js: js(conn)} }

// Publish returns once every message is acknowledged, in order. The message's
// UUID and its topic are its identity: within the stream's duplicate window a
// message that was stored unnoticed is not stored twice.
func (p *Publisher) Publish(topic string, messages ...*message.Message) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return fmt.Errorf("publish to %s: %w", topic, errClosed)
	}
	for _, m := range messages {
		if err := p.publish(topic, m); err != nil {
			return fmt.Errorf("publish to %s: %w", topic, err)
		}
	}
	return nil
}

func (p *Publisher) publish(topic string, m *message.Message) error {
	out, err := encodeMessage(topic, m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(m.Context(), publishBudget)
	defer cancel()
	return retrying(ctx, isTransient, func(ctx context.Context) error {
		_, err := p.js.PublishMsg(ctx, out, jetstream.WithRetryAttempts(0))
		return err
	})
}

// Close waits for what is being published. The connection stays open.
func (p *Publisher) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return nil
}

func encodeMessage(topic string, m *message.Message) (*nats.Msg, error) {
	metadata, err := json.Marshal(m.Metadata)
	if err != nil {
		return nil, fmt.Errorf("encode metadata: %w", err)
	}
	return &nats.Msg{Subject: topic, Data: m.Payload, Header: nats.Header{
		headerMsgID:    {topic + "/" + m.UUID},
		headerUUID:     {m.UUID},
		headerMetadata: {string(metadata)},
	}}, nil
}

// decodeMessage reads what encodeMessage wrote. A message that somebody else
// put there has no identity of ours and gets its place in the stream.
func decodeMessage(m jetstream.Msg, sequence uint64) (*message.Message, error) {
	uuid := m.Headers().Get(headerUUID)
	if uuid == "" {
		uuid = strconv.FormatUint(sequence, 10)
	}
	out := message.NewMessage(uuid, m.Data())
	if raw := m.Headers().Get(headerMetadata); raw != "" {
		if err := json.Unmarshal([]byte(raw), &out.Metadata); err != nil {
			return nil, fmt.Errorf("decode metadata: %w: %w", events.ErrMalformed, err)
		}
	}
	return out, nil
}

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
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open.Err() != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", topic, errClosed)
	}
	sub := &subscription{of: s, topic: topic, out: make(chan *message.Message), log: s.log.With("topic", topic)}
	if err := retrying(ctx, isTransient, sub.makeConsumer); err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", topic, err)
	}
	sub.ctx, sub.cancel = context.WithCancel(ctx)
	unhook := context.AfterFunc(s.open, sub.cancel)
	s.running.Go(func() {
		defer unhook()
		defer sub.cancel()
		sub.run()
	})
	return sub.out, nil
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
	cancel   context.CancelFunc
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
			s.tell(m, s.work(m))
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

// tell passes a verdict on. Should it be lost, the message comes again.
func (s *subscription) tell(m jetstream.Msg, v verdict) {
	var err error
	switch v.kind {
	case ack:
		err = m.Ack()
	case term:
		err = m.Term()
	case nak:
		err = m.NakWithDelay(v.delay)
	}
	if err != nil {
		s.log.Warn("cannot settle a message", "verdict", string(v.kind), "err", err)
	}
}

// routerLog passes watermill's log on, with none of the fields that may hold
// what messages say.
type routerLog struct{ log *slog.Logger }

var _ watermill.LoggerAdapter = routerLog{}

// shownFields are all that is passed on.
var shownFields = []string{"handler_name", "handler_type", "message_uuid", "topic", "subscriber_name"}

func (l routerLog) with(fields watermill.LogFields) *slog.Logger {
	log := l.log
	for _, name := range shownFields {
		if v, ok := fields[name]; ok {
			log = log.With(name, v)
		}
	}
	return log
}

func (l routerLog) Error(msg string, err error, fields watermill.LogFields) {
	l.with(fields).Error(msg, "err", err)
}
func (l routerLog) Info(msg string, fields watermill.LogFields)  { l.with(fields).Debug(msg) }
func (l routerLog) Debug(msg string, fields watermill.LogFields) { l.with(fields).Debug(msg) }
func (l routerLog) Trace(string, watermill.LogFields)            {}

// With returns a logger that shows the fields that may be shown.
func (l routerLog) With(fields watermill.LogFields) watermill.LoggerAdapter {
	return routerLog{l.with(fields)}
}
