package project

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"gavel/events"
	"gavel/lanes"
	"gavel/projections"
	"gavel/rules"
)

const (
	// cacheRecords bounds the conferences that a lane keeps in memory between
	// batches; at about 2 KB each that is 64 MB at the most.
	cacheRecords = 32 << 10
	// leastRecords are kept however low the memory limit is: more than the batches in progress of a
	// busy lane change.
	leastRecords = 8 << 10
	// cacheShare is the part of the memory limit for the records of all lanes, 1 in 8, and
	// recordBytes the size of one.
	cacheShare  = 8
	recordBytes = 2 << 10
)

// recordsOf returns how many conferences each of several lanes keeps in memory.
func recordsOf(memoryLimit int64, lanes int) int {
	if memoryLimit <= 0 {
		return cacheRecords
	}
	return int(min(max(memoryLimit/cacheShare/recordBytes/int64(lanes), leastRecords), cacheRecords))
}

// records loads stored conferences.
type records interface {
	Load(ctx context.Context, lane int, keys []events.Key) ([]projections.Stored, error)
}

// lastNews returns the position of the last news of each conference that has any.
type lastNews interface {
	LastPositions(ctx context.Context, keys []events.Key) (map[events.Key]events.Position, error)
}

// faults counts expressions of rules that could not be evaluated.
type faults interface {
	Fault(rule, in, why string)
}

// folder is the second stage: it loads the conferences of a batch and steps the lane's state
// machine. It does not wait for the saver: it folds onto its cache, whose save may still be in
// progress. If that save fails the session ends, and nothing of the batch was published.
type folder struct {
	lane    int
	machine *lanes.Machine
	store   records
	news    lastNews // nil if news is not published
	// resumedAt is the lane's newest sequence when it was taken over. Entries up
	// to it may have been processed before, by any process.
	resumedAt uint64
	// announced is the sequence up to which this session has published all news;
	// the publisher sets it.
	announced *atomic.Uint64
	// loads shows the lane's loads to other goroutines.
	loads *loads
	// cache holds many more conferences than all batches in progress can change,
	// so none leaves it before it is saved.
	cache   *simplelru.LRU[events.Key, *cached]
	endings endings
	// of are the conferences of the batch's entries, nil for an entry
	// without one; opened are the same, each once, in the order of batch.changes.
	of, opened []*cached
	faults     faults
	witness    func(time.Time)
	log        *slog.Logger
	metrics    *Metrics
}

// cached is a conference between two batches.
type cached struct {
	lanes.Conference
	// change is the index in batch.changes. It is valid if open is set: the batch
	// being folded has an entry of the conference.
	change int
	open   bool
	// last is the sequence of the last batch with an entry of the conference.
	last uint64
}

func newFolder(k *keeper, machine *lanes.Machine, resumedAt uint64) (*folder, error) {
	cache, err := simplelru.NewLRU[events.Key, *cached](recordsOf(k.config.MemoryLimit, len(k.config.Lanes)), nil)
	if err != nil {
		return nil, fmt.Errorf("make the lane's cache: %w", err)
	}
	f := &folder{
		lane: k.lane.Number(), machine: machine, store: k.config.Store, resumedAt: resumedAt, cache: cache, endings: endings{most: endedRecords},
		faults: k.config.RuleBook, witness: k.config.Witness, log: k.log, metrics: k.config.Metrics,
	}
	if k.config.News != nil {
		f.news = k.config.News
	}
	return f, nil
}

