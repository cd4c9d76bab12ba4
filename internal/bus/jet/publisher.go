package jet

import (
	"cmp"
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

// Headers of a message: headerUUID and headerMetadata carry watermill's UUID and
// metadata (one JSON object, which can hold any text); headerMsgID is defined by NATS.
const (
	headerUUID     = "Gavel-Message-Uuid"
	headerMetadata = "Gavel-Message-Metadata"
	headerMsgID    = "Nats-Msg-Id"
)

var errClosed = errors.New("closed")

// Publisher implements watermill's publisher over JetStream. A topic is a subject of a stream.
type Publisher struct {
	js     jetstream.JetStream
	mu     sync.RWMutex // held for reading while publishing
	closed bool
}

var _ message.Publisher = (*Publisher)(nil)

// NewPublisher publishes on conn. It never closes conn.
func NewPublisher(conn *nats.Conn) *Publisher { return &Publisher{js: js(conn)} }

// Publish publishes messages in order and returns once all are acknowledged. Topic and
// UUID identify a message: the stream stores it once within its duplicate window,
// even if an acknowledgement was lost.
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

// Close waits for running calls of Publish. The connection stays open.
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

// decodeMessage decodes a message of encodeMessage. A message of another publisher
// has no UUID and gets its sequence instead.
func decodeMessage(m jetstream.Msg, sequence uint64) (*message.Message, error) {
	out := message.NewMessage(cmp.Or(m.Headers().Get(headerUUID), strconv.FormatUint(sequence, 10)), m.Data())
	if raw := m.Headers().Get(headerMetadata); raw != "" {
		if err := json.Unmarshal([]byte(raw), &out.Metadata); err != nil {
			return nil, fmt.Errorf("decode metadata: %w: %w", events.ErrMalformed, err)
		}
	}
	return out, nil
}
