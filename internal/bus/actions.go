package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"gavel/events"
	"gavel/internal/bus/jet"
	"gavel/internal/cell"
)

const (
	// maxDecision bounds the body of a decision; the evaluated parameters of its steps
	// are at most 64 KiB of it.
	maxDecision = 256 << 10
	// noSequence is the expected last sequence of a subject without a message.
	noSequence = "0"
)

// Errors of Actions.
var (
	// ErrNoDecision is events.ErrNoDecision: no decision has that id, or not any more.
	ErrNoDecision = events.ErrNoDecision
	// ErrFull means that the stream is at its limit: rules cannot decide until an
	// operator raises it.
	ErrFull = errors.New("the stream is full")
)

// Actions is the stream of the rules' decisions. It stores each decision once, by its id:
// deduplication has no window of time, also for decisions that Bus.Trim has removed.
type Actions struct {
	conn     *nats.Conn
	stream   jetstream.Stream
	read     jetstream.JetStream // for old decisions
	pipeline *jet.Pipeline
	metrics  *Metrics
	log      *slog.Logger
	// acknowledged is Config.AcknowledgedDecision.
	acknowledged func(sequence uint64, data []byte)
	// removed is the horizon that all processes share, known this process's copy of it.
	removed *cell.Cell[horizon]
	known   atomic.Pointer[horizon]
}

// horizonTime bounds one read or change of the horizon.
const horizonTime = 5 * time.Second

var errNoHorizon = errors.New("the bucket with the horizon of decisions does not answer")

func newActions(conn *nats.Conn, stream jetstream.Stream, read jetstream.JetStream, bucket cell.Bucket, c Config, log *slog.Logger) (*Actions, error) {
	p, err := jet.NewPipeline(conn, actionsStream)
	if err != nil {
		return nil, fmt.Errorf("subscribe to acknowledgements of decisions: %w", err)
	}
	a := &Actions{conn: conn, stream: stream, read: read, pipeline: p, metrics: c.Metrics, log: log, acknowledged: c.AcknowledgedDecision}
	a.removed = cell.New(bucket, cell.Config[horizon]{
		Key: horizonKey, Within: horizonTime, NoAnswer: errNoHorizon, Again: true,
		Kept: func(h *horizon, _ uint64) { a.known.Store(h) },
	})
	return a, nil
}

// renew reads the horizon. A lane calls it when it is resumed: decisions of groups behind its ack
// floor at that moment are never removed while it is worked.
func (a *Actions) renew(ctx context.Context) error {
	if _, err := a.removed.Read(ctx); err != nil {
		return fmt.Errorf("read up to where decisions were removed: %w", err)
	}
	return nil
}

// forget records that decisions up to a horizon are about to be removed.
func (a *Actions) forget(ctx context.Context, h horizon) error {
	if err := a.removed.ChangeRead(ctx, func(all *horizon) bool { return all.raise(h) }); err != nil {
		return fmt.Errorf("record up to where decisions are removed: %w", err)
	}
	return nil
}

// withoutRemoved returns the decisions that were not removed.
func (a *Actions) withoutRemoved(decisions []events.Decided) []events.Decided {
	h := a.known.Load()
	if h == nil || !slices.ContainsFunc(decisions, func(d events.Decided) bool { return h.has(&d) }) {
		return decisions
	}
	return slices.DeleteFunc(slices.Clone(decisions), func(d events.Decided) bool { return h.has(&d) })
}

// Decide stores decisions and returns once all are acknowledged. A decision that the stream has
// already stays as it is, and one that Bus.Trim removed is not stored again, without an error. fresh counts the others; a decision that was stored by
// a try whose answer was lost is not counted. Decide retries until ctx ends. Errors wrap
// events.ErrMalformed for an invalid decision, and ErrFull.
func (a *Actions) Decide(ctx context.Context, decisions []events.Decided) (fresh int, err error) {
	stored, err := a.Restore(ctx, decisions)
	return len(stored), err
}

// Restore is Decide, and returns the decisions that were not stored.
func (a *Actions) Restore(ctx context.Context, decisions []events.Decided) (stored []events.Decided, err error) {
	if len(decisions) == 0 {
		return nil, nil
	}
	for i := range decisions {
		if err := checkDecided(&decisions[i]); err != nil {
			return nil, fmt.Errorf("decide: decision %d: %w", i, err)
		}
	}
	unknown := a.withoutRemoved(decisions)
	if len(unknown) > 0 {
		last, of := uint64(0), 0
		_, err = a.pipeline.Publish(ctx, jet.Messages{
			Header: expectNone(), Next: jet.AnyOrder(len(unknown)), Stored: jet.WrongLast,
			Fill: func(m *nats.Msg, i int) { fillDecided(m, &unknown[i]) },
			Acked: func(i int, sequence uint64) {
				if stored = append(stored, unknown[i]); sequence > last {
					last, of = sequence, i
				}
			},
		})
		if last > 0 && a.acknowledged != nil {
			a.acknowledged(last, unknown[of].Data)
		}
	}
	if err != nil {
		return stored, fmt.Errorf("decide %d: %w", len(decisions), fullOr(err))
	}
	a.metrics.decided.WithLabelValues(decidedFresh).Add(float64(len(stored)))
	a.metrics.decided.WithLabelValues(decidedBefore).Add(float64(len(decisions) - len(stored)))
	return stored, nil
}

