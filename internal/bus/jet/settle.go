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
	// settleFirst and settleMost bound the delay before a failed message is
	// redelivered. NATS waits: a sleep here would exceed the consumer's AckWait.
	settleFirst = 100 * time.Millisecond
	settleMost  = 30 * time.Second
	// settleSteps is the number of deliveries after which the delay stops growing.
	settleSteps = 12
)

// settlement is what JetStream does with a delivery.
type settlement string

const (
	ack  settlement = "ack"  // done
	nak  settlement = "nak"  // redeliver
	term settlement = "term" // never redeliver
)

// settle decides from an error what happens to a delivery:
//
//	nil                      ack
//	events.ErrMalformed      term; the handler has stored a dead letter
//	events.Later             nak, with its delay, at most longest
//	the end of the process   nak at once, for another process
//	anything else            nak, with a delay that grows with each delivery
func settle(err error, delivered uint64, longest time.Duration) (how settlement, delay time.Duration) {
	var later events.Later
	switch {
	case err == nil:
		return ack, 0
	case errors.Is(err, events.ErrMalformed):
		return term, 0
	case errors.As(err, &later):
		return nak, min(max(later.After, 0), longest)
	case errors.Is(err, context.Canceled):
		return nak, 0
	}
	return nak, settleDelay(delivered)
}

// settleDelay returns the delay after a number of deliveries.
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

func (s settlement) send(m jetstream.Msg, delay time.Duration) error {
	switch s {
	case ack:
		return m.Ack()
	case term:
		return m.Term()
	}
	return m.NakWithDelay(delay)
}
