package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"gavel/events"
	"gavel/internal/bus/jet"
)

const (
	// maxDecision bounds the body of a decision: the evaluated parameters of its
	// steps have 64 KiB.
	maxDecision = 256 << 10
	// nobodyBefore is the expected last sequence of a subject that must be free.
	nobodyBefore = "0"
)

// The errors of Actions that callers decide by.
var (
	// ErrNoDecision means that there is none of that id.
	ErrNoDecision = errors.New("there is no such decision")
	// ErrFull means that the stream is at its operator's limit: nothing is
	// decided any more until there is room, which is an alarm.
	ErrFull = errors.New("the stream is full")
)

// Actions is the stream of what rules decided. It keeps each decision once, by
// its id, for as long as the stream is there: no window of time limits that.
type Actions struct {
	conn     *nats.Conn
	stream   jetstream.Stream
	read     jetstream.JetStream // of old decisions
	pipeline *jet.Pipeline
	metrics  *Metrics
	log      *slog.Logger
}

func newActions(conn *nats.Conn, stream jetstream.Stream, read jetstream.JetStream, c Config, log *slog.Logger) (*Actions, error) {
	p, err := jet.NewPipeline(conn, actionsStream)
	if err != nil {
		return nil, fmt.Errorf("await acknowledgements of decisions: %w", err)
	}
	return &Actions{conn: conn, stream: stream, read: read, pipeline: p, metrics: c.Metrics, log: log}, nil
}

// Decide keeps decisions and returns once all are acknowledged. One that is
// there already stays as it is, which is no error; fresh is how many were not,
// as far as can be known: one that was stored by a try without an answer counts
// as there already. It tries until ctx ends. Errors wrap events.ErrMalformed
// for what can be no message, and ErrFull.
func (a *Actions) Decide(ctx context.Context, decisions []events.Decided) (fresh int, err error) {
	if len(decisions) == 0 {
		return 0, nil
	}
	for i := range decisions {
		if err := checkDecided(&decisions[i]); err != nil {
			return 0, fmt.Errorf("decide: decision %d: %w", i, err)
		}
	}
	before, err := a.pipeline.Publish(ctx, jet.Messages{
		Header: expectNobody(), Next: jet.AnyOrder(len(decisions)), Stored: jet.WrongLast,
		Fill: func(m *nats.Msg, i int) { fillDecided(m, &decisions[i]) },
	})
	if err != nil {
		return 0, fmt.Errorf("decide %d: %w", len(decisions), fullOr(err))
	}
	fresh = len(decisions) - before
	a.metrics.decided.WithLabelValues(decidedFresh).Add(float64(fresh))
	a.metrics.decided.WithLabelValues(decidedBefore).Add(float64(before))
	return fresh, nil
}

func expectNobody() nats.Header { return nats.Header{headerExpectedLast: {nobodyBefore}} }

// fullOr names the one refusal that is an alarm.
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

// decodeDecided reads what fillDecided wrote.
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

// Perform gives fn the decisions, also those made while nobody performed,
// `workers` at a time and in no order, until ctx ends; then it waits for those
// under way. consumer names a durable one: processes that give the same name
// share the decisions, and each other name gets all. What fn returns settles
// the delivery; see package jet.
//
// fn's context ends with ctx. It may take as long as it needs: the server is
// told that it works. Should its process die, another gets the decision within
// 30 s.
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

// Get returns a decision, or ErrNoDecision.
func (a *Actions) Get(ctx context.Context, key events.Key, id string) (events.Decided, error) {
	if checkID(key, id) != nil {
		return events.Decided{}, fmt.Errorf("get decision: %w", ErrNoDecision)
	}
	m, err := jet.LastMessage(ctx, a.stream, idSubject(actionsPrefix, key, id))
	if err == nil && m == nil {
		err = ErrNoDecision
	}
	if err != nil {
		return events.Decided{}, fmt.Errorf("get decision: %w", err)
	}
	d, err := decodeDecided(m.Subject, m.Header, m.Data)
	if err != nil {
		return d, fmt.Errorf("get decision: %w", err)
	}
	return d, nil
}

// List returns the newest decisions, newest first, at most `most`. An empty
// account or conference means any; what cannot be read is left out.
func (a *Actions) List(ctx context.Context, accountSid, conferenceSid string, most int) ([]events.Decided, error) {
	if err := checkTokens(accountSid, conferenceSid); err != nil {
		return nil, fmt.Errorf("list decisions: %w", err)
	}
	var list []events.Decided
	subject := actionsPrefix + orAny(accountSid) + "." + orAny(conferenceSid) + ".*"
	err := jet.Newest(ctx, a.read, actionsStream, subject, most, func(m jetstream.Msg, _ *jetstream.MsgMetadata) {
		if d, err := decodeDecided(m.Subject(), m.Headers(), m.Data()); err == nil {
			list = append(list, d)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list decisions: %w", err)
	}
	return list, nil
}

// Served notes that an announcement is being fetched and reports whether that
// is the first time, over all processes and for ever. Without an error it is
// stored; with one nobody knows, and nothing may be played.
func (a *Actions) Served(ctx context.Context, key events.Key, id string) (first bool, err error) {
	if err := checkID(key, id); err != nil {
		return false, fmt.Errorf("note that an announcement is served: %w", err)
	}
	subject, mark := idSubject(servedPrefix, key, id), nuid.Next()
	err = jet.Retry(ctx, jet.Transient, func(ctx context.Context) error {
		m := &nats.Msg{Subject: subject, Data: []byte(mark), Header: expectNobody()}
		_, err := js(a.conn).PublishMsg(ctx, m, jetstream.WithRetryAttempts(0), jetstream.WithExpectStream(actionsStream))
		return err
	})
	if jet.WrongLast(err) {
		first, err = a.servedBy(ctx, subject, mark)
	} else {
		first = err == nil
	}
	if err != nil {
		return false, fmt.Errorf("note that an announcement is served: %w", fullOr(err))
	}
	return first, nil
}

// servedBy reports whether the note that is there is the one with our mark: a
// try without an answer may have been stored.
func (a *Actions) servedBy(ctx context.Context, subject, mark string) (bool, error) {
	m, err := jet.LastMessage(ctx, a.stream, subject)
	if err != nil {
		return false, err
	}
	return m != nil && string(m.Data) == mark, nil
}