func expectNone() nats.Header { return nats.Header{headerExpectedLast: {noSequence}} }

// fullOr wraps an error with ErrFull if the stream is full.
func fullOr(err error) error {
	if jet.Full(err) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}

func checkDecided(d *events.Decided) error {
	if len(d.Data) > maxDecision {
		return fmt.Errorf("%w: longer than %d bytes", events.ErrMalformed, maxDecision)
	}
	return checkID(d.Key, d.ID)
}

func fillDecided(m *nats.Msg, d *events.Decided) {
	m.Subject, m.Data = idSubject(actionsPrefix, d.Key, d.ID), d.Data
	jet.SetHeader(m.Header, headerRule, d.Rule)
	jet.SetHeader(m.Header, headerPosition, positionHeader(d.Lane, d.Position))
	jet.SetHeader(m.Header, headerAsOf, d.AsOf.UTC().Format(time.RFC3339Nano))
}

// decodeDecided decodes a message of fillDecided.
func decodeDecided(subject string, header nats.Header, data []byte) (d events.Decided, err error) {
	key, id, ok := splitIDSubject(actionsPrefix, subject)
	if !ok {
		return d, fmt.Errorf("read decision: %w: subject", events.ErrMalformed)
	}
	lane, at, err := parsePosition(header.Get(headerPosition))
	if err != nil {
		return d, fmt.Errorf("read decision: %w: position: %w", events.ErrMalformed, err)
	}
	asOf, err := time.Parse(time.RFC3339Nano, header.Get(headerAsOf))
	if err != nil {
		return d, fmt.Errorf("read decision: %w: as-of: %w", events.ErrMalformed, err)
	}
	return events.Decided{
		ID: id, Key: key, Rule: header.Get(headerRule), Lane: lane, Position: at, AsOf: asOf.UTC(), Data: data,
	}, nil
}

// Perform calls fn with each decision, also older ones, in `workers` concurrent calls
// and in no order. When ctx ends it waits for running calls. consumer names a durable
// consumer: processes with the same name share the decisions; each other name gets
// all. The result of fn settles the delivery; see package jet.
//
// fn's context ends with ctx. fn may take any time, because Perform reports progress to
// the server. If its process dies, another process gets the decision within 10 s.
func (a *Actions) Perform(ctx context.Context, consumer string, workers int, fn func(context.Context, events.Decided) error) error {
	w := jet.Workers{Conn: a.conn, Stream: actionsStream, Consumer: consumer, Subjects: []string{actionsPrefix + ">"}, Most: workers, Log: a.log}
	err := w.Each(ctx, func(ctx context.Context, m jetstream.Msg) error {
		d, err := decodeDecided(m.Subject(), m.Headers(), m.Data())
		if err != nil {
			return err
		}
		return fn(ctx, d)
	})
	if err != nil {
		return fmt.Errorf("perform decisions: %w", err)
	}
	return nil
}

// Since calls fn with the decisions stored since a time, oldest first, and stops at fn's first error.
// settled is whether all of these durable consumers have acknowledged the decision; a consumer that
// does not exist has acknowledged none.
func (a *Actions) Since(ctx context.Context, since time.Time, consumers []string, fn func(d events.Decided, settled bool) error) error {
	to, err := jet.LastOf(ctx, a.read, actionsStream, actionsPrefix+">")
	if err != nil || to == 0 {
		return err
	}
	floor := to
	for _, name := range consumers {
		acked, err := jet.AckFloor(ctx, a.read, actionsStream, name)
		if err != nil {
			return fmt.Errorf("read decisions: %w", err)
		}
		floor = min(floor, acked)
	}
	from, err := jet.FirstSince(ctx, a.read, actionsStream, actionsPrefix+">", since)
	if err != nil || from == 0 {
		return err
	}
	err = jet.Replay(ctx, a.read, jet.Span{Stream: actionsStream, Subject: actionsPrefix + ">", From: from, To: to}, func(m jetstream.Msg, at *jetstream.MsgMetadata) error {
		d, err := decodeDecided(m.Subject(), m.Headers(), m.Data())
		if err != nil {
			return nil // the performers have refused it
		}
		return fn(d, at.Sequence.Stream <= floor)
	})
	if err != nil {
		return fmt.Errorf("read decisions: %w", err)
	}
	return nil
}

// Unsettled returns how many decisions the slowest of these durable consumers has not settled. A
// consumer that does not exist counts as none: no performer has run.
func (a *Actions) Unsettled(ctx context.Context, consumers []string) (most int, err error) {
	for _, name := range consumers {
		consumer, err := a.read.Consumer(ctx, actionsStream, name)
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("count unsettled decisions: %w", err)
		}
		info := consumer.CachedInfo()
		most = max(most, int(info.NumPending)+info.NumAckPending)
	}
	return most, nil
}

