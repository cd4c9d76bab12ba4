package project

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gavel/events"
	"gavel/internal/crashpoint"
	"gavel/projections"
)

// batch is one pass through the steps.
type batch struct {
	*session
	groups  []events.Group
	entries []entry
	letters []events.DeadLetter
	// touched are the records that the entries are about, in the order in
	// which they are met.
	touched []*change
	facts   []fact
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
	clear(b.touched)
	clear(b.facts)
	b.groups, b.letters, b.verdicts = nil, nil, verdicts{}
	b.entries, b.touched, b.facts = b.entries[:0], b.touched[:0], b.facts[:0]
	select {
	case s.spare <- b:
	default:
	}
}

// entry is one parsed event, as it came, and where the journal has it.
type entry struct {
	event  events.Event
	raw    events.Entry
	at     events.Position
	change *change // nil for what is of the lane, and of no conference
}

// change is one record on its way through the batch.
type change struct {
	key    events.Key
	record *record
	before dossier
	after  dossier
	// alarm is for when the conference's alarm is to be set, or zero.
	alarm time.Time
}

// dirty reports whether the record or its rule state changed.
func (c *change) dirty() bool { return c.after.Book.Version != c.before.Book.Version }

// fact is one fresh event and the record right after it.
type fact struct {
	entry *entry
	late  bool
	after *projections.Conference
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
		read := 0
		err := g.Split(func(i int, raw events.Entry) error {
			read = i + 1
			at := events.Position{Sequence: g.Sequence, Index: i}
			b.entries = append(b.entries, entry{raw: raw, at: at})
			e := &b.entries[len(b.entries)-1]
			var err error
			if e.event, err = events.ParseStored(raw); err != nil {
				b.letters = append(b.letters, letter(raw, at, err))
			}
			if err != nil || !b.concerns(&e.event) {
				b.entries = b.entries[:len(b.entries)-1]
			}
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

// concerns reports whether the event is the batch's to work. The journal has
// actions on rooms that were known by their names only, for the audit; no record
// is theirs. Who does not judge passes over what is for judging only.
func (b *batch) concerns(e *events.Event) bool {
	switch e.Kind {
	case events.RulesLoaded, events.RuleMatch, events.Wake, events.Reread:
		return b.docket != nil
	}
	return e.ConferenceSid != ""
}

// load brings in the records of the batch that the lane has not in memory.
func (b *batch) load(ctx context.Context) error {
	var missing []*change
	for i := range b.entries {
		e := &b.entries[i]
		if e.event.ConferenceSid == "" {
			continue
		}
		key := e.event.Key()
		r, known := b.records.Get(key)
		if !known {
			key = ownKey(&e.event)
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
		e.change = r.open
	}
	if err := b.loadMissing(ctx, missing); err != nil {
		return err
	}
	for _, c := range b.touched {
		c.before, c.after = c.record.dossier, c.record.dossier
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
		if c.record.dossier, err = openDossier(stored[i]); err != nil {
			return fmt.Errorf("read %s: %w", c.key.ConferenceSid, err)
		}
		c.record.told = told[c.key]
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

// fold tells each record its entries, in journal order, and holds each against
// the rules.
func (b *batch) fold(ctx context.Context) error {
	for i := range b.entries {
		e := &b.entries[i]
		var err error
		switch {
		case e.change == nil:
			err = b.hearLane(ctx, e)
		case !e.at.After(e.change.after.Book.Applied):
			b.foldAgain(e.change, e)
		default:
			err = b.foldNew(ctx, e.change, e)
		}
		if err != nil {
			return err
		}
	}
	return b.seal()
}

// foldNew folds an entry that the record has not seen.
func (b *batch) foldNew(ctx context.Context, c *change, e *entry) error {
	h, err := c.after.fold(&e.event, e.at)
	if err != nil {
		b.letters = append(b.letters, unfoldable(e, err))
		return nil
	}
	if h.fresh {
		b.hearFact(c, e, h.before)
	} else if !onlyJudged(&e.event) {
		b.Metrics.duplicates.Inc()
	}
	return b.judge(ctx, c, h)
}

// hearFact notes that a fresh fact is to be told.
func (b *batch) hearFact(c *change, e *entry, before *projections.Conference) {
	if e.event.Kind == events.SpeechDropped {
		return
	}
	late := before.Late(e.event.SequenceNumber)
	b.doubt(c, projections.Fact{ID: e.event.ID, At: e.at, Late: late})
	b.facts = append(b.facts, fact{e, late, c.after.Conference})
	b.count(before, c.after.Conference, late)
}

// foldAgain meets an entry at or before the position that the record has
// reached: it was worked before, and only what may not have been told yet has
// anything left to do.
func (b *batch) foldAgain(c *change, e *entry) {
	for _, f := range c.after.Book.Doubtful {
		if f.At == e.at && f.ID == e.event.ID {
			b.facts = append(b.facts, fact{e, f.Late, c.after.Conference})
			return
		}
	}
	if !onlyJudged(&e.event) {
		b.Metrics.duplicates.Inc()
	}
}

// doubt notes a fact that is not told yet and forgets those that are. The
// slice before belongs to a record that others may hold.
func (b *batch) doubt(c *change, f projections.Fact) {
	told := b.toldUpTo.Load()
	kept := make([]projections.Fact, 0, len(c.after.Book.Doubtful)+1)
	for _, old := range c.after.Book.Doubtful {
		if old.At.Sequence > told && old.At.After(c.record.told) {
			kept = append(kept, old)
		}
	}
	c.after.Book.Doubtful = append(kept, f)
}

// remember leaves the records as the next batch shall find them.
func (b *batch) remember() {
	for _, c := range b.touched {
		c.record.dossier, c.record.open = c.after, nil
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
		if !c.dirty() {
			continue
		}
		state, err := c.after.rules(c.before.state)
		if err != nil {
			return nil, err
		}
		b.due(c)
		writes = append(writes, projections.Write{
			Before:    c.before.Conference,
			After:     c.after.Conference,
			Expect:    c.before.Book.Version,
			Book:      c.after.Book,
			DueBefore: c.before.Book.Due,
			Rules:     state,
		})
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

// news are the facts of the batch that somebody before us has not told.
func (b *batch) news() []events.News {
	news := make([]events.News, 0, len(b.facts))
	data := b.scratch[:0]
	for i := range b.facts {
		f := &b.facts[i]
		c := f.entry.change
		if !f.entry.at.After(c.record.told) {
			continue
		}
		start := len(data)
		data = b.cloudEvent(data, f)
		news = append(news, events.News{
			Key: c.key, Kind: f.entry.event.Kind, ID: f.entry.event.ID,
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

// unfoldable is the letter about an entry that is of an account.
func unfoldable(e *entry, err error) events.DeadLetter {
	l := letter(e.raw, e.at, err)
	l.AccountSid = e.event.AccountSid
	return l
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
