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
	// maxAlarmBatch is the maximum number of alarms of one call.
	maxAlarmBatch = 500
	// alarmCalls is the number of concurrent calls. They append to the journal, which
	// acknowledges entries that wait together at once.
	alarmCalls = 8
	// maxUnsettledAlarms bounds the delivered alarms without an acknowledgement, over
	// all processes.
	maxUnsettledAlarms = 32_768
)

// Timers are message schedules of NATS. They decide nothing: receivers must accept an
// alarm that is late or duplicate.
type Timers struct {
	conn     *nats.Conn
	pipeline *jet.Pipeline
	metrics  *Metrics
	log      *slog.Logger
}

func newTimers(conn *nats.Conn, c Config, log *slog.Logger) (*Timers, error) {
	p, err := jet.NewPipeline(conn, timersStream)
	if err != nil {
		return nil, fmt.Errorf("subscribe to acknowledgements of alarms: %w", err)
	}
	return &Timers{conn: conn, pipeline: p, metrics: c.Metrics, log: log}, nil
}

// Set sets alarms of a lane's conferences and returns once all are acknowledged. It
// retries until ctx ends. A conference has one alarm, which a later one replaces. An
// alarm in the past is due at once.
//
// Without replicas an acknowledged alarm does not survive the end of the NATS server:
// lanes set their alarms again.
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

// scheduleAt formats a time with its fractions. The client library's option truncates
// them, so that the alarm would be up to a second early.
func scheduleAt(t time.Time) string { return "@at " + t.UTC().Format(time.RFC3339Nano) }

// Later defers a decision: Dues delivers it, with note, at a time. A later call for the
// same decision replaces the time. Later returns once the schedule is acknowledged; it is
// as durable as a decision.
func (t *Timers) Later(ctx context.Context, key events.Key, id string, at time.Time, note []byte) error {
	err := checkID(key, id)
	if err == nil {
		err = publishOne(ctx, t.conn, laterStream, &nats.Msg{
			Subject: idSubject(laterAtPrefix, key, id), Data: note,
			Header: nats.Header{headerSchedule: {scheduleAt(at)}, headerScheduleTarget: {idSubject(laterDuePrefix, key, id)}},
		})
	}
	if err != nil {
		return fmt.Errorf("defer decision: %w", err)
	}
	return nil
}

// Waits reports whether a deferred decision is in the stream: it is not due yet, or was not settled
// since.
func (t *Timers) Waits(ctx context.Context, key events.Key, id string) (bool, error) {
	err := checkID(key, id)
	if err != nil {
		return false, fmt.Errorf("find the schedule of a decision: %w", err)
	}
	for _, prefix := range []string{laterAtPrefix, laterDuePrefix} { // in the order in which it moves
		last, err := jet.LastOf(ctx, js(t.conn), laterStream, idSubject(prefix, key, id))
		if err != nil {
			return false, fmt.Errorf("find the schedule of a decision: %w", err)
		}
		if last > 0 {
			return true, nil
		}
	}
	return false, nil
}

// Deferred returns how many decisions are deferred: they are not due yet, or were not settled since.
func (t *Timers) Deferred(ctx context.Context) (int, error) {
	s, err := js(t.conn).Stream(ctx, laterStream)
	if err != nil {
		return 0, fmt.Errorf("count deferred decisions: %w", err)
	}
	return int(s.CachedInfo().State.Msgs), nil // a settled decision leaves the stream
}

// Dues calls fn with each deferred decision when it is due, in `workers` concurrent calls.
// All processes share them. When ctx ends it waits for running calls. The result of fn
// settles the delivery; a decision that succeeded is removed.
func (t *Timers) Dues(ctx context.Context, workers int, fn func(ctx context.Context, key events.Key, id string, note []byte) error) error {
	w := jet.Workers{Conn: t.conn, Stream: laterStream, Consumer: laterConsumer, Subjects: []string{laterDuePrefix + ">"}, Most: workers, Log: t.log}
	err := w.Each(ctx, func(ctx context.Context, m jetstream.Msg) error {
		key, id, ok := splitIDSubject(laterDuePrefix, m.Subject())
		if !ok {
			return fmt.Errorf("read deferred decision: %w: subject", events.ErrMalformed)
		}
		return fn(ctx, key, id, m.Data())
	})
	if err != nil {
		return fmt.Errorf("receive deferred decisions: %w", err)
	}
	return nil
}

// Alarms calls fn with the conferences whose alarm is due, of all lanes, in batches and in
// concurrent calls. When ctx ends it waits for running calls. Processes that call it share
// the alarms. An alarm is removed after fn returned nil; otherwise it is redelivered to
// any process. A batch may hold a conference twice.
func (t *Timers) Alarms(ctx context.Context, fn func(context.Context, []events.Key) error) error {
	w := jet.Workers{
		Conn: t.conn, Stream: timersStream, Consumer: timersConsumer, Subjects: []string{timersDuePrefix + ">"},
		Most: alarmCalls, Batch: maxAlarmBatch, MaxPending: maxUnsettledAlarms, AckWait: ackWait, Log: t.log,
	}
	err := w.Run(ctx, func(ctx context.Context, due []jetstream.Msg) error {
		keys := make([]events.Key, 0, len(due))
		for _, m := range due {
			if key, ok := keyOfDue(m.Subject()); ok {
				keys = append(keys, key)
			}
		}
		err := fn(ctx, keys)
		if err == nil {
			t.metrics.due.Add(float64(len(due)))
		} else if ctx.Err() == nil {
			t.log.Warn("due alarms failed and are redelivered", "alarms", len(due), "error", err)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("receive alarms: %w", err)
	}
	return nil
}
