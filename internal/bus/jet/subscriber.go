package jet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
)

// Subscriber implements watermill's subscriber over Workers. Subscribers of one group
// share the messages of a topic; each group gets all of them. A subscription has one
// message at a time, in order except for redeliveries, which follow newer messages.
type Subscriber struct {
	workers Workers
	group   string

	mu      sync.Mutex
	open    context.Context // ends with Close
	end     context.CancelFunc
	running sync.WaitGroup
}

var _ message.Subscriber = (*Subscriber)(nil)

// MaxPending and AckWait of a subscription.
const (
	subscriptionPending = 512
	subscriptionAckWait = 30 * time.Second
)

// NewSubscriber reads stream on conn. It never closes conn.
func NewSubscriber(conn *nats.Conn, stream, group string, log *slog.Logger) *Subscriber {
	s := &Subscriber{group: group, workers: Workers{
		Conn: conn, Stream: stream, Log: log, Most: 1, MaxPending: subscriptionPending, AckWait: subscriptionAckWait,
	}}
	s.open, s.end = context.WithCancel(context.Background())
	return s
}

// Subscribe returns the messages of a topic, which may contain wildcards, until ctx
// ends or the subscriber is closed.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	w, out := s.workers, make(chan *message.Message)
	w.Consumer, w.Subject = consumerName(s.group, topic), topic
	both, end := context.WithCancel(ctx)
	unhook := context.AfterFunc(s.open, end)
	loop, err := w.begin(both, func(ctx context.Context, m []jetstream.Msg) error { return deliver(ctx, m[0], out) })
	if err == nil {
		err = s.start(func() {
			defer close(out)
			defer unhook()
			defer end()
			if err := loop.run(both); err != nil {
				w.Log.Error("subscription failed", "topic", topic, "error", err)
			}
		})
	}
	if err == nil {
		return out, nil
	}
	unhook()
	end()
	if ctx.Err() != nil {
		// Not an error: watermill's router would wait for ever for the handler of
		// a failed subscription.
		close(out)
		return out, nil
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

// Close ends all subscriptions and waits for them. An unacknowledged message goes to
// another subscriber of the group at once.
func (s *Subscriber) Close() error {
	s.mu.Lock()
	s.end()
	s.mu.Unlock()
	s.running.Wait()
	return nil
}

// consumerName names a group's consumer of a topic, without dots and wildcards, which
// a consumer's name must not contain.
func consumerName(group, topic string) string {
	return group + "-" + strings.NewReplacer(".", "_", "*", "any", ">", "all").Replace(topic)
}

var errNacked = errors.New("message was not acknowledged")

// deliver sends one message to its handler and waits for the answer.
func deliver(ctx context.Context, m jetstream.Msg, to chan<- *message.Message) error {
	at, err := m.Metadata()
	if err != nil {
		return err
	}
	out, err := decodeMessage(m, at.Sequence.Stream)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // the message's context ends when it is answered
	out.SetContext(ctx)
	select {
	case to <- out:
	case <-ctx.Done():
		return context.Canceled
	}
	select {
	case <-out.Acked():
		return nil
	case <-out.Nacked():
		return nackedBecause(out)
	case <-ctx.Done():
	}
	select { // an answer may have come together with the end of ctx
	case <-out.Acked():
		return nil
	case <-out.Nacked():
		return nackedBecause(out)
	default:
		return context.Canceled
	}
}

// metadataMalformed marks a message whose handler returned events.ErrMalformed,
// because the router does not pass the error to the subscriber.
const metadataMalformed = "gavel-malformed"

// noteMalformed is the middleware that sets metadataMalformed.
func noteMalformed(h message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) ([]*message.Message, error) {
		out, err := h(m)
		if errors.Is(err, events.ErrMalformed) {
			m.Metadata.Set(metadataMalformed, "true")
		}
		return out, err
	}
}

func nackedBecause(m *message.Message) error {
	if m.Metadata.Get(metadataMalformed) != "" {
		return fmt.Errorf("%w: %w", errNacked, events.ErrMalformed)
	}
	return errNacked
}

// routerClosesWithin bounds the wait for running handlers when the router closes.
const routerClosesWithin = 10 * time.Second

// Route calls fn with each message of a topic, on watermill's router, and returns nil when ctx
// ends. A message whose fn fails is redelivered later, unless the error is events.ErrMalformed.
func (s *Subscriber) Route(ctx context.Context, topic string, fn func(*message.Message) error) error {
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: routerClosesWithin}, routerLog{s.workers.Log})
	if err != nil {
		return err
	}
	router.AddMiddleware(noteMalformed)
	router.AddConsumerHandler(s.group, topic, s, fn)
	err = router.Run(ctx)
	switch {
	case ctx.Err() != nil:
		return nil
	case err == nil:
		return nats.ErrConnectionClosed
	}
	return err
}