func (f *folder) run(ctx context.Context, received <-chan *batch, folded chan<- *batch) error {
	for {
		select {
		case b := <-received:
			if err := f.fold(ctx, b); err != nil {
				return err
			}
			if err := pass(ctx, folded, b); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// fold steps through the entries of a batch.
func (f *folder) fold(ctx context.Context, b *batch) error {
	if err := f.load(ctx, b); err != nil {
		return err
	}
	f.metrics.skipped.Add(float64(b.read.Skipped))
	if b.read.Stamps > 0 {
		f.metrics.ahead.Add(float64(b.read.Stamps))
		f.log.Error("clock of a host is ahead of that of NATS", "entries", b.read.Stamps, "ahead_seconds", b.read.Ahead.Seconds())
	}
	laneChanged := false
	for i := range b.read.Entries {
		e, c := &b.read.Entries[i], f.of[i]
		f.witness(e.Event.Signed())
		var conference *lanes.Conference
		if c != nil {
			conference = &c.Conference
		}
		f.machine.Announced(f.announced.Load())
		r, err := f.machine.Step(ctx, e, conference)
		if err != nil {
			return err
		}
		laneChanged = laneChanged || r.LaneChanged
		if c != nil {
			b.changes[c.change].add(&r)
		}
		if err := f.add(b, e, &r); err != nil {
			return err
		}
	}
	return f.close(b, laneChanged)
}

// close ends the folding of a batch.
func (f *folder) close(b *batch, laneChanged bool) (err error) {
	for i, c := range f.opened {
		b.changes[i].after, c.open = c.Conference, false
		f.endings.note(b.changes[i].key, c, b.last())
	}
	f.endings.release(f.cache, f.announced.Load())
	if laneChanged {
		b.laneState, err = f.machine.MarshalState()
	}
	if b.loaded {
		f.loads.set(f.machine)
	}
	return err
}

// add adds the result of one step, except what is in batch.changes.
func (f *folder) add(b *batch, e *lanes.Entry, r *lanes.Ready) error {
	for _, d := range r.Matches {
		key, entry, err := lanes.MatchEntry(d, e.Event.ReceivedAt)
		if err != nil {
			return err
		}
		b.matches = append(b.matches, match{key, entry})
	}
	for _, d := range r.Decisions {
		decided, err := lanes.Decided(d, f.lane, e.At)
		if err != nil {
			return err
		}
		b.decisions = append(b.decisions, decided)
		b.counted = append(b.counted, counted{d.Rule, d.Verdict, d.AsOf})
	}
	b.loaded = b.loaded || r.Loaded
	if r.News.Entry != nil {
		b.news = append(b.news, r.News)
	}
	if r.Letter != nil {
		b.read.Letters = append(b.read.Letters, *r.Letter)
	}
	f.metrics.count(r)
	for _, x := range r.Faults {
		f.fault(x)
	}
	return nil
}

// fault counts an expression that could not be evaluated. Its error quotes no value, which may be
// the name of a person.
func (f *folder) fault(x rules.ExpressionFault) {
	f.metrics.faults.WithLabelValues(x.Rule).Inc()
	f.faults.Fault(x.Rule, x.In, x.Err.Error())
	f.log.Debug("expression of a rule cannot be evaluated", "rule", x.Rule, "in", x.In, "error", x.Err)
}

// load gets the conferences of the batch from the cache or the store.
func (f *folder) load(ctx context.Context, b *batch) error {
	clear(f.of)
	clear(f.opened)
	f.of, f.opened = f.of[:0], f.opened[:0]
	var missing []*cached
	for i := range b.read.Entries {
		e := &b.read.Entries[i].Event
		if e.ConferenceSid == "" {
			f.of = append(f.of, nil)
			continue
		}
		key := e.Key()
		c, known := f.cache.Get(key)
		if !known {
			key, c = lanes.Key(e), new(cached)
			f.cache.Add(key, c)
			missing = append(missing, c)
		}
		if !c.open {
			c.change, c.open = len(b.changes), true
			b.changes = append(b.changes, change{key: key})
			f.opened = append(f.opened, c)
		}
		f.of = append(f.of, c)
	}
	if err := f.loadMissing(ctx, b, missing); err != nil {
		return err
	}
	for i, c := range f.opened {
		b.changes[i].before = c.Conference
	}
	return nil
}

func (f *folder) loadMissing(ctx context.Context, b *batch, missing []*cached) error {
	if len(missing) == 0 {
		return nil
	}
	keys := make([]events.Key, len(missing))
	for i, c := range missing {
		keys[i] = b.changes[c.change].key
	}
	stored, err := f.store.Load(ctx, f.lane, keys)
	if err != nil {
		return fmt.Errorf("load %d records: %w", len(keys), err)
	}
	published, err := f.lastNews(ctx, b, keys)
	if err != nil {
		return err
	}
	for i, c := range missing {
		if c.Conference, err = lanes.Open(stored[i]); err != nil {
			return fmt.Errorf("read %s: %w", keys[i].ConferenceSid, err)
		}
		c.LastNews = published[keys[i]]
	}
	return nil
}

// lastNews reads the positions of the conferences' last news if entries of the
// batch may have been processed before.
func (f *folder) lastNews(ctx context.Context, b *batch, keys []events.Key) (map[events.Key]events.Position, error) {
	if f.news == nil || b.read.Entries[0].At.Sequence > f.resumedAt {
		return nil, nil
	}
	positions, err := f.news.LastPositions(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("read the last news of %d conferences: %w", len(keys), err)
	}
	return positions, nil
}
