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

// appendTime bounds the wait for one append. The journal keeps trying, and a
// repeated append is the same fact.
const appendTime = 5 * time.Second

// append appends an entry to the journal and waits until it is stored.
func (t *task) append(ctx context.Context, e events.Entry) error {
	ctx, cancel := context.WithTimeout(ctx, appendTime)
	defer cancel()
	return t.Journal.Append(ctx, t.decided.Key.ConferenceSid, e)
}

// action is what the journal keeps of the task. It is the same in the intent and
// in every outcome, from any process: its time is that of the decision.
func (t *task) action() events.Action {
	a := events.Action{
		ID: t.decided.ID, Do: t.op.do,
		AccountSid: t.decided.Key.AccountSid, ConferenceSid: t.decided.Key.ConferenceSid, CallSid: t.decision.CallSid,
		Asked: t.op.form.Encode(), // NewIntent keeps only fixed values
		Seen:  words(t.seen),
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

// recordOutcome appends the outcome to the journal. It ignores the end of ctx,
// because what was done must be recorded.
func (t *task) recordOutcome(ctx context.Context, o events.Outcome) error {
	ctx = context.WithoutCancel(ctx)
	o.At = t.Now()
	entry := events.NewOutcome(t.action(), o)
	err := t.append(ctx, entry)
	if err == nil {
		err = t.receipt(ctx, entry)
	}
	if err != nil {
		t.log.Error("outcome cannot be appended", "result", o.Result, "error", err)
		return fmt.Errorf("append outcome: %w", err)
	}
	crashpoint.Pass(crashpoint.Recorded)
	t.healAnswered(ctx)
	t.Metrics.actions.WithLabelValues(t.decision.Rule, string(t.op.do), string(o.Result)).Inc()
	t.Metrics.seconds.WithLabelValues(string(t.op.do)).Observe(t.age().Seconds())
	t.log.Info("decision ended", "do", t.decision.Do, "result", o.Result, "why", o.Why, "status", o.Status, "code", o.Code)
	return nil
}

// receipt stores the outcome beside a decision about no conference: its entry in the journal is in no
// record that a reader could find.
func (t *task) receipt(ctx context.Context, outcome events.Entry) error {
	if t.decided.Key.ConferenceSid != "" || t.Receipts == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, appendTime)
	defer cancel()
	return t.Receipts.RecordOutcome(ctx, t.decided.Key, t.decided.ID, outcome)
}

// heal appends the facts in which Twilio's state differs from the record.
func (t *task) heal(ctx context.Context) error {
	if t.stored.Conference == nil {
		return nil
	}
	for _, fact := range projections.Heal(t.stored.Conference, t.seen.Seen, events.NewULID) {
		if err := t.append(ctx, events.NewHealed(fact)); err != nil {
			return fmt.Errorf("append healed fact: %w", err)
		}
	}
	return nil
}

// healAnswered appends what Twilio's answer states beyond the record. It comes behind the outcome,
// because the end of a conference ends the ladder whose next step the outcome leads to. If it fails,
// the record is as it is without the answer.
func (t *task) healAnswered(ctx context.Context) {
	entry, found := projections.Answered(t.stored.Conference, t.answer, t.Now(), events.NewULID)
	if !found {
		return
	}
	if err := t.append(ctx, entry); err != nil {
		t.log.Warn("what Twilio answered is not recorded", "error", err)
	}
}

// closeReread appends the end of a re-read to the journal, behind the healed facts
// and behind the outcome that caused it. With that the task is settled.
func (t *task) closeReread(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	if err := t.append(ctx, events.NewReread(t.decided.Key, t.Now())); err != nil {
		return fmt.Errorf("append re-read: %w", err)
	}
	return errSettled
}
