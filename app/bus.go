package app

import (
	"context"
	"fmt"
	"strings"
	"time"

	"gavel/events"
	"gavel/handlers/callback"
	"gavel/internal/bus"
	"gavel/internal/chain"
	"gavel/internal/measure"
)

// queueShare is the part of the memory limit, one in so many, that entries which wait for the journal
// may use, and as much those that were read ahead of the projector.
const queueShare = 16

// sizesEvery is how often the sizes of the streams are read.
const sizesEvery = 10 * time.Second

func (a *App) openBus(ctx context.Context) (err error) {
	config := a.NATS
	config.DataDir, config.AppendBudget, config.Metrics = a.DataDir, callback.AppendBudget, bus.NewMetrics(a.metrics)
	a.openMarks()
	config.Acknowledged = a.marks.Note
	config.AcknowledgedDecision = func(sequence uint64, data []byte) { a.marks.Note(chain.Decisions, sequence, data) }
	config.Reserve, config.Rearms = true, a.Roles.Has(Project)
	if a.MemoryLimit > 0 {
		config.QueueBytes = min(a.MemoryLimit/queueShare, bus.QueueBytes)
		config.AheadBytes = min(a.MemoryLimit/queueShare, bus.AheadBytes)
	}
	if a.bus, err = bus.Open(ctx, config, a.log); err != nil {
		return hintReplicas(err)
	}
	a.life.onStop("bus", a.bus.Close)
	// A frozen embedded NATS recovers in a new process only, so this one ends.
	a.Go("bus watchdog", func(ctx context.Context) error {
		select {
		case err := <-a.bus.Dead():
			return err
		case <-ctx.Done():
			return nil
		}
	})
	if full := a.bus.Full(); full != nil {
		// What this start left out for want of space is done by the next one.
		a.Go("start on a full volume", func(context.Context) error { return full })
	}
	if a.sizes, err = a.bus.Sizes(ctx); err != nil {
		a.log.Warn("sizes of the streams cannot be read", "component", "bus", "error", err) // they are read again
	}
	a.Go("stream sizes", every(sizesEvery, func(ctx context.Context) { _, _ = a.bus.Sizes(ctx) })) // health reports that NATS does not answer
	a.watchDeadLetters()
	return nil
}

// hintReplicas adds the remedy to an error that everyone meets who tries a single NATS server:
// streams have three replicas unless the settings say otherwise.
func hintReplicas(err error) error {
	const notClustered = "err_code=10074" // NATS: replicas > 1 not supported in non-clustered mode
	if strings.Contains(err.Error(), notClustered) {
		return fmt.Errorf("%w; for a single server set nats.replicas: 1 in gavel.yaml", err)
	}
	return err
}

// watchDeadLetters logs and counts each dead letter once.
func (a *App) watchDeadLetters() {
	letters := measure.With(a.metrics).Counters("gavel_dead_letters_total", "Dead letters seen, by kind.", "kind")
	for _, kind := range []string{events.Refused, events.Unfoldable, events.Unperformed} {
		letters.WithLabelValues(kind) // an alarm needs the series before its first count
	}
	seen := func(letter events.DeadLetter) error {
		letters.WithLabelValues(letter.Kind).Inc()
		a.log.Warn("dead letter", "kind", letter.Kind, "account_sid", letter.AccountSid,
			"field", letter.Field, "reason", letter.Reason, "position", letter.Position)
		return nil
	}
	a.Go("dead letters", func(ctx context.Context) error { return a.bus.DeadLetters().Watch(ctx, seen) })
}
