package project

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"

	"gavel/events"
	"gavel/internal/crashpoint"
)

// publisher is the fourth stage: once a batch is saved it publishes the news, puts
// what cannot be folded to the dead letters, and acknowledges. Between two of its
// batches everything that was saved is acknowledged, so this is where a rebuilt
// picture replaces the old one.
type publisher struct {
	lane    Lane
	news    News // nil where no news is published
	letters DeadLetters
	// announced is the sequence up to which all news is published; the folder
	// reads it.
	announced  *atomic.Uint64
	status     *status
	switchover <-chan *switchover
	writing    *writeLock
	spare      chan<- *batch
	// scratch holds the news of one batch.
	scratch []byte
	log     *slog.Logger
	metrics *Metrics
}

func (p *publisher) run(ctx context.Context, saved <-chan *batch) error {
	for {
		select {
		case b := <-saved:
			if err := p.finish(ctx, b); err != nil {
				return err
			}
		case w := <-p.switchover:
			p.writing.Lock()
			defer p.writing.Unlock()
			return w.take(ctx, p.status.worked.Load())
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (p *publisher) finish(ctx context.Context, b *batch) error {
	if err := p.publish(ctx, b); err != nil {
		return err
	}
	p.announced.Store(b.last())
	b.pass(crashpoint.Published)
	if err := p.bury(ctx, b.letters); err != nil {
		return err
	}
	if err := p.lane.Ack(ctx, b.groups); err != nil {
		return fmt.Errorf("acknowledge groups: %w", err)
	}
	p.status.worked.Store(b.last())
	b.reset()
	select {
	case p.spare <- b:
	default:
	}
	return nil
}

// publish publishes the news of a batch, in journal order.
func (p *publisher) publish(ctx context.Context, b *batch) error {
	if p.news == nil || len(b.news) == 0 {
		return nil
	}
	news := make([]events.News, 0, len(b.news))
	data := p.scratch[:0]
	for i := range b.news {
		n := &b.news[i]
		e, start := &n.Entry.Event, len(data)
		data = n.AppendCloudEvent(data)
		news = append(news, events.News{
			Key: e.Key(), Kind: e.Kind, ID: e.ID,
			Lane: p.lane.Number(), Position: n.Entry.At, Data: data[start:len(data):len(data)],
		})
	}
	p.scratch = data
	if err := p.news.Publish(ctx, news); err != nil {
		return fmt.Errorf("tell %d facts: %w", len(news), err)
	}
	p.metrics.told.Add(float64(len(news)))
	return nil
}

// bury puts what cannot be folded where a person finds it. It comes before the
// acknowledgement: after it nothing else remembers the entry.
func (p *publisher) bury(ctx context.Context, letters []events.DeadLetter) error {
	for _, l := range letters {
		if err := p.letters.Put(ctx, l); err != nil {
			return fmt.Errorf("put an entry to the dead letters: %w", err)
		}
		p.metrics.unfoldable.Inc()
		p.log.Warn("entry cannot be folded and went to the dead letters",
			"position", l.Position, "field", l.Field, "reason", l.Reason)
	}
	return nil
}
