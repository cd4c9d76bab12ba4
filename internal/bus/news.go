package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"gavel/events"
	"gavel/internal/bus/jet"
)

const (
	// batchFrom is the number of facts from which on an atomic batch, with four fsyncs
	// (3 ms at any size), is faster than one fsync for each fact.
	batchFrom = 16
	// lookupsAtOnce bounds the concurrent requests of one LastPositions.
	lookupsAtOnce = 64
)

// News is the stream that subscribers read.
type News struct {
	conn     *nats.Conn
	stream   jetstream.Stream    // on conn
	read     jetstream.JetStream // for old news
	pipeline *jet.Pipeline
	// batches is whether SyncAlways is in force, so that a batch is faster.
	batches bool
	metrics *Metrics
	log     *slog.Logger
}

func newNews(conn *nats.Conn, stream jetstream.Stream, read jetstream.JetStream, c Config, log *slog.Logger) (*News, error) {
	p, err := jet.NewPipeline(conn, eventsStream)
	if err != nil {
		return nil, fmt.Errorf("subscribe to acknowledgements of news: %w", err)
	}
	return &News{
		conn: conn, stream: stream, read: read, pipeline: p,
		batches: c.Sync == SyncAlways, metrics: c.Metrics, log: log,
	}, nil
}

// Publish publishes facts and returns once all are acknowledged. It retries until ctx
// ends. Facts of a conference keep their order: a later fact is in flight only after an
// earlier one is acknowledged, or both are in one atomic batch. The stream does not store
// a duplicate within its window.
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

// publish publishes one atomic batch if that is faster. Facts of a batch that the server refuses
// are published singly, so that each gets its own answer; of each conference one is in flight.
func (n *News) publish(ctx context.Context, facts []events.News) error {
	// A header with the expected stream is not needed, because the acknowledgement names
	// the stream, and the server searches every header a dozen times.
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
		n.log.Debug("batch of news refused, publishing singly", "facts", len(facts), "error", err)
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

// LastPositions returns the position of the last news of each conference; conferences without news
// are absent. It reads from the stream's leader, because a follower may lag behind.
func (n *News) LastPositions(ctx context.Context, keys []events.Key) (map[events.Key]events.Position, error) {
	var mu sync.Mutex
	last := make(map[events.Key]events.Position, len(keys))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(lookupsAtOnce)
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
			last[key] = at
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("read the last news: %w", err)
	}
	return last, nil
}

// decodeStored decodes a message of the stream.
func decodeStored(m jetstream.Msg, seq uint64) (events.StoredNews, error) {
	stored := events.StoredNews{Sequence: seq}
	account, conference, kind, ok := splitNewsSubject(m.Subject())
	if !ok {
		return stored, fmt.Errorf("news %d: %w: subject", seq, events.ErrMalformed)
	}
	lane, at, err := parsePosition(m.Headers().Get(headerPosition))
	if err != nil {
		return stored, fmt.Errorf("news %d: %w: position: %w", seq, events.ErrMalformed, err)
	}
	stored.News = events.News{
		Key:      events.Key{AccountSid: account, ConferenceSid: conference},
		Kind:     events.Kind(kind),
		ID:       m.Headers().Get(headerMsgID),
		Lane:     lane,
		Position: at,
		Data:     m.Data(),
	}
	return stored, nil
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
	err = jet.Replay(ctx, n.read, jet.Span{Stream: eventsStream, Subject: subject, From: 1, To: last}, func(m jetstream.Msg, at *jetstream.MsgMetadata) error {
		return callWith(m, at.Sequence.Stream, fn)
	})
	if err != nil {
		return fmt.Errorf("read timeline: %w", err)
	}
	return nil
}

// Tail calls fn with news as it arrives, in order, until ctx ends or fn fails: all after the
// stream sequence after, or with 0 all that is published from now on. An empty account or
// conference means any.
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
		return callWith(m, at.Sequence.Stream, fn)
	})
	if err != nil {
		return fmt.Errorf("tail news: %w", err)
	}
	return nil
}

// callWith decodes a message and calls fn with it.
func callWith(m jetstream.Msg, seq uint64, fn func(events.StoredNews) error) error {
	stored, err := decodeStored(m, seq)
	if err != nil {
		return err
	}
	return fn(stored)
}

// followedAtOnce is the number of concurrent calls of one Follow. They append to the
// journal, which acknowledges entries that wait together at once.
const followedAtOnce = 64

// Follow calls fn with the news of some kinds, also older news, in concurrent calls and in
// no order. When ctx ends it waits for running calls. consumer names a durable consumer:
// processes with the same name share the news; each other name gets all. The result of fn
// settles the delivery.
func (n *News) Follow(ctx context.Context, consumer string, kinds []events.Kind, fn func(context.Context, events.StoredNews) error) error {
	return n.follow(ctx, jet.Workers{Consumer: consumer, Most: followedAtOnce}, kinds, fn)
}

// Limits of FollowNew. Its messages may be delayed for long, and then are pending.
const (
	newFollowedAtOnce = 8
	maxNewPending     = 16_384
	longestDelay      = time.Hour
)

// FollowNew is Follow for the news that is published after consumer was made, with delays of up to an
// hour. Delayed news beyond maxNewPending keeps later news waiting.
func (n *News) FollowNew(ctx context.Context, consumer string, kinds []events.Kind, fn func(context.Context, events.StoredNews) error) error {
	w := jet.Workers{Consumer: consumer, Most: newFollowedAtOnce, DeliverNew: true, MaxPending: maxNewPending, Longest: longestDelay}
	return n.follow(ctx, w, kinds, fn)
}

// Unfollow removes a consumer, so that a later FollowNew begins with the news after that. A missing
// consumer is not an error.
func (n *News) Unfollow(ctx context.Context, consumer string) error {
	err := js(n.conn).DeleteConsumer(ctx, eventsStream, consumer)
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fmt.Errorf("remove consumer %s: %w", consumer, err)
	}
	return nil
}

func (n *News) follow(ctx context.Context, w jet.Workers, kinds []events.Kind, fn func(context.Context, events.StoredNews) error) error {
	w.Conn, w.Stream, w.Log = n.conn, eventsStream, n.log
	for _, kind := range kinds {
		w.Subjects = append(w.Subjects, eventsPrefix+"*.*."+kind.Token())
	}
	err := w.Each(ctx, func(ctx context.Context, m jetstream.Msg) error {
		at, err := m.Metadata()
		if err != nil {
			return err
		}
		return callWith(m, at.Sequence.Stream, func(stored events.StoredNews) error { return fn(ctx, stored) })
	})
	if err != nil {
		return fmt.Errorf("follow news: %w", err)
	}
	return nil
}
