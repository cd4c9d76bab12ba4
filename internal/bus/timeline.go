package bus

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
)

// Timeline calls fn with all news of one conference so far, in the order of
// the stream, and stops at fn's first error.
func (n *News) Timeline(ctx context.Context, key events.Key, fn func(events.Told) error) error {
	subject := conferenceSubjects(key.AccountSid, key.ConferenceSid)
	last, err := lastOf(ctx, n.read, eventsStream, subject)
	if err != nil {
		return fmt.Errorf("read timeline: %w", err)
	}
	err = replay(ctx, n.read, span{eventsStream, subject, 1, last}, func(m jetstream.Msg, seq uint64) error {
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
func (n *News) Tail(ctx context.Context, after uint64, account, conference string, fn func(events.Told) error) error {
	if after == 0 {
		stream, err := n.read.Stream(ctx, eventsStream)
		if err != nil {
			return fmt.Errorf("tail news: %w", err)
		}
		after = stream.CachedInfo().State.LastSeq
	}
	s := span{stream: eventsStream, subject: conferenceSubjects(account, conference), from: after + 1}
	err := follow(ctx, n.read, s, func(m jetstream.Msg, at *jetstream.MsgMetadata) error {
		return tell(m, at.Sequence.Stream, fn)
	})
	if err != nil {
		return fmt.Errorf("tail news: %w", err)
	}
	return nil
}

func tell(m jetstream.Msg, seq uint64, fn func(events.Told) error) error {
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
func (n *News) Follow(ctx context.Context, consumer string, kinds []events.Kind, fn func(context.Context, events.Told) error) error {
	var filters []string
	for _, kind := range kinds {
		filters = append(filters, eventsPrefix+"*.*."+kind.Token())
	}
	c := newCrew(durable{js: js(n.conn), stream: eventsStream, name: consumer, filters: filters, log: n.log}, followedAtOnce,
		func(ctx context.Context, m jetstream.Msg) error {
			at, err := m.Metadata()
			if err != nil {
				return err
			}
			return tell(m, at.Sequence.Stream, func(told events.Told) error { return fn(ctx, told) })
		})
	if err := c.run(ctx); err != nil {
		return fmt.Errorf("follow news: %w", err)
	}
	return nil
}
