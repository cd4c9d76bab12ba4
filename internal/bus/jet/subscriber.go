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

// Subscriber is watermill's, over one of Workers. Subscribers of one group share the
// messages of a topic; each group gets all. A subscription has one message at a
// time, in order as long as none is refused: one that comes again comes after newer
// ones.
type Subscriber struct {
	workers Workers
	group   string

	mu      sync.Mutex
	open    context.Context // ends with Close
	end     context.CancelFunc
	running sync.WaitGroup
}

var _ message.Subscriber = (*Subscriber)(nil)

// A subscription's own MaxPending and Patience.
const (
	subscriptionPending  = 512
	subscriptionPatience = 30 * time.Second
)

// NewSubscriber reads stream on conn, which stays its owner's.
func NewSubscriber(conn *nats.Conn, stream, group string, log *slog.Logger) *Subscriber {
	s := &Subscriber{group: group, workers: Workers{
		Conn: conn, Stream: stream, Log: log, Most: 1, MaxPending: subscriptionPending, Patience: subscriptionPatience,
	}}
	s.open, s.end = context.WithCancel(context.Background())
	return s
}

// Subscribe gives the messages of a topic until ctx ends or the subscriber is
// closed. The topic may hold wildcards.
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
				w.Log.Error("subscription ends", "topic", topic, "error", err)
			}
		})
	}
	if err == nil {
		return out, nil
	}
	unhook()
	end()
	if ctx.Err() != nil {
		// Over before it began is no error: watermill's router would wait for
		// ever for the handler of a subscription that failed.
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

// Close ends all subscriptions and waits for them. A message that has no answer
// yet goes to another subscriber of the group at once.
func (s *Subscriber) Close() error {
	s.mu.Lock()
	s.end()
	s.mu.Unlock()
	s.running.Wait()
	return nil
}

// consumerName is that of a group's consumer on a topic. Names of consumers hold
// neither dots nor wildcards.
func consumerName(group, topic string) string {
	return group + "-" + strings.NewReplacer(".", "_", "*", "any", ">", "all").Replace(topic)
}

var errNacked = errors.New("message was not acknowledged")

// deliver hands one message over and waits for what becomes of it.
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
	defer cancel() // the message's context ends with its answer
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
	select { // an answer that came together with the end
	case <-out.Acked():
		return nil
	case <-out.Nacked():
		return nackedBecause(out)
	default:
		return context.Canceled
	}
}

// metadataMalformed marks a message whose handler's error was events.ErrMalformed:
// the router tells its subscriber only that there was an error.
const metadataMalformed = "gavel-malformed"

// noteMalformed is the middleware that does so.
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

// routerClosesWithin bounds the wait for a handler that works on when its
// router ends.
const routerClosesWithin = 10 * time.Second

// Route calls fn with each message of a topic, on watermill's router, until ctx
// ends, which is no error. A message whose fn fails comes again later, unless the
// error is events.ErrMalformed.
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
