package bus

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
	"gavel/internal/bus/jet"
)

const (
	// maxRings is how many alarms that rang one call gets at the most.
	maxRings = 500
	// ringsAtOnce is how many calls are under way: whoever gets them waits for
	// the journal, which acknowledges together what waits together.
	ringsAtOnce = 8
	// maxUnsettledRings bounds the alarms that are delivered and not acknowledged,
	// over all processes.
	maxUnsettledRings = 32_768
)

// Timers are alarm clocks in NATS: message schedules. They ring and decide
// nothing: how late one rings, or how often, must not matter to whoever hears
// it.
type Timers struct {
	conn     *nats.Conn
	pipeline *jet.Pipeline
	metrics  *Metrics
	log      *slog.Logger
}

func newTimers(conn *nats.Conn, c Config, log *slog.Logger) (*Timers, error) {
	p, err := jet.NewPipeline(conn, timersStream)
	if err != nil {
		return nil, fmt.Errorf("await acknowledgements of alarms: %w", err)
	}
	return &Timers{conn: conn, pipeline: p, metrics: c.Metrics, log: log}, nil
}

// Set sets alarms of a lane's conferences and returns once all are
// acknowledged. A conference has one: a later one replaces it, and one whose
// time is past rings at once. It tries until ctx ends.
//
// Without replicas an alarm that is acknowledged does not survive the end of
// the NATS server: lanes set theirs again.
func (t *Timers) Set(ctx context.Context, lane int, alarms []events.Alarm) error {
	if len(alarms) == 0 {
		return nil
	}
	for _, a := range alarms {
		if err := checkTokens(a.Key.AccountSid, a.Key.ConferenceSid); err != nil {
			return fmt.Errorf("set alarm: %w", err)
		}
	}
	_, err := t.pipeline.Publish(ctx, jet.Messages{
		Header: nats.Header{},
		Next:   jet.InOrder(len(alarms), func(i int) events.Key { return alarms[i].Key }),
		Fill:   func(m *nats.Msg, i int) { fillAlarm(m, lane, &alarms[i]) },
	})
	if err != nil {
		return fmt.Errorf("set %d alarms: %w", len(alarms), err)
	}
	t.metrics.alarms.Add(float64(len(alarms)))
	return nil
}

func fillAlarm(m *nats.Msg, lane int, a *events.Alarm) {
	m.Subject = alarmSubject(timersAtPrefix, lane, a.Key)
	jet.SetHeader(m.Header, headerScheduleTarget, alarmSubject(timersDuePrefix, lane, a.Key))
	jet.SetHeader(m.Header, headerSchedule, scheduleAt(a.At))
}

// scheduleAt writes a moment with its fractions. The client library's own
// option cuts them off and would ring up to a second early.
func scheduleAt(t time.Time) string { return "@at " + t.UTC().Format(time.RFC3339Nano) }

// Later has a decision performed again at a moment, whoever hears it then; note
// is the caller's own. A decision has one such moment: a later one replaces it.
// It returns once that is acknowledged, and as safe as a decision is.
func (t *Timers) Later(ctx context.Context, key events.Key, id string, at time.Time, note []byte) error {
	if err := checkID(key, id); err != nil {
		return fmt.Errorf("put decision off: %w", err)
	}
	err := jet.Retry(ctx, jet.Transient, func(ctx context.Context) error {
		m := &nats.Msg{Subject: idSubject(laterAtPrefix, key, id), Data: note, Header: nats.Header{
			headerSchedule:       {scheduleAt(at)},
			headerScheduleTarget: {idSubject(laterDuePrefix, key, id)},
		}}
		_, err := js(t.conn).PublishMsg(ctx, m, jetstream.WithRetryAttempts(0), jetstream.WithExpectStream(laterStream))
		return err
	})
	if err != nil {
		return fmt.Errorf("put decision off: %w", err)
	}
	return nil
}

// Dues gives fn the decisions whose moment has come, `workers` at a time,
// shared by all processes, until ctx ends; then it waits for those under way.
// What fn returns settles it; one that is done is gone.
func (t *Timers) Dues(ctx context.Context, workers int, fn func(ctx context.Context, key events.Key, id string, note []byte) error) error {
	w := jet.Workers{Conn: t.conn, Stream: laterStream, Consumer: duesConsumer, Subjects: []string{laterDuePrefix + ">"}, Most: workers, Log: t.log}
	err := w.Each(ctx, func(ctx context.Context, m jetstream.Msg) error {
		key, id, ok := splitIDSubject(laterDuePrefix, m.Subject())
		if !ok {
			return fmt.Errorf("read what is due: %w: subject", events.ErrMalformed)
		}
		return fn(ctx, key, id, m.Data())
	})
	if err != nil {
		return fmt.Errorf("hear what is due: %w", err)
	}
	return nil
}

// Rings calls fn with the conferences whose alarm rang, over all lanes, in
// batches of what has come, several at a time, until ctx ends; then it waits for
// those under way. Processes that call it share what rings. An alarm is gone once
// fn returned nil, and comes again, to any of them, when it did not. One conference
// may be in a batch twice.
func (t *Timers) Rings(ctx context.Context, fn func(context.Context, []events.Key) error) error {
	w := jet.Workers{
		Conn: t.conn, Stream: timersStream, Consumer: ringsConsumer, Subjects: []string{timersDuePrefix + ">"},
		Most: ringsAtOnce, Batch: maxRings, MaxPending: maxUnsettledRings, AckWait: ackWait, Log: t.log,
	}
	err := w.Run(ctx, func(ctx context.Context, rang []jetstream.Msg) error {
		keys := make([]events.Key, 0, len(rang))
		for _, m := range rang {
			if key, ok := keyOfRing(m.Subject()); ok {
				keys = append(keys, key)
			}
		}
		err := fn(ctx, keys)
		if err == nil {
			t.metrics.rings.Add(float64(len(rang)))
		} else if ctx.Err() == nil {
			t.log.Warn("alarms that rang come again", "alarms", len(rang), "error", err)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("hear alarms: %w", err)
	}
	return nil
}
