package project

import (
	"context"
	"fmt"
	"time"

	"gavel/events"
	"gavel/internal/crashpoint"
	"gavel/lanes"
	"gavel/projections"
)

// batch is one pass through the steps.
type batch struct {
	*session
	groups  []events.Group
	entries []lanes.Entry
	// changes are the records that the entries are about, by the entry's place;
	// nil for what is of the lane, and of no conference.
	changes []*change
	letters []events.DeadLetter
	// touched are the records that the entries are about, in the order in
	// which they are met.
	touched []*change
	facts   []lanes.News
	// verdicts are what the rules say to it.
	verdicts verdicts
}

// newBatch returns an empty batch, a used one if there is one.
func (s *session) newBatch(groups []events.Group) *batch {
	select {
	case b := <-s.spare:
		b.groups = groups
		return b
	default:
		return &batch{session: s, groups: groups}
	}
}

// putBack keeps a finished batch to be used again. It is emptied first, for its
// events would keep their journal messages in memory.
func (s *session) putBack(b *batch) {
	clear(b.entries)
	clear(b.changes)
	clear(b.touched)
	clear(b.facts)
	b.groups, b.letters, b.verdicts = nil, nil, verdicts{}
	b.entries, b.changes, b.touched, b.facts = b.entries[:0], b.changes[:0], b.touched[:0], b.facts[:0]
	select {
	case s.spare <- b:
	default:
	}
}

// change is one record on its way through the batch.
type change struct {
	key    events.Key
	record *record
	before lanes.Conference
	after  lanes.Conference
	// alarm is for when the conference's alarm is to be set, or zero.
	alarm time.Time
	// dirty: the record or its rule state changed.
	dirty bool
}

// finish is the fourth stage: once the batch is saved, tell it, bury what could
// not be folded, and acknowledge.
func (b *batch) finish(ctx context.Context) error {
	if err := b.tell(ctx); err != nil {
		return err
	}
	b.pass(crashpoint.Told)
	if err := b.bury(ctx); err != nil {
		return err
	}
	if err := b.lane.Ack(ctx, b.groups); err != nil {
		return fmt.Errorf("acknowledge groups: %w", err)
	}
	b.worked.Store(b.last())
	return nil
}

// last is the stream sequence of the batch's last group.
func (b *batch) last() uint64 { return b.groups[len(b.groups)-1].Sequence }

// parse reads every entry; what cannot be read becomes a dead letter.
func (b *batch) parse() {
	for _, g := range b.groups {
		var letters []events.DeadLetter
		b.entries, letters = lanes.Read(b.entries, g, b.judges())
		b.letters = append(b.letters, letters...)
	}
}

// load brings in the records of the batch that the lane has not in memory.
func (b *batch) load(ctx context.Context) error {
	var missing []*change
	for i := range b.entries {
		e := &b.entries[i]
		if e.Event.ConferenceSid == "" {
			b.changes = append(b.changes, nil)
			continue
		}
		key := e.Event.Key()
		r, known := b.records.Get(key)
		if !known {
			key = lanes.Key(&e.Event)
			r = &record{}
			b.records.Add(key, r)
		}
		if r.open == nil {
			r.open = &change{key: key, record: r}
			b.touched = append(b.touched, r.open)
			if !known {
				missing = append(missing, r.open)
			}
		}
		b.changes = append(b.changes, r.open)
	}
	if err := b.loadMissing(ctx, missing); err != nil {
		return err
	}
	for _, c := range b.touched {
		c.before, c.after = c.record.Conference, c.record.Conference
	}
	return nil
}

func (b *batch) loadMissing(ctx context.Context, missing []*change) error {
	if len(missing) == 0 {
		return nil
	}
	keys := make([]events.Key, len(missing))
	for i, c := range missing {
		keys[i] = c.key
	}
	stored, err := b.Store.Load(ctx, b.lane.Number(), keys)
	if err != nil {
		return fmt.Errorf("load %d records: %w", len(keys), err)
	}
	told, err := b.told(ctx, keys)
	if err != nil {
		return err
	}
	for i, c := range missing {
		if c.record.Conference, err = lanes.Open(stored[i]); err != nil {
			return fmt.Errorf("read %s: %w", c.key.ConferenceSid, err)
		}
		c.record.Told = told[c.key]
	}
	return nil
}

// told asks how far the conferences were told, where somebody before us may
// have told them.
func (b *batch) told(ctx context.Context, keys []events.Key) (map[events.Key]events.Position, error) {
	if b.News == nil || b.entries[0].At.Sequence > b.resumedAt {
		return nil, nil
	}
	told, err := b.News.Told(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("ask how far %d conferences were told: %w", len(keys), err)
	}
	return told, nil
}

