package project

import (
	"context"
	"errors"
	"fmt"

	"gavel/events"
	"gavel/projections"
)

// conflictTries is how often a batch is folded anew because somebody else
// wrote a record. One lane has one projector, so a second conflict in a row
// means that another believes to own it.
const conflictTries = 2

// batch is one pass through the six steps.
type batch struct {
	*session
	groups  []events.Group
	entries []entry
	letters []events.DeadLetter
	// touched are the records the entries are about, by key.
	touched map[events.Key]*change
	order   []events.Key
	facts   []fact
}

// entry is one parsed event, as it came, and where the journal has it.
type entry struct {
	event events.Event
	raw   events.Entry
	at    events.Position
}

// change is one record on its way through the batch.
type change struct {
	before *record
	after  projections.Stored
	// dirty: something fresh was folded. again: something was told again, so
	// that the indexes may lag behind as well.
	dirty, again bool
}

// fact is one fresh event and the record right after it.
type fact struct {
	entry *entry
	late  bool
	after *projections.Conference
}

// finish is the third stage: once the batch is saved, tell it, bury what could
// not be folded, and acknowledge.
func (b *batch) finish(ctx context.Context) error {
	if err := b.tell(ctx); err != nil {
		return err
	}
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
		read := 0
		err := g.Split(func(i int, raw events.Entry) error {
			read = i + 1
			at := events.Position{Sequence: g.Sequence, Index: i}
			e, err := events.ParseStored(raw)
			if err != nil {
				b.letters = append(b.letters, letter(raw, at, err))
				return nil
			}
			b.entries = append(b.entries, entry{e, raw, at})
			return nil
		})
		if err != nil {
			at := events.Position{Sequence: g.Sequence, Index: read}
			b.letters = append(b.letters, events.DeadLetter{
				Kind: events.Unfoldable, Reason: err.Error(), Raw: g.Data, Position: at.String(),
			})
		}
	}
}

// foldAndSave repeats itself where a record was written by somebody else since
// it was read.
func (b *batch) foldAndSave(ctx context.Context) error {
	for try := 1; ; try++ {
		if err := b.load(ctx); err != nil {
			return err
		}
		unfoldable := len(b.letters)
		b.fold()
		err := b.save(ctx)
		if err == nil {
			b.remember()
			return nil
		}
		if !errors.Is(err, projections.ErrConflict) || try == conflictTries {
			return err
		}
		b.Metrics.conflicts.Inc()
		b.letters = b.letters[:unfoldable]
		for _, key := range b.order {
			b.records.Remove(key)
		}
	}
}

// load brings in the records of the batch that the lane has not in memory.
func (b *batch) load(ctx context.Context) error {
	b.touched, b.order, b.facts = make(map[events.Key]*change, len(b.entries)), b.order[:0], b.facts[:0]
	var missing []events.Key
	for i := range b.entries {
		key := b.entries[i].event.Key()
		if b.touched[key] != nil {
			continue
		}
		c := &change{}
		b.touched[key], b.order = c, append(b.order, key)
		if known, ok := b.records.Get(key); ok {
			c.start(known)
		} else {
			missing = append(missing, key)
		}
	}
	return b.loadMissing(ctx, missing)
}

func (b *batch) loadMissing(ctx context.Context, keys []events.Key) error {
	if len(keys) == 0 {
		return nil
	}
	stored, err := b.Store.Load(ctx, b.lane.Number(), keys)
	if err != nil {
		return fmt.Errorf("load %d records: %w", len(keys), err)
	}
	told, err := b.told(ctx, keys)
	if err != nil {
		return err
	}
	for i, key := range keys {
		b.touched[key].start(&record{Stored: stored[i], told: told[key]})
	}
	return nil
}

// told asks how far the conferences were told, where somebody before us may
// have told them.
func (b *batch) told(ctx context.Context, keys []events.Key) (map[events.Key]events.Position, error) {
	if b.News == nil || b.entries[0].at.Sequence > b.resumedAt {
		return nil, nil
	}
	told, err := b.News.Told(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("ask how far %d conferences were told: %w", len(keys), err)
	}
	return told, nil
}

func (c *change) start(r *record) { c.before, c.after = r, r.Stored }

// fold tells each record its entries, in journal order.
func (b *batch) fold() {
	for i := range b.entries {
		e := &b.entries[i]
		c := b.touched[e.event.Key()]
		if !e.at.After(c.after.Book.Applied) {
			b.foldAgain(c, e)
			continue
		}
		b.foldNew(c, e)
	}
}

