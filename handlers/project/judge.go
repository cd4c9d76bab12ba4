package project

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"gavel/events"
	"gavel/internal/crashpoint"
	"gavel/lanes"
	"gavel/rules"
)

// Actions keeps what was decided, each decision once for ever. Decide returns
// when all are acknowledged; fresh is how many were not there yet.
type Actions interface {
	Decide(ctx context.Context, decided []events.Decided) (fresh int, err error)
}

// Timers rings when a conference is to be judged again; a later alarm of the
// same conference takes the place of the one before. Set returns when all are
// acknowledged.
type Timers interface {
	Set(ctx context.Context, lane int, alarms []events.Alarm) error
}

// verdicts are what the rules say to a batch. They leave before the batch is
// saved: whoever dies in between decides again, and alike.
type verdicts struct {
	decided []events.Decided
	taken   []rules.Decision // the same, for counting
	matches []match
	// loaded: other rules came into force. laneChanged: the lane's own state is
	// another.
	loaded, laneChanged bool
	// laneState is the lane's own state after the batch, nil where it is as it
	// was.
	laneState []byte
}

// match is one more for a count.
type match struct {
	key   string
	entry events.Entry
}

// decided encodes what the rules decided at an entry.
func (b *batch) decided(r *lanes.Ready, e *lanes.Entry) error {
	for _, d := range r.Matches {
		key, entry, err := lanes.MatchEntry(d, e.Event.ReceivedAt)
		if err != nil {
			return err
		}
		b.verdicts.matches = append(b.verdicts.matches, match{key, entry})
	}
	for _, d := range r.Decisions {
		decided, err := lanes.Decided(d, b.lane.Number(), e.At)
		if err != nil {
			return err
		}
		b.verdicts.taken = append(b.verdicts.taken, d)
		b.verdicts.decided = append(b.verdicts.decided, decided)
	}
	return nil
}

// fault counts an expression that could not be evaluated. What it says may quote
// what people are called, so it is said where, and not what.
func (b *batch) fault(f rules.ExpressionFault) {
	b.Metrics.faults.WithLabelValues(f.Rule).Inc()
	b.RuleBook.Fault(f.Rule, f.In)
	b.log.Debug("an expression of a rule has no value", "rule", f.Rule, "in", f.In)
}

// seal encodes the lane's own state where it changed.
func (b *batch) seal() (err error) {
	if b.verdicts.laneChanged {
		b.verdicts.laneState, err = b.machine.MarshalState()
	}
	if b.verdicts.loaded {
		b.publishLoads()
	}
	return err
}

// pronounce makes known what the rules said: matches to the lanes that count
// them, decisions to whoever performs them, alarms to NATS.
func (b *batch) pronounce(ctx context.Context) error {
	b.pass(crashpoint.Judged)
	if err := b.appendMatches(ctx); err != nil {
		return err
	}
	if err := b.decide(ctx); err != nil {
		return err
	}
	b.pass(crashpoint.Decided)
	if err := b.setAlarms(ctx); err != nil {
		return err
	}
	b.pass(crashpoint.Armed)
	return nil
}

// pass goes by a point of the life of a decision, in batches that have one.
func (b *batch) pass(p crashpoint.Point) {
	if len(b.verdicts.decided) > 0 {
		crashpoint.Pass(p)
	}
}

// appendMatches puts matches into the journal. One that is stored twice is
// counted once.
func (b *batch) appendMatches(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(appendAtOnce)
	for _, m := range b.verdicts.matches {
		g.Go(func() error { return b.Journal.Append(ctx, m.key, m.entry) })
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("hand %d matches to their counts: %w", len(b.verdicts.matches), err)
	}
	if len(b.verdicts.matches) > 0 {
		crashpoint.Pass(crashpoint.Matched)
	}
	return nil
}

func (b *batch) decide(ctx context.Context) error {
	if b.Actions == nil || len(b.verdicts.decided) == 0 {
		return nil
	}
	if _, err := b.Actions.Decide(ctx, b.verdicts.decided); err != nil {
		return fmt.Errorf("hand on %d decisions: %w", len(b.verdicts.decided), err)
	}
	for i := range b.verdicts.taken {
		d := &b.verdicts.taken[i]
		b.Metrics.decisions.WithLabelValues(d.Rule, string(d.Verdict)).Inc()
	}
	return nil
}

func (b *batch) setAlarms(ctx context.Context) error {
	if b.Timers == nil {
		return nil
	}
	var alarms []events.Alarm
	for _, c := range b.touched {
		if !c.alarm.IsZero() {
			alarms = append(alarms, events.Alarm{Key: c.key, At: c.alarm})
		}
	}
	if len(alarms) == 0 {
		return nil
	}
	if err := b.Timers.Set(ctx, b.lane.Number(), alarms); err != nil {
		return fmt.Errorf("set %d alarms: %w", len(alarms), err)
	}
	return nil
}

// due notes when a conference is due, for whoever sets all alarms anew
// meanwhile.
func (s *session) due(c *change) {
	if s.dues != nil {
		s.dues[c.key] = c.after.Book.Due
	}
}

// at is the moment of Book.Due.
func at(due int64) time.Time { return time.UnixMilli(due).UTC() }
