package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"gavel/events"
)

// publishBatch tells all facts in one atomic batch: every one is stored, with
// one fsync, or none is. A batch that holds a fact which the stream has is
// refused (10201); so is the second try of one that was stored unnoticed.
//
// The protocol is headers (nats-architecture-and-design, ADR-50): an id, a
// number from 1, and a mark on the last message, whose acknowledgement speaks
// for all.
func (n *News) publishBatch(ctx context.Context, facts []events.News) error {
	err := retrying(ctx, isTransientBatch, func(ctx context.Context) error {
		return n.tryBatch(ctx, facts)
	})
	if err == nil {
		n.metrics.news.WithLabelValues(byBatch).Add(float64(len(facts)))
	}
	return err
}

func (n *News) tryBatch(ctx context.Context, facts []events.News) error {
	m := newLetter()
	setHeader(m.Header, headerBatchID, nuid.Next())
	last := len(facts) - 1
	for i := range last {
		n.batchLetter(m, &facts[i], i)
		if err := n.conn.PublishMsg(m); err != nil {
			return err
		}
	}
	n.batchLetter(m, &facts[last], last)
	setHeader(m.Header, headerBatchCommit, "1")
	return n.commitBatch(ctx, m, len(facts))
}

func (n *News) batchLetter(m *nats.Msg, fact *events.News, index int) {
	n.letterOf(m, fact)
	setHeader(m.Header, headerBatchSequence, strconv.Itoa(index+1))
}

func (n *News) commitBatch(ctx context.Context, m *nats.Msg, size int) error {
	answers := make(chan answer, 1)
	ticket, err := n.tickets.publish(m, 0, answers)
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
		n.tickets.giveBack(ticket)
		return context.Cause(ctx)
	}
}

// isTransientBatch: what the server refuses as a batch is not tried again as
// one.
func isTransientBatch(err error) bool { return !isRefusal(err) && isTransient(err) }

// isRefusal reports whether the server answered with an error, of whatever
// kind: singly each fact gets an answer of its own.
func isRefusal(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api)
}
