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
	// fullNews is how many facts are published without a wait for more: as many as
	// NATS accepts in one atomic batch.
	fullNews = 1000
	// maxGathered bounds the journal messages that wait for their acknowledgement while news is
	// gathered: half of the 512 that NATS delivers to a lane before the first is acknowledged.
	maxGathered = 256
	// pauseFactor times the duration of a publish is the pause after it, at most
	// maxPause. If news is on disk before it is acknowledged, a publish costs four
	// fsyncs and a store of its own, for any number of facts: with the pause it
	// uses at most a third of the disk's time, which the door needs too.
	pauseFactor = 2
	maxPause    = 100 * time.Millisecond
)

// publisher is the fourth stage: once a batch is saved it publishes the news, stores
// the dead letters, and acknowledges. Between two of its batches every saved batch
// is acknowledged, so here a rebuilt picture replaces the old one.
type publisher struct {
	lane    Lane
	news    News // nil if news is not published
	letters DeadLetters
	// announced is the sequence up to which all news is published; the folder reads it.
	announced  *atomic.Uint64
	status     *status
	switchover <-chan *switchover
	writing    *writeLock
	spare      chan<- *batch
	// facts and scratch hold the news of one publish. Until pausedTo the next
	// publish begins only with fullNews facts or maxGathered messages.
	facts    []events.News
	scratch  []byte
	pausedTo time.Time
	chain    *Chain   // nil if no batch has a record
	release  *release // nil if the lane is not held
	log      *slog.Logger
	metrics  *Metrics
}

// run finishes saved batches until ctx ends, an error occurs, or a rebuilt picture
// replaces the old one. It always returns an error.
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
			return w.apply(ctx, p.status.worked.Load())
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// gather returns the batches that are finished together: the first one, and those
// that were saved meanwhile or are saved before the pause ends.
func (p *publisher) gather(ctx context.Context, first *batch, saved <-chan *batch) []*batch {
	all, facts, groups := []*batch{first}, len(first.news), len(first.groups)
	pause := time.NewTimer(time.Until(p.pausedTo))
	defer pause.Stop()
	for facts < fullNews && groups < maxGathered {
		var b *batch
		select {
		case b = <-saved:
		default:
			select {
			case b = <-saved:
			case <-pause.C:
				return all
			case <-ctx.Done():
				return all
			}
		}
		all, facts, groups = append(all, b), facts+len(b.news), groups+len(b.groups)
	}
	return all
}

// finish publishes the news of batches, stores their dead letters and acknowledges them.
func (p *publisher) finish(ctx context.Context, all []*batch) error {
	if err := p.publish(ctx, all); err != nil {
		return err
	}
	for _, b := range all {
		p.announced.Store(b.last())
		b.pass(crashpoint.Published)
		if err := p.putLetters(ctx, b.read.Letters); err != nil {
			return err
		}
		if err := p.lane.Ack(ctx, b.groups); err != nil {
			return fmt.Errorf("acknowledge groups: %w", err)
		}
		p.status.worked.Store(b.last())
		p.remember(b)
		if err := p.release.at(ctx, b.last()); err != nil {
			return err
		}
		b.reset()
		select {
		case p.spare <- b:
		default:
		}
	}
	return nil
}

// remember makes the file's record that of an acknowledged batch.
func (p *publisher) remember(b *batch) {
	if !b.record.Empty() {
		p.chain.File.Set(p.lane.Number(), b.record)
	}
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
		return fmt.Errorf("publish %d facts: %w", len(news), err)
	}
	now := time.Now()
	p.pausedTo = now.Add(min(pauseFactor*now.Sub(began), maxPause))
	p.metrics.news.Add(float64(len(news)))
	return nil
}

// putLetters stores the dead letters. This precedes the acknowledgement, because an
// acknowledged entry is not delivered again.
func (p *publisher) putLetters(ctx context.Context, letters []events.DeadLetter) error {
	for _, l := range letters {
		if err := p.letters.Put(ctx, l); err != nil {
			return fmt.Errorf("store a dead letter: %w", err)
		}
		p.metrics.unfoldable.Inc()
		p.log.Warn("entry became a dead letter",
			"position", l.Position, "field", l.Field, "reason", l.Reason)
	}
	return nil
}
