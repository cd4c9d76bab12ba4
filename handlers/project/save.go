package project

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"gavel/events"
	"gavel/internal/crashpoint"
	"gavel/lanes"
	"gavel/projections"
	"gavel/rules"
)

// Actions stores decisions, each once. Decide returns when all are acknowledged;
// fresh is how many were not stored yet.
type Actions interface {
	Decide(ctx context.Context, decided []events.Decided) (fresh int, err error)
}

// Timers holds alarms: when a conference is to be evaluated again. A new alarm of a conference
// replaces the one before. Set returns when all are acknowledged.
type Timers interface {
	Set(ctx context.Context, lane int, alarms []events.Alarm) error
}

// pictures writes and checks the picture.
type pictures interface {
	Check(ctx context.Context, lane int, floor uint64) error
	Save(ctx context.Context, lane int, writes []projections.Write) error
	NoteApplied(ctx context.Context, lane int, applied events.Position, state []byte, chain string) error
	Expire(ctx context.Context, lane int, cutoff time.Time) (removed int, err error)
}

const (
	// checkEvery is how often an idle lane compares the picture with the journal:
	// half of the two seconds that a loss may go unnoticed.
	checkEvery = time.Second
	// expireEvery is how often conferences without an event for longer than
	// Config.Keep are removed.
	expireEvery = 10 * time.Minute
)

// tally counts decisions for people.
type tally interface {
	Decided(rule string, v rules.Verdict, asOf time.Time)
}

// saver is the third stage: it publishes the decisions and saves the picture.
// Once a second, with or without batches, it checks the picture.
type saver struct {
	lane    int
	store   pictures
	journal Appender
	actions Actions
	timers  Timers
	tally   tally // nil without rules
	writing *writeLock
	// wakeAll requests a wake-up of all conferences.
	wakeAll signal
	status  *status
	keep    time.Duration
	// scratch holds the writes of one batch.
	scratch []projections.Write
	// saved and expired are the times of the last save and the last expiry.
	saved, expired time.Time
	now, passed    func() time.Time
	log            *slog.Logger
	metrics        *Metrics
}