// Get returns a decision, or ErrNoDecision.
func (a *Actions) Get(ctx context.Context, key events.Key, id string) (events.Decided, error) {
	if checkID(key, id) != nil {
		return events.Decided{}, fmt.Errorf("get decision: %w", ErrNoDecision)
	}
	m, err := jet.LastMessage(ctx, a.stream, idSubject(actionsPrefix, key, id))
	var d events.Decided
	if err == nil && m == nil {
		err = ErrNoDecision
	}
	if err == nil {
		d, err = decodeDecided(m.Subject, m.Header, m.Data)
	}
	if err != nil {
		return d, fmt.Errorf("get decision: %w", err)
	}
	return d, nil
}

// Before returns the newest decisions that were stored before a sequence of the stream, newest first,
// at most `most`; 0 is behind all, and an empty account or conference means any. down is the sequence
// down to which it read, 0 if no decision is left. Decisions that are stored between two calls change
// no later page. Those that cannot be decoded are left out.
func (a *Actions) Before(ctx context.Context, key events.Key, before uint64, most int) (list []events.Decided, down uint64, err error) {
	if err := checkTokens(key.AccountSid, key.ConferenceSid); err != nil {
		return nil, 0, fmt.Errorf("list decisions: %w", err)
	}
	read := 0
	subject := actionsPrefix + orAny(key.AccountSid) + "." + orAny(key.ConferenceSid) + ".*"
	err = jet.Newest(ctx, a.read, actionsStream, subject, before, most, func(m jetstream.Msg, at *jetstream.MsgMetadata) {
		if read++; read == most {
			down = at.Sequence.Stream
		}
		if d, err := decodeDecided(m.Subject(), m.Headers(), m.Data()); err == nil {
			d.Sequence, d.StoredAt = at.Sequence.Stream, at.Timestamp
			list = append(list, d)
		}
	})
	if err != nil {
		return nil, 0, fmt.Errorf("list decisions: %w", err)
	}
	return list, down, nil
}

// Served records that an announcement is fetched and reports whether this is the first
// time, over all processes and for ever. After an error the record may be stored or
// not, and the caller must not play the announcement.
func (a *Actions) Served(ctx context.Context, key events.Key, id string) (first bool, err error) {
	if err := checkID(key, id); err != nil {
		return false, fmt.Errorf("record that an announcement is served: %w", err)
	}
	mark := nuid.Next()
	served := &nats.Msg{Subject: idSubject(servedPrefix, key, id), Data: []byte(mark), Header: expectNone()}
	err = publishOne(ctx, a.conn, actionsStream, served)
	first = err == nil
	if jet.WrongLast(err) {
		// The record may be ours, stored by a try whose answer was lost.
		var m *jetstream.RawStreamMsg
		m, err = jet.LastMessage(ctx, a.stream, served.Subject)
		first = m != nil && string(m.Data) == mark
	}
	if err != nil {
		return false, fmt.Errorf("record that an announcement is served: %w", fullOr(err))
	}
	return first, nil
}

// RecordOutcome stores how a decision about no conference ended; no record has a place for it. The
// first outcome of a decision stays. The subject is that of served announcements, which such a
// decision never is: an older Gavel ignores it, and the stream keeps its settings.
func (a *Actions) RecordOutcome(ctx context.Context, key events.Key, id string, outcome events.Entry) error {
	if err := checkID(key, id); err != nil {
		return fmt.Errorf("record an outcome: %w", err)
	}
	m := &nats.Msg{Subject: idSubject(servedPrefix, key, id), Data: []byte(outcome.Form), Header: expectNone()}
	if err := publishOne(ctx, a.conn, actionsStream, m); err != nil && !jet.WrongLast(err) {
		return fmt.Errorf("record an outcome: %w", fullOr(err))
	}
	return nil
}

// Outcome returns how a decision about no conference ended, and false if that is not recorded.
func (a *Actions) Outcome(ctx context.Context, key events.Key, id string) (o events.Outcome, recorded bool, err error) {
	if err := checkID(key, id); err != nil {
		return o, false, fmt.Errorf("get an outcome: %w", err)
	}
	m, err := jet.LastMessage(ctx, a.stream, idSubject(servedPrefix, key, id))
	if err != nil || m == nil {
		return o, false, err
	}
	e, err := events.ParseStored(events.Entry{Source: events.SourceGavel, ReceivedAt: m.Time, Form: string(m.Data)})
	if err == nil {
		o, err = e.Outcome()
	}
	if err != nil {
		return o, false, fmt.Errorf("get an outcome: %w: %w", events.ErrMalformed, err)
	}
	return o, true, nil
}

// publishOne publishes a message to a stream and retries until ctx ends.
func publishOne(ctx context.Context, conn *nats.Conn, stream string, m *nats.Msg) error {
	return jet.Retry(ctx, jet.Transient, func(ctx context.Context) error {
		_, err := js(conn).PublishMsg(ctx, m, jetstream.WithRetryAttempts(0), jetstream.WithExpectStream(stream))
		return err
	})
}
