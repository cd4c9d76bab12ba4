package jet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
)

// publishBudget bounds the tries of one message.
const publishBudget = 12 * time.Second

// Headers of a message: headerUUID and headerMetadata carry watermill's identity and
// metadata (as one JSON object, so that any text passes); headerMsgID is NATS's own.
const (
	headerUUID     = "Gavel-Message-Uuid"
	headerMetadata = "Gavel-Message-Metadata"
	headerMsgID    = "Nats-Msg-Id"
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
	return Retry(ctx, Promptly, func(ctx context.Context) error {
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