// fold steps through the entries, in journal order.
func (b *batch) fold(ctx context.Context) error {
	for i := range b.entries {
		e, c := &b.entries[i], b.changes[i]
		b.machine.Announced(b.toldUpTo.Load())
		var after *lanes.Conference
		if c != nil {
			after = &c.after
		}
		r, err := b.machine.Step(ctx, e, after)
		if err != nil {
			return err
		}
		if err := b.take(&r, e, c); err != nil {
			return err
		}
	}
	return b.seal()
}

// take adds what one step led to.
func (b *batch) take(r *lanes.Ready, e *lanes.Entry, c *change) error {
	if c != nil {
		c.dirty = c.dirty || r.Changed
		if !r.Alarm.IsZero() {
			c.alarm = r.Alarm
		}
	}
	b.verdicts.loaded = b.verdicts.loaded || r.Loaded
	b.verdicts.laneChanged = b.verdicts.laneChanged || r.LaneChanged
	if r.News.Entry != nil {
		b.facts = append(b.facts, r.News)
	}
	if r.Letter != nil {
		b.letters = append(b.letters, *r.Letter)
	}
	b.count(r)
	return b.decided(r, e)
}

// remember leaves the records as the next batch shall find them.
func (b *batch) remember() {
	for _, c := range b.touched {
		c.record.Conference, c.record.open = c.after, nil
	}
}

// save writes the records that changed, then notes that the batch is worked.
// What the rules decided goes out before: once it is in the record, nobody
// decides it again.
func (b *batch) save(ctx context.Context) error {
	if err := b.pronounce(ctx); err != nil {
		return err
	}
	writes, err := b.writes()
	if err != nil {
		return err
	}
	if len(writes) > 0 {
		if err := b.Store.Save(ctx, b.lane.Number(), writes); err != nil {
			return fmt.Errorf("save %d records: %w", len(writes), err)
		}
	}
	b.pass(crashpoint.Saved)
	applied := events.Position{Sequence: b.last(), Index: events.MaxGroupEntries}
	if err := b.Store.NoteApplied(ctx, b.lane.Number(), applied, b.verdicts.laneState); err != nil {
		return fmt.Errorf("note that the batch is worked: %w", err)
	}
	b.pass(crashpoint.Noted)
	if b.verdicts.loaded {
		b.wakeAll() // whoever came before the load can be listed from here on
	}
	b.observeVisible()
	return nil
}

// writes are the records to save.
func (b *batch) writes() ([]projections.Write, error) {
	writes := make([]projections.Write, 0, len(b.touched))
	for _, c := range b.touched {
		if !c.dirty {
			continue
		}
		w, err := c.after.Write(&c.before)
		if err != nil {
			return nil, err
		}
		b.due(c)
		writes = append(writes, w)
	}
	return writes, nil
}

// tell publishes the facts that were not told yet, in journal order.
func (b *batch) tell(ctx context.Context) error {
	if b.News == nil {
		b.toldUpTo.Store(b.last())
		return nil
	}
	news := b.news()
	if len(news) > 0 {
		if err := b.News.Publish(ctx, news); err != nil {
			return fmt.Errorf("tell %d facts: %w", len(news), err)
		}
		b.Metrics.told.Add(float64(len(news)))
	}
	b.toldUpTo.Store(b.last())
	return nil
}

// news are the facts of the batch as they are told.
func (b *batch) news() []events.News {
	news := make([]events.News, 0, len(b.facts))
	data := b.scratch[:0]
	for i := range b.facts {
		f := &b.facts[i]
		e := &f.Entry.Event
		start := len(data)
		data = f.AppendCloudEvent(data)
		news = append(news, events.News{
			Key: e.Key(), Kind: e.Kind, ID: e.ID,
			Lane: b.lane.Number(), Position: f.Entry.At, Data: data[start:len(data):len(data)],
		})
	}
	b.scratch = data
	return news
}

// bury puts what cannot be folded where a person finds it. It comes before the
// acknowledgement, for after it nothing else remembers the entry.
func (b *batch) bury(ctx context.Context) error {
	for _, l := range b.letters {
		if err := b.DeadLetters.Put(ctx, l); err != nil {
			return fmt.Errorf("put an entry to the dead letters: %w", err)
		}
		b.Metrics.unfoldable.Inc()
		b.log.Warn("entry cannot be folded and went to the dead letters",
			"position", l.Position, "field", l.Field, "reason", l.Reason)
	}
	return nil
}