// foldNew folds an entry that the record has not seen.
func (b *batch) foldNew(c *change, e *entry) {
	before := c.after.Conference
	after, fresh, err := projections.Fold(before, &e.event)
	switch {
	case err != nil:
		l := letter(e.raw, e.at, err)
		l.AccountSid = e.event.AccountSid
		b.letters = append(b.letters, l)
		return
	case !fresh:
		b.Metrics.duplicates.Inc()
		return
	}
	late := before.Late(e.event.SequenceNumber)
	c.after.Conference, c.dirty = after, true
	note(&c.after.Book, &e.event, e.at)
	if e.event.Kind == events.SpeechDropped {
		return
	}
	b.doubt(c, projections.Fact{ID: e.event.ID, At: e.at, Late: late})
	b.facts = append(b.facts, fact{e, late, after})
	b.count(before, after, late)
}

// note keeps the books of one fresh fact.
func note(book *projections.Book, e *events.Event, at events.Position) {
	book.Version++
	book.Applied = at
	book.Heard = max(book.Heard, projections.At(e.ReceivedAt))
}

// foldAgain meets an entry at or before the position that the record has
// reached: it was worked before, and only what may not have been told yet has
// anything left to do.
func (b *batch) foldAgain(c *change, e *entry) {
	for _, f := range c.after.Book.Doubtful {
		if f.At == e.at && f.ID == e.event.ID {
			c.again = true
			b.facts = append(b.facts, fact{e, f.Late, c.after.Conference})
			return
		}
	}
	b.Metrics.duplicates.Inc()
}

// doubt notes a fact that is not told yet and forgets those that are. The
// slice before belongs to a record that others may hold.
func (b *batch) doubt(c *change, f projections.Fact) {
	told := b.toldUpTo.Load()
	kept := make([]projections.Fact, 0, len(c.after.Book.Doubtful)+1)
	for _, old := range c.after.Book.Doubtful {
		if old.At.Sequence > told && old.At.After(c.before.told) {
			kept = append(kept, old)
		}
	}
	c.after.Book.Doubtful = append(kept, f)
}

// save writes the records that changed, then their indexes.
func (b *batch) save(ctx context.Context) error {
	writes, indexes := b.writes()
	if len(writes) > 0 {
		if err := b.Store.Save(ctx, b.lane.Number(), writes); err != nil {
			return fmt.Errorf("save %d records: %w", len(writes), err)
		}
	}
	applied := events.Position{Sequence: b.last(), Index: events.MaxGroupEntries}
	if err := b.Store.Index(ctx, b.lane.Number(), applied, indexes); err != nil {
		return fmt.Errorf("index %d records: %w", len(indexes), err)
	}
	b.observeVisible()
	return nil
}

// writes are the records to save, and those whose indexes are to be brought up
// to date: the same, and those worked again, whose indexes nobody may have
// written.
func (b *batch) writes() (writes, indexes []projections.Write) {
	for _, key := range b.order {
		c := b.touched[key]
		w := projections.Write{
			Before: c.before.Conference,
			After:  c.after.Conference,
			Expect: c.before.Book.Version,
			Book:   c.after.Book,
		}
		if c.dirty {
			writes = append(writes, w)
		}
		if c.again {
			w.Before = nil
		}
		if c.dirty || c.again {
			indexes = append(indexes, w)
		}
	}
	return writes, indexes
}

// remember keeps the records for the next batch, under keys of their own: the
// events' would keep whole journal messages in memory.
func (b *batch) remember() {
	for _, key := range b.order {
		c := b.touched[key]
		if known := c.after.Conference; known != nil {
			own := events.Key{AccountSid: known.AccountSid, ConferenceSid: known.ConferenceSid}
			b.records.Add(own, &record{Stored: c.after, told: c.before.told})
		}
	}
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

// news are the facts of the batch that somebody before us has not told.
func (b *batch) news() []events.News {
	news := make([]events.News, 0, len(b.facts))
	data := b.scratch[:0]
	for i := range b.facts {
		f := &b.facts[i]
		key := f.entry.event.Key()
		if !f.entry.at.After(b.touched[key].before.told) {
			continue
		}
		start := len(data)
		data = b.cloudEvent(data, f)
		news = append(news, events.News{
			Key: key, Kind: f.entry.event.Kind, ID: f.entry.event.ID,
			Lane: b.lane.Number(), Position: f.entry.at, Data: data[start:len(data):len(data)],
		})
	}
	b.scratch = data
	return news
}

// cloudEvent appends the news of f.
func (b *batch) cloudEvent(data []byte, f *fact) []byte {
	var scratch [1024]byte
	conference := projections.AppendConference(scratch[:0], f.after)
	return events.AppendCloudEvent(data, &f.entry.event, f.late, conference)
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

func letter(raw events.Entry, at events.Position, err error) events.DeadLetter {
	l := events.DeadLetter{
		Kind:       events.Unfoldable,
		ReceivedAt: raw.ReceivedAt,
		Source:     raw.Source,
		Query:      raw.Query,
		Form:       raw.Form,
		Reason:     err.Error(),
		Position:   at.String(),
	}
	var form *events.FormError
	if errors.As(err, &form) {
		l.Field, l.Reason = form.Field, form.Reason
	}
	return l
}
