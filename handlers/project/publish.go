package project

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"gavel/events"
	"gavel/internal/crashpoint"
)

const (
	// fullNews is how many facts are published at once without waiting for more: as
	// many as NATS takes in one atomic batch.
	fullNews = 1000
	// maxGathered bounds the journal messages that wait for their acknowledgement
	// while news is gathered: half of what a lane may have delivered.
	maxGathered = 256
	// restFor is how much longer than a publish the publisher rests after it, and
	// maxRest the longest rest. Where news is on disk before it is acknowledged a
	// publish costs four fsyncs and a store of its own, however few facts it has: so
	// it takes no more than a third of the time that the door needs for its own.
	restFor = 2
	maxRest = 100 * time.Millisecond
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
	// facts and scratch hold the news of one publish; rested is when the next one may begin
	// with less than fullNews.
	facts   []events.News
	scratch []byte
	rested  time.Time
	log     *slog.Logger
	metrics *Metrics
}

func (p *publisher) run(ctx context.Context, saved <-chan *batch) error {
	for {
		select {
		case b := <-saved:
			if err := p.finish(ctx, p.gather(ctx, b, saved)); err != nil {
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

// gather returns the batches that are finished together: the first one, those that
// were saved meanwhile, and, until the publisher has rested, those that are saved
// now.
func (p *publisher) gather(ctx context.Context, first *batch, saved <-chan *batch) []*batch {
	all, facts, groups := []*batch{first}, len(first.news), len(first.groups)
	rest := time.NewTimer(time.Until(p.rested))
	defer rest.Stop()
	for facts < fullNews && groups < maxGathered {
		var b *batch
		select {
		case b = <-saved:
		default:
			select {
			case b = <-saved:
			case <-rest.C:
				return all
			case <-ctx.Done():
				return all
			}
		}
		all, facts, groups = append(all, b), facts+len(b.news), groups+len(b.groups)
	}
	return all
}

// finish publishes the news of batches, and then finishes one after the other.
func (p *publisher) finish(ctx context.Context, all []*batch) error {
	if err := p.publish(ctx, all); err != nil {
		return err
	}
	for _, b := range all {
		p.announced.Store(b.last())
		b.pass(crashpoint.Published)
		if err := p.bury(ctx, b.read.Letters); err != nil {
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
	}
	return nil
}

// publish publishes the news of batches, in journal order.
func (p *publisher) publish(ctx context.Context, all []*batch) error {
	if p.news == nil {
		return nil
	}
	news, data := p.facts[:0], p.scratch[:0]
	for _, b := range all {
		for i := range b.news {
			n := &b.news[i]
			e, start := &n.Entry.Event, len(data)
			data = n.AppendCloudEvent(data)
			news = append(news, events.News{
				Key: e.Key(), Kind: e.Kind, ID: e.ID,
				Lane: p.lane.Number(), Position: n.Entry.At, Data: data[start:len(data):len(data)],
			})
		}
	}
	p.facts, p.scratch = news, data
	if len(news) == 0 {
		return nil
	}
	began := time.Now()
	if err := p.news.Publish(ctx, news); err != nil {
		return fmt.Errorf("tell %d facts: %w", len(news), err)
	}
	now := time.Now()
	p.rested = now.Add(min(restFor*now.Sub(began), maxRest))
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
