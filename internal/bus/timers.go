package bus

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
)

// Timers are alarm clocks in NATS: message schedules. They ring and decide
// nothing: how late one rings, or how often, must not matter to whoever hears
// it.
type Timers struct {
	conn    *nats.Conn
	tickets *tickets
	metrics *Metrics
	log     *slog.Logger
}

func newTimers(conn *nats.Conn, c Config, log *slog.Logger) (*Timers, error) {
	t, err := newTickets(conn, timersStream)
	if err != nil {
		return nil, fmt.Errorf("await acknowledgements of alarms: %w", err)
	}
	return &Timers{conn: conn, tickets: t, metrics: c.Metrics, log: log}, nil
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
	next := following(len(alarms), func(i int) events.Key { return alarms[i].Key })
	w := newWave(t.tickets, &nats.Msg{Header: nats.Header{}}, next, func(m *nats.Msg, i int) {
		fillAlarm(m, lane, &alarms[i])
	})
	if err := w.run(ctx); err != nil {
		return fmt.Errorf("set %d alarms: %w", len(alarms), err)
	}
	t.metrics.alarms.Add(float64(len(alarms)))
	return nil
}

func fillAlarm(m *nats.Msg, lane int, a *events.Alarm) {
	m.Subject = alarmSubject(timersAtPrefix, lane, a.Key)
	setHeader(m.Header, headerScheduleTarget, alarmSubject(timersDuePrefix, lane, a.Key))
	setHeader(m.Header, headerSchedule, scheduleAt(a.At))
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
	err := retrying(ctx, isTransient, func(ctx context.Context) error {
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
	c := newCrew(durable{
		js: js(t.conn), stream: laterStream, name: duesConsumer, filters: []string{laterDuePrefix + ">"}, log: t.log,
	}, workers, func(ctx context.Context, m jetstream.Msg) error {
		key, id, ok := splitIDSubject(laterDuePrefix, m.Subject())
		if !ok {
			return fmt.Errorf("read what is due: %w: subject", events.ErrMalformed)
		}
		return fn(ctx, key, id, m.Data())
	})
	if err := c.run(ctx); err != nil {
		return fmt.Errorf("hear what is due: %w", err)
	}
	return nil
}
