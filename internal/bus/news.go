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
	"gavel/internal/bus/jet"
)

const (
	// batchFrom is how many facts make an atomic batch worth its four fsyncs
	// (3 ms at any size); below it one fsync for each is less.
	batchFrom = 16
	// toldAtOnce bounds the questions of one Told in flight.
	toldAtOnce = 64
)

// News is the stream that subscribers read.
type News struct {
	conn     *nats.Conn
	stream   jetstream.Stream    // on conn
	read     jetstream.JetStream // of old news
	pipeline *jet.Pipeline
	// batches: SyncAlways is in force, so that one batch beats many singles.
	batches bool
	metrics *Metrics
	log     *slog.Logger
}

func newNews(conn *nats.Conn, stream jetstream.Stream, read jetstream.JetStream, c Config, log *slog.Logger) (*News, error) {
	p, err := jet.NewPipeline(conn, eventsStream)
	if err != nil {
		return nil, fmt.Errorf("await acknowledgements of news: %w", err)
	}
	return &News{
		conn: conn, stream: stream, read: read, pipeline: p,
		batches: c.Sync == SyncAlways, metrics: c.Metrics, log: log,
	}, nil
}

// Publish tells facts and returns once all are acknowledged. A later fact of a
// conference is never in flight before an earlier one is acknowledged, or both
// are in one atomic batch; the order of facts is theirs. It tries until ctx
// ends. What the stream still remembers it takes without storing it twice.
func (n *News) Publish(ctx context.Context, facts []events.News) error {
	for len(facts) > 0 {
		some := facts[:min(len(facts), jet.MaxAtomic)]
		if err := n.publish(ctx, some); err != nil {
			return fmt.Errorf("publish %d facts: %w", len(facts), err)
		}
		facts = facts[len(some):]
	}
	return nil
}

// publish publishes in one atomic batch where that is worth it. What the server
// refuses as a batch goes out singly, so that each fact gets an answer of its own;
// of each conference one is in flight.
func (n *News) publish(ctx context.Context, facts []events.News) error {
	// The stream that is expected is not named: the acknowledgement has its name,
	// and every header is searched a dozen times by the server.
	messages := jet.Messages{
		Header: nats.Header{headerContentType: {contentCloudEvent}},
		Next:   jet.InOrder(len(facts), func(i int) events.Key { return facts[i].Key }),
		Fill:   func(m *nats.Msg, i int) { fillNews(m, &facts[i]) },
	}
	if n.batches && len(facts) >= batchFrom {
		err := n.pipeline.PublishAtomic(ctx, messages)
		if err == nil || !jet.Refused(err) {
			n.count(byBatch, err, len(facts))
			return err
		}
		n.log.Debug("batch of news was refused and goes out singly", "facts", len(facts), "error", err)
	}
	_, err := n.pipeline.Publish(ctx, messages)
	n.count(bySingles, err, len(facts))
	return err
}

func (n *News) count(how string, err error, facts int) {
	if err == nil {
		n.metrics.news.WithLabelValues(how).Add(float64(facts))
	}
}

func fillNews(m *nats.Msg, fact *events.News) {
	m.Subject, m.Data = newsSubject(fact), fact.Data
	jet.SetHeader(m.Header, headerMsgID, fact.ID)
	jet.SetHeader(m.Header, headerPosition, positionHeader(fact.Lane, fact.Position))
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
			m, err := jet.LastMessage(ctx, n.stream, conferenceSubjects(key.AccountSid, key.ConferenceSid))
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
func decodeTold(m jetstream.Msg, seq uint64) (events.StoredNews, error) {
	told := events.StoredNews{Sequence: seq}
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

// Timeline calls fn with all news of one conference so far, in the order of
// the stream, and stops at fn's first error.
func (n *News) Timeline(ctx context.Context, key events.Key, fn func(events.StoredNews) error) error {
	subject := conferenceSubjects(key.AccountSid, key.ConferenceSid)
	last, err := jet.LastOf(ctx, n.read, eventsStream, subject)
	if err != nil {
		return fmt.Errorf("read timeline: %w", err)
	}
	err = jet.Replay(ctx, n.read, jet.Span{Stream: eventsStream, Subject: subject, From: 1, To: last}, func(m jetstream.Msg, seq uint64) error {
		return tell(m, seq, fn)
	})
	if err != nil {
		return fmt.Errorf("read timeline: %w", err)
	}
	return nil
}

// Tail calls fn with news as it comes, in order, until ctx ends or fn fails:
// all that follows the stream sequence after, or with 0 what is told from now
// on. An empty account or conference means any.
func (n *News) Tail(ctx context.Context, after uint64, account, conference string, fn func(events.StoredNews) error) error {
	if after == 0 {
		stream, err := n.read.Stream(ctx, eventsStream)
		if err != nil {
			return fmt.Errorf("tail news: %w", err)
		}
		after = stream.CachedInfo().State.LastSeq
	}
	s := jet.Span{Stream: eventsStream, Subject: conferenceSubjects(account, conference), From: after + 1}
	err := jet.Follow(ctx, n.read, s, func(m jetstream.Msg, at *jetstream.MsgMetadata) error {
		return tell(m, at.Sequence.Stream, fn)
	})
	if err != nil {
		return fmt.Errorf("tail news: %w", err)
	}
	return nil
}

func tell(m jetstream.Msg, seq uint64, fn func(events.StoredNews) error) error {
	told, err := decodeTold(m, seq)
	if err != nil {
		return err
	}
	return fn(told)
}

// followedAtOnce is how many facts one Follow has under way: whoever gets them
// waits for the journal, which acknowledges together what waits together.
const followedAtOnce = 64

// Follow gives fn the news of some kinds, also what was told while nobody
// followed, many at a time and in no order, until ctx ends; then it waits for
// what is under way. consumer names a durable one: processes that give the same
// name share the news, and each other name gets all. What fn returns settles a
// fact.
func (n *News) Follow(ctx context.Context, consumer string, kinds []events.Kind, fn func(context.Context, events.StoredNews) error) error {
	var filters []string
	for _, kind := range kinds {
		filters = append(filters, eventsPrefix+"*.*."+kind.Token())
	}
	w := jet.Workers{Conn: n.conn, Stream: eventsStream, Consumer: consumer, Subjects: filters, Most: followedAtOnce, Log: n.log}
	err := w.Each(ctx, func(ctx context.Context, m jetstream.Msg) error {
		at, err := m.Metadata()
		if err != nil {
			return err
		}
		return tell(m, at.Sequence.Stream, func(told events.StoredNews) error { return fn(ctx, told) })
	})
	if err != nil {
		return fmt.Errorf("follow news: %w", err)
	}
	return nil
}