func (s *saver) run(ctx context.Context, folded <-chan *batch, saved chan<- *batch) error {
	check := time.NewTicker(checkEvery)
	defer check.Stop()
	for {
		select {
		case b := <-folded:
			if err := s.save(ctx, b); err != nil {
				return err
			}
			if err := pass(ctx, saved, b); err != nil {
				return err
			}
		case <-check.C:
			if err := s.check(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// save publishes the decisions of rules, writes the conferences that changed, and
// notes that the batch is applied. Decisions are published first: once they are in
// the rule state, they are not made again.
func (s *saver) save(ctx context.Context, b *batch) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.saved = s.now()
	if err := s.publish(ctx, b); err != nil {
		return err
	}
	writes, err := s.writes(b)
	if err != nil {
		return err
	}
	if len(writes) > 0 {
		if err := s.store.Save(ctx, s.lane, writes); err != nil {
			return fmt.Errorf("save %d records: %w", len(writes), err)
		}
	}
	b.pass(crashpoint.Saved)
	applied := events.Position{Sequence: b.last(), Index: events.MaxGroupEntries}
	if err := s.store.NoteApplied(ctx, s.lane, applied, b.laneState, b.chain()); err != nil {
		return fmt.Errorf("note that the batch is applied: %w", err)
	}
	b.pass(crashpoint.Applied)
	if b.loaded {
		s.wakeAll.send() // from here on all conferences from before the load can be listed
	}
	s.observe(b.read.Entries)
	return nil
}

// writes returns the conferences to save.
func (s *saver) writes(b *batch) ([]projections.Write, error) {
	clear(s.scratch) // its elements may have left the folder's cache
	writes := s.scratch[:0]
	for i := range b.changes {
		c := &b.changes[i]
		if !c.dirty {
			continue
		}
		w, err := c.after.Write(&c.before)
		if err != nil {
			return nil, err
		}
		if s.writing.dues != nil {
			s.writing.dues[c.key] = w.Book.Due
		}
		writes = append(writes, w)
	}
	s.scratch = writes
	return writes, nil
}

// publish publishes the results of rules: matches to the lanes that count them,
// decisions to the performers, alarms to NATS.
func (s *saver) publish(ctx context.Context, b *batch) error {
	b.pass(crashpoint.Judged)
	if err := s.appendMatches(ctx, b.matches); err != nil {
		return err
	}
	if err := s.decide(ctx, b); err != nil {
		return err
	}
	b.pass(crashpoint.Decided)
	if err := s.setAlarms(ctx, b.changes); err != nil {
		return err
	}
	b.pass(crashpoint.Armed)
	return nil
}

// appendMatches appends matches to the journal. A match that is stored twice counts once.
func (s *saver) appendMatches(ctx context.Context, matches []match) error {
	if len(matches) == 0 {
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(appendAtOnce)
	for _, m := range matches {
		g.Go(func() error { return s.journal.Append(ctx, m.key, m.entry) })
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("append %d matches: %w", len(matches), err)
	}
	crashpoint.Pass(crashpoint.Matched)
	return nil
}

func (s *saver) decide(ctx context.Context, b *batch) error {
	if s.actions == nil || len(b.decisions) == 0 {
		return nil
	}
	if _, err := s.actions.Decide(ctx, b.decisions); err != nil {
		return fmt.Errorf("publish %d decisions: %w", len(b.decisions), err)
	}
	for _, v := range b.counted {
		s.metrics.decisions.WithLabelValues(v.rule, string(v.verdict)).Inc()
		if s.tally != nil {
			s.tally.Decided(v.rule, v.verdict, v.asOf)
		}
	}
	return nil
}

func (s *saver) setAlarms(ctx context.Context, changes []change) error {
	if s.timers == nil {
		return nil
	}
	var alarms []events.Alarm
	for i := range changes {
		if c := &changes[i]; !c.alarm.IsZero() {
			alarms = append(alarms, events.Alarm{Key: c.key, At: c.alarm})
		}
	}
	if len(alarms) == 0 {
		return nil
	}
	if err := s.timers.Set(ctx, s.lane, alarms); err != nil {
		return fmt.Errorf("set %d alarms: %w", len(alarms), err)
	}
	return nil
}

// observe measures the time until entries were readable.
func (s *saver) observe(entries []lanes.Entry) {
	s.metrics.batchEntries.Observe(float64(len(entries)))
	if len(entries) == 0 {
		return
	}
	now := s.now()
	for i := range entries {
		s.metrics.visible.Observe(now.Sub(entries[i].Event.ReceivedAt).Seconds())
	}
	s.status.setLag(max(0, now.Sub(entries[len(entries)-1].Event.ReceivedAt)))
}

// check compares the picture with the journal and removes conferences that are no longer kept.
func (s *saver) check(ctx context.Context) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	now := s.now()
	if now.Sub(s.saved) > checkEvery {
		s.status.idle()
	}
	if err := s.store.Check(ctx, s.lane, s.status.worked.Load()); err != nil {
		return fmt.Errorf("check the picture: %w", err)
	}
	return s.expire(ctx, now)
}

// expire removes conferences that certainly had no event for longer than they are kept. A clock
// that was corrected may be far behind the last time that it did so.
func (s *saver) expire(ctx context.Context, now time.Time) error {
	passed := s.passed()
	if s.keep <= 0 || passed.IsZero() || now.Sub(s.expired).Abs() < expireEvery {
		return nil
	}
	s.expired = now
	removed, err := s.store.Expire(ctx, s.lane, passed.Add(-s.keep))
	if err != nil {
		return fmt.Errorf("remove old conferences: %w", err)
	}
	if removed == 0 {
		return nil
	}
	s.log.Info("old conferences removed from the picture", "removed", removed)
	return errSwitched // the folder's cache may hold conferences that were removed
}
