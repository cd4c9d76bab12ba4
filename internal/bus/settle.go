package bus

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
)

const (
	// settleFirst and settleMost bound the delay before a failed message comes
	// again. NATS does the waiting: a sleep here would outlast ackWait.
	settleFirst = 100 * time.Millisecond
	settleMost  = 30 * time.Second
	// settleSteps is the delivery from which on the delay grows no more.
	settleSteps = 12
)

// verdict is what JetStream is told about a delivery.
type verdict struct {
	kind  verdictKind
	delay time.Duration // of a nak
}

type verdictKind string

const (
	ack  verdictKind = "ack"  // done
	nak  verdictKind = "nak"  // again, later
	term verdictKind = "term" // never again
)

// settle is the table by which errors steer delivery: nothing else decides it.
//
//	nil                      ack
//	events.ErrMalformed      term; the handler has put it to the dead letters
//	events.Later             nak, with its delay
//	the end of the process   nak at once, for whoever works on
//	anything else            nak, with a delay that grows by deliveries
func settle(err error, delivered uint64) verdict {
	var later events.Later
	switch {
	case err == nil:
		return verdict{kind: ack}
	case errors.Is(err, events.ErrMalformed):
		return verdict{kind: term}
	case errors.As(err, &later):
		return verdict{nak, min(max(later.After, 0), events.MaxLater)}
	case errors.Is(err, context.Canceled):
		return verdict{kind: nak}
	}
	return verdict{nak, settleDelay(delivered)}
}

// settleDelay computes how long a message rests after so many deliveries.
func settleDelay(delivered uint64) time.Duration {
	b := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(settleFirst),
		backoff.WithMultiplier(2),
		backoff.WithMaxInterval(settleMost),
		backoff.WithMaxElapsedTime(0),
		backoff.WithRandomizationFactor(0.1),
	)
	delay := b.NextBackOff()
	for range min(delivered, settleSteps) - min(delivered, 1) {
		delay = b.NextBackOff()
	}
	return delay
}

// metadataError carries the class of a handler's error from the router, which
// tells its subscriber only that there was one.
const metadataError = "gavel-error"

// steer is the middleware that notes the class of a handler's error.
func steer(h message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) ([]*message.Message, error) {
		out, err := h(m)
		m.Metadata.Set(metadataError, string(settle(err, 1).kind))
		return out, err
	}
}

// settleNack is the verdict on a message that watermill did not acknowledge.
func settleNack(m *message.Message, delivered uint64) verdict {
	if m.Metadata.Get(metadataError) == string(term) {
		return verdict{kind: term}
	}
	return verdict{nak, settleDelay(delivered)}
}

// tellVerdict passes a verdict on. Should it be lost, the message comes again.
func tellVerdict(log *slog.Logger, m jetstream.Msg, v verdict) {
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
		log.Warn("cannot settle a message", "verdict", string(v.kind), "err", err)
	}
}
