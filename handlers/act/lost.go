package act

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gavel/events"
	"gavel/projections"
	"gavel/rules"
)

const (
	// lostFirst is the pause before each of the first two searches, and before one that has to confirm
	// what the last one found or follows one that failed: longer than a try with all its calls, and
	// than the time from an outcome to the record.
	lostFirst = time.Minute
	// lostEvery is the pause before all others, for alarms that NATS loses meanwhile.
	lostEvery = 10 * time.Minute
	// lostAfter is when a decision that was not acknowledged counts too: a consumer whose state is damaged
	// may never deliver it. Deliveries are at most events.MaxLater apart.
	lostAfter = 15 * time.Minute
	// LostSince is how old a decision may be: one that is older has expired.
	LostSince = MaxNotifyAge + time.Hour
)

// StoredDecisions are all decisions of rules (the stream GAVEL_ACTIONS).
type StoredDecisions interface {
	// Since calls fn with the decisions stored since a time, oldest first; settled is whether all of the
	// consumers have acknowledged it.
	Since(ctx context.Context, since time.Time, consumers []string, fn func(d events.Decided, settled bool) error) error
}

// Alarms are the alarms of decisions.
type Alarms interface {
	// Waits reports whether a decision has an alarm that was not acknowledged.
	Waits(ctx context.Context, key events.Key, id string) (bool, error)
	// Later is that of Timers.
	Later(ctx context.Context, key events.Key, id string, at time.Time, note []byte) error
}

// Lost finds decisions whose alarm was lost, and sets it again. A decision that waits is stored in
// GAVEL_ACTIONS, where it is acknowledged, and its alarm in GAVEL_LATER is the only thing that brings
// it back. If that message is damaged, NATS does not have it any more, without an error.
//
// A decision counts as lost if it has neither an outcome nor an alarm in two searches in a row.
// Decisions over many conferences have no record, so they are not found.
type Lost struct {
	Decisions StoredDecisions
	Alarms    Alarms
	Records   Records
	Now       func() time.Time
	Log       *slog.Logger
}

// Run searches until ctx ends. A search that fails is repeated.
func (l Lost) Run(ctx context.Context) error {
	var suspects map[string]bool
	for n := 0; ; {
		pause := time.NewTimer(lostFirst)
		if n >= 2 && len(suspects) == 0 {
			pause.Reset(lostEvery)
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		}
		found, err := l.Search(ctx, suspects)
		if err != nil && ctx.Err() == nil {
			l.Log.Warn("search for decisions without an alarm failed and is repeated", "error", err)
			continue
		}
		suspects = found
		n++
	}
}

// Search sets the alarm of each decision that has none and is one of the suspects, and returns the
// other ones without an alarm, by id.
func (l Lost) Search(ctx context.Context, suspects map[string]bool) (found map[string]bool, err error) {
	found = map[string]bool{}
	consumers := []string{twilioConsumer, notifyConsumer}
	err = l.Decisions.Since(ctx, l.Now().Add(-LostSince), consumers, func(d events.Decided, settled bool) error {
		if !settled && l.Now().Sub(d.AsOf) < lostAfter {
			return nil
		}
		lost, err := l.lost(ctx, d)
		switch {
		case err != nil || !lost:
			return err
		case !suspects[d.ID]:
			found[d.ID] = true
			return nil
		}
		l.Log.Error("alarm of a decision was lost and is set again", "decision", d.ID, "rule", d.Rule, "account_sid", d.Key.AccountSid, "conference_sid", d.Key.ConferenceSid)
		return l.Alarms.Later(ctx, d.Key, d.ID, l.Now(), nil)
	})
	if err != nil {
		return suspects, fmt.Errorf("find decisions without an alarm: %w", err)
	}
	return found, nil
}

// lost reports whether a decision has neither an outcome nor an alarm.
func (l Lost) lost(ctx context.Context, d events.Decided) (bool, error) {
	decision, err := rules.ReadDecision(d.Data)
	if err != nil || decision.Verdict != rules.Act || d.Key.ConferenceSid == "" {
		return false, nil
	}
	stored, err := l.Records.Conference(ctx, d.Key)
	if errors.Is(err, projections.ErrNotFound) || errors.Is(err, projections.ErrFilling) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	t := task{decided: d, stored: stored}
	if a := t.recorded(); a != nil && a.Outcome != nil {
		return false, nil
	}
	waits, err := l.Alarms.Waits(ctx, d.Key, d.ID)
	return !waits, err
}
