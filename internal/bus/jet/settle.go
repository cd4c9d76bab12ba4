package jet

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
)

const (
	// settleFirst and settleMost bound the delay before a failed message comes
	// again. NATS does the waiting: a sleep here would outlast a consumer's patience.
	settleFirst = 100 * time.Millisecond
	settleMost  = 30 * time.Second
	// settleSteps is the delivery from which on the delay grows no more.
	settleSteps = 12
)

// settlement is what JetStream does with a delivery.
type settlement string

const (
	ack  settlement = "ack"  // done
	nak  settlement = "nak"  // again, later
	term settlement = "term" // never again
)

// settle is the table by which errors steer delivery: nothing else decides it.
//
//	nil                      ack
//	events.ErrMalformed      term; the handler has put it to the dead letters
//	events.Later             nak, with its delay
//	the end of the process   nak at once, for another process
//	anything else            nak, with a delay that grows by deliveries
func settle(err error, delivered uint64) (how settlement, delay time.Duration) {
	var later events.Later
	switch {
	case err == nil:
		return ack, 0
	case errors.Is(err, events.ErrMalformed):
		return term, 0
	case errors.As(err, &later):
		return nak, min(max(later.After, 0), events.MaxLater)
	case errors.Is(err, context.Canceled):
		return nak, 0
	}
	return nak, settleDelay(delivered)
}

// settleDelay computes how long a message is delayed after so many deliveries.
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

func (s settlement) tell(m jetstream.Msg, delay time.Duration) error {
	switch s {
	case ack:
		return m.Ack()
	case term:
		return m.Term()
	}
	return m.NakWithDelay(delay)
}
