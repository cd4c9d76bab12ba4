package act

import (
	"context"
	"fmt"
	"time"

	"gavel/events"
	"gavel/internal/crashpoint"
	"gavel/internal/twilio"
	"gavel/projections"
)

// appendTime bounds one append. What ends then is only the wait: the journal
// goes on trying, and what is told again is the same fact.
const appendTime = 5 * time.Second

// tellJournal appends, and waits until it is stored.
func (t *task) tellJournal(ctx context.Context, e events.Entry) error {
	ctx, cancel := context.WithTimeout(ctx, appendTime)
	defer cancel()
	return t.Journal.Append(ctx, t.decided.Key.ConferenceSid, e)
}

// action is what the journal keeps of the task. It says the same in the intent
// and in every outcome, whoever writes them: it was asked as of when the rule
// decided it.
func (t *task) action() events.Action {
	a := events.Action{
		ID: t.decided.ID, Do: t.deed.do,
		AccountSid: t.decided.Key.AccountSid, ConferenceSid: t.decided.Key.ConferenceSid, CallSid: t.decision.CallSid,
		Asked: t.deed.form.Encode(), // of which only fixed values are kept
		Seen:  words(t.sight),
		Actor: events.Actor{Rule: t.decision.Rule},
		At:    t.decision.AsOf,
	}
	if by := t.decision.Redriven; by != nil {
		a.Actor = *by
	}
	return a
}

// words are what the journal keeps of a state: a form of numbers and fixed words.
func words(s twilio.State) string {
	switch {
	case s.At.IsZero():
		return ""
	case !s.Known:
		return "status=gone"
	}
	connected, coming := 0, 0
	for i := range s.Legs {
		switch l := &s.Legs[i]; {
		case l.Status == "connected":
			connected++
		case !l.Gone():
			coming++
		}
	}
	status := s.Status
	if status != projections.StatusInit && status != projections.StatusInProgress && status != projections.StatusCompleted {
		status = "other"
	}
	return fmt.Sprintf("status=%s&connected=%d&coming=%d", status, connected, coming)
}

// recordOutcome tells the journal how it ended. From here on the end of the
// process does not count: what was done has to be known.
func (t *task) recordOutcome(ctx context.Context, o events.Outcome) error {
	ctx = context.WithoutCancel(ctx)
	o.At = t.Now()
	if err := t.tellJournal(ctx, events.NewOutcome(t.action(), o)); err != nil {
		t.log.Error("outcome cannot be appended", "result", o.Result, "error", err)
		return fmt.Errorf("append outcome: %w", err)
	}
	crashpoint.Pass(crashpoint.Recorded)
	t.Metrics.ended(t.decision.Rule, t.deed.do, o.Result, t.age())
	t.log.Info("decision ended", "do", t.decision.Do, "result", o.Result, "why", o.Why, "status", o.Status, "code", o.Code)
	return nil
}

// heal tells the journal what Twilio says otherwise than the record.
func (t *task) heal(ctx context.Context) error {
	if !t.sight.Known || t.stored.Conference == nil {
		return nil
	}
	for _, fact := range projections.Heal(t.stored.Conference, t.sight.Seen, events.NewULID) {
		if err := t.tellJournal(ctx, events.NewHealed(fact)); err != nil {
			return fmt.Errorf("append healed fact: %w", err)
		}
	}
	return nil
}

// closeReread tells the journal that Twilio was asked, behind what was found
// and behind the outcome that made it be asked. With that the task is settled.
func (t *task) closeReread(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	if err := t.tellJournal(ctx, events.NewReread(t.decided.Key, t.Now())); err != nil {
		return fmt.Errorf("append re-read: %w", err)
	}
	return errSettled
}
