package jet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// MaxAtomic is the server's limit for the messages of an atomic batch.
const MaxAtomic = 1000

// The headers of an atomic batch (nats-architecture-and-design, ADR-50): an id, a
// number from 1, and a mark on the last message. JetStream acknowledges only that one.
const (
	headerBatchID       = "Nats-Batch-Id"
	headerBatchSequence = "Nats-Batch-Sequence"
	headerBatchCommit   = "Nats-Batch-Commit"
)

// PublishAtomic publishes messages in order as one atomic batch: JetStream stores all
// of them, with one fsync, or none. It retries until ctx ends. JetStream refuses a
// batch with a duplicate (10201), hence also the second try of a batch that was
// stored but whose answer was lost: see Refused.
func (p *Pipeline) PublishAtomic(ctx context.Context, messages Messages) error {
	retryable := func(err error) bool { return !Refused(err) && Transient(err) }
	return Retry(ctx, retryable, func(ctx context.Context) error { return p.tryAtomic(ctx, messages) })
}

// Refused reports whether the server answered with any error. The caller can then
// publish the messages singly, so that each gets its own answer.
func Refused(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api)
}

func (p *Pipeline) tryAtomic(ctx context.Context, messages Messages) error {
	m := &nats.Msg{Header: maps.Clone(messages.Header)}
	SetHeader(m.Header, headerBatchID, nuid.Next())
	last := len(messages.Next) - 1
	for i := range last {
		messages.Fill(m, i)
		SetHeader(m.Header, headerBatchSequence, strconv.Itoa(i+1))
		if err := p.conn.PublishMsg(m); err != nil {
			return err
		}
	}
	messages.Fill(m, last)
	SetHeader(m.Header, headerBatchSequence, strconv.Itoa(last+1))
	SetHeader(m.Header, headerBatchCommit, "1")
	return p.commit(ctx, m, last+1)
}

// commit sends the last message of a batch and waits for the acknowledgement.
func (p *Pipeline) commit(ctx context.Context, m *nats.Msg, size int) error {
	answers := make(chan answer, 1)
	number, err := p.send(m, 0, answers)
	if err != nil {
		return err
	}
	select {
	case a := <-answers:
		if a.err == nil && a.ack.BatchSize != size {
			return fmt.Errorf("%w: batch of %d acknowledged as %d", jetstream.ErrInvalidJSAck, size, a.ack.BatchSize)
		}
		return a.err
	case <-ctx.Done():
		p.forget(number)
		return context.Cause(ctx)
	}
}
