package bus

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"gavel/events"
)

const (
	// batchFrom is how many facts make an atomic batch worth its four fsyncs
	// (3 ms at any size); below it one fsync for each is less.
	batchFrom = 16
	// maxBatch is the server's limit for an atomic batch.
	maxBatch = 1000
	// toldAtOnce bounds the questions of one Told in flight.
	toldAtOnce = 64
)

// News is the stream that subscribers read.
type News struct {
	conn    *nats.Conn
	stream  jetstream.Stream    // on conn
	read    jetstream.JetStream // of old news
	tickets *tickets
	// batches: SyncAlways is in force, so that one batch beats many singles.
	batches bool
	metrics *Metrics
	log     *slog.Logger
}

func newNews(conn *nats.Conn, stream jetstream.Stream, read jetstream.JetStream, c Config, log *slog.Logger) (*News, error) {
	t, err := newTickets(conn, eventsStream)
	if err != nil {
		return nil, fmt.Errorf("await acknowledgements of news: %w", err)
	}
	return &News{
		conn: conn, stream: stream, read: read, tickets: t,
		batches: c.Sync == SyncAlways, metrics: c.Metrics, log: log,
	}, nil
}

// Publish tells facts and returns once all are acknowledged. A later fact of a
// conference is never in flight before an earlier one is acknowledged, or both
// are in one atomic batch; the order of facts is theirs. It tries until ctx
// ends. What the stream still remembers it takes without storing it twice.
func (n *News) Publish(ctx context.Context, facts []events.News) error {
	for len(facts) > 0 {
		some := facts[:min(len(facts), maxBatch)]
		if err := n.publish(ctx, some); err != nil {
			return fmt.Errorf("publish %d facts: %w", len(facts), err)
		}
		facts = facts[len(some):]
	}
	return nil
}

func (n *News) publish(ctx context.Context, facts []events.News) error {
	if n.batches && len(facts) >= batchFrom {
		err := n.publishBatch(ctx, facts)
		if err == nil || !isRefusal(err) {
			return err
		}
		n.log.Debug("batch of news was refused and goes out singly", "facts", len(facts), "err", err)
	}
	return n.publishSingly(ctx, facts)
}

// letterOf fills m with a fact. The header is used again for each message,
// because the library has written it out when publishing returns.
func (n *News) letterOf(m *nats.Msg, fact *events.News) {
	m.Subject, m.Data = newsSubject(fact), fact.Data
	setHeader(m.Header, headerMsgID, fact.ID)
	setHeader(m.Header, headerPosition, positionHeader(fact.Lane, fact.Position))
}

// newLetter does not name the stream it expects: the acknowledgement does
// (parseAck), and every header is searched a dozen times by the server.
func newLetter() *nats.Msg {
	return &nats.Msg{Header: nats.Header{headerContentType: {contentCloudEvent}}}
}

// setHeader reuses the slice that is there.
func setHeader(h nats.Header, key, value string) {
	if v := h[key]; len(v) == 1 {
		v[0] = value
		return
	}
	h[key] = []string{value}
}

// Told returns the position of the last news of each conference; those that
// have none are absent. It asks the stream's leader, for a follower may not
// know the last one yet.
func (n *News) Told(ctx context.Context, keys []events.Key) (map[events.Key]events.Position, error) {
	var mu sync.Mutex
	told := make(map[events.Key]events.Position, len(keys))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(toldAtOnce)
	for _, key := range keys {
		g.Go(func() error {
			m, err := lastMessage(ctx, n.stream, conferenceSubjects(key.AccountSid, key.ConferenceSid))
			if err != nil || m == nil {
				return err
			}
			_, at, err := parsePosition(m.Header.Get(headerPosition))
			if err != nil {
				return fmt.Errorf("position of news %d: %w", m.Sequence, err)
			}
			mu.Lock()
			defer mu.Unlock()
			told[key] = at
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("ask for the last news: %w", err)
	}
	return told, nil
}

// decodeTold reads news as it lies in the stream.
func decodeTold(m jetstream.Msg, seq uint64) (events.Told, error) {
	told := events.Told{Sequence: seq}
	account, conference, kind, ok := splitNewsSubject(m.Subject())
	if !ok {
		return told, fmt.Errorf("news %d: %w: subject", seq, events.ErrMalformed)
	}
	lane, at, err := parsePosition(m.Headers().Get(headerPosition))
	if err != nil {
		return told, fmt.Errorf("news %d: %w: position: %w", seq, events.ErrMalformed, err)
	}
	told.News = events.News{
		Key:      events.Key{AccountSid: account, ConferenceSid: conference},
		Kind:     events.Kind(kind),
		ID:       m.Headers().Get(headerMsgID),
		Lane:     lane,
		Position: at,
		Data:     m.Data(),
	}
	return told, nil
}

func splitNewsSubject(subject string) (account, conference, kind string, ok bool) {
	rest, ok := strings.CutPrefix(subject, eventsPrefix)
	if !ok {
		return "", "", "", false
	}
	account, rest, _ = strings.Cut(rest, ".")
	conference, kind, ok = strings.Cut(rest, ".")
	return account, conference, kind, ok
}
