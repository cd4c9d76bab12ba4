package act

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gavel/events"
	"gavel/internal/brakes"
	"gavel/internal/crashpoint"
	"gavel/internal/twilio"
	"gavel/projections"
	"gavel/rules"
)

const (
	// MaxTellAge is how long a notification is tried: a day later nobody wants
	// to hear of a call.
	MaxTellAge = 24 * time.Hour
	// maxLook is how old may be what Twilio said when it is acted on.
	maxLook = 2 * time.Second
	// looks bounds how often Twilio is asked how things stand in one go, because
	// the call did not follow in time.
	looks = 3
	// busyDelay is for a decision that is under way in this process already.
	busyDelay = time.Second
	// firstLag and lastLag bound the wait for a record that lies behind its
	// decision: usually it is saved within milliseconds, and after a projector
	// has died within seconds.
	firstLag = 100 * time.Millisecond
	lastLag  = 5 * time.Second
)

// task is one decision on its way through the steps.
type task struct {
	*Performer
	decided  events.Decided
	decision rules.Decision
	note     note // of the last try
	deed     deed // what Twilio is to be asked
	log      *slog.Logger

	stored projections.Stored
	state  *rules.State // beside the record
	// begun: the record has an intent without an outcome. Twilio may have been
	// asked.
	begun bool
	sight twilio.State // before that, zero
	// offHold: the leg is on hold, and has to be taken off it to be changed.
	offHold bool
}

// task reads a decision. What cannot be read never will be.
func (p *Performer) task(d events.Decided, n note) (*task, error) {
	t := &task{Performer: p, decided: d, note: n}
	var err error
	t.log = p.Log.With("decision", d.ID, "rule", d.Rule, "account_sid", d.Key.AccountSid, "conference_sid", d.Key.ConferenceSid)
	if t.decision, err = rules.ReadDecision(d.Data); err != nil {
		t.log.Error("decision cannot be read")
		return nil, err
	}
	t.deed = deedOf(&t.decision)
	return t, nil
}

// step is one of those that are taken one after the other. One that returns nil
// lets the next one follow; all others end the try: ended with an outcome, again with a later one,
// errSettled with nothing left to do, and anything else with the same delivery
// coming again.
type step func(context.Context) error

// errSettled ends a task that has its outcome.
var errSettled = errors.New("settled already")

// ended is a task that ends with this outcome.
type ended struct{ events.Outcome }

func (ended) Error() string { return "the task has ended" }

func end(result events.Result, why string) error {
	return ended{events.Outcome{Result: result, Why: why}}
}

func take(ctx context.Context, steps ...step) error {
	for _, next := range steps {
		if err := next(ctx); err != nil {
			return err
		}
	}
	return nil
}

// perform takes the steps of one decision, and settles how that went.
func (p *Performer) perform(ctx context.Context, t *task) error {
	if !p.underWay.begin(t.decided.ID) {
		return events.Later{After: busyDelay}
	}
	defer p.underWay.end(t.decided.ID)
	crashpoint.Pass(crashpoint.DecisionFetched)
	return t.settle(ctx, t.run(ctx))
}

// run takes the steps that the decision's kind has. They begin anew where the
// call did not follow its look in time.
func (t *task) run(ctx context.Context) error {
	switch d := &t.decision; {
	case d.Verdict == rules.Refused && d.Reason == rules.Stale:
		return take(ctx, t.awaitRecord, t.answerRefusal)
	case d.Verdict != rules.Act:
		return errSettled
	case !d.Do.AtTwilio():
		return take(ctx, t.awaitRecord, t.checkOutcome, t.checkTellDeadline, t.passBrakes, t.tell)
	}
	for range looks {
		err := take(
			ctx, t.awaitRecord, t.checkOutcome, t.checkParameters, t.checkUnheld, t.checkAnnounced, t.checkDeadline, t.checkStop,
			t.look, t.checkDone, t.checkStands, t.checkHeld, t.passBrakes, t.intend, t.call,
		)
		if !errors.Is(err, errOldLook) {
			return err
		}
	}
	return again{why: whyCrowded}
}

// settle does what the last step asks for.
func (t *task) settle(ctx context.Context, last error) error {
	var done ended
	var later again
	switch {
	case errors.Is(last, errSettled):
		return nil
	case errors.As(last, &done):
		return t.recordOutcome(ctx, done.Outcome)
	case errors.As(last, &later) && ctx.Err() != nil && !t.begun:
		return ctx.Err() // another process need not wait
	case errors.As(last, &later):
		return t.wait(ctx, later)
	}
	return last
}

// awaitRecord reads the record, and waits until it has come as far as the
// decision. What counts over many conferences has none.
func (t *task) awaitRecord(ctx context.Context) error {
	if t.decided.Key.ConferenceSid == "" {
		return nil
	}
	stored, err := t.Records.Conference(ctx, t.decided.Key)
	switch {
	case errors.Is(err, projections.ErrNotFound) && t.age() > MaxTellAge:
		// It was kept for as long as the picture keeps conferences.
		return end(events.Expired, "forgotten")
	case errors.Is(err, projections.ErrNotFound), errors.Is(err, projections.ErrFilling),
		err == nil && t.decided.Position.After(stored.Book.Applied):
		return events.Later{After: min(max(t.age()/4, firstLag), lastLag)}
	}
	if err != nil {
		return err
	}
	t.stored = stored
	if t.state, err = rules.DecodeState(stored.Rules); err != nil {
		return err
	}
	return nil
}

// age is how long ago it was decided, by our own clock.
func (t *task) age() time.Duration { return t.Now().Sub(t.decision.AsOf) }

// checkOutcome ends what has its outcome: the message has come again, or
// another process was faster.
func (t *task) checkOutcome(ctx context.Context) error {
	a := t.recorded()
	if a == nil {
		return nil
	}
	t.begun = a.Intent
	switch {
	case a.Outcome == nil && a.Intent && t.mayUnhold() && !t.note.Secured:
		return errSettled // see secure
	case a.Outcome == nil:
		return nil
	case a.Outcome.Result == events.Stale:
		// Whoever wrote it may not have come to close the re-read.
		return t.closeReread(ctx)
	}
	return errSettled
}

// recorded is the action as the record has it, nil where there is none.
func (t *task) recorded() *projections.ActionRecord {
	if t.stored.Conference == nil {
		return nil
	}
	for _, a := range t.stored.Conference.Actions {
		if a.ID == t.decided.ID {
			return a
		}
	}
	return nil
}

// checkParameters ends what an expression has given a value that Twilio would
// not take, or would take for another.
func (t *task) checkParameters(context.Context) error {
	if t.deed.bent {
		return end(events.Failed, "parameters")
	}
	return nil
}

// checkDeadline keeps what comes too late from being done. Where nobody knows
// yet whether Twilio was asked, Twilio knows.
func (t *task) checkDeadline(ctx context.Context) error {
	switch {
	case t.age() <= rules.MaxAge:
		return nil
	case t.begun:
		return t.expireBegun(ctx)
	case t.note.InTime:
		return t.expire(ctx, events.Expired)
	}
	return t.endStale(ctx)
}

// endStale does not act on what is so old: it asks how things stand, and lets
// the rule begin anew from there.
func (t *task) endStale(ctx context.Context) error {
	if err := t.look(ctx); err != nil && t.age() <= MaxTellAge {
		return err
	}
	if err := t.recordOutcome(ctx, events.Outcome{Result: events.Stale}); err != nil {
		return err
	}
	return t.closeReread(ctx)
}

// answerRefusal asks how things stand where Judge met a fact that was too old
// to act on. Nobody waits for an outcome of what was refused.
func (t *task) answerRefusal(ctx context.Context) error {
	if t.age() > MaxTellAge {
		return errSettled
	}
	if err := t.look(ctx); err != nil {
		return err
	}
	return t.closeReread(ctx)
}

// checkStop keeps Twilio from being asked at all while everything is stopped.
func (t *task) checkStop(ctx context.Context) error {
	stopped, _, err := t.Brakes.Stopped(ctx)
	if stopped || err != nil {
		return again{why: whyStopped}
	}
	return nil
}

// look requests the state at Twilio, and appends to the journal what the record
// lacks.
func (t *task) look(ctx context.Context) error {
	if err := t.see(ctx); err != nil {
		return err
	}
	return t.heal(ctx)
}

// see requests the state at Twilio.
func (t *task) see(ctx context.Context) error {
	state, err := twilio.Snapshot(ctx, t.Twilio, t.decided.Key, t.Now())
	var refused *twilio.AnswerError
	switch {
	case errors.As(err, &refused):
		return notNow(refused.Answer)
	case err != nil:
		t.log.Warn("Twilio cannot be asked how things stand", "error", err)
		return again{why: whyUnsent}
	}
	t.sight = state
	crashpoint.Pass(crashpoint.StateRead)
	return nil
}

// checkDone ends what Twilio shows to be so already: by us before a crash, or
// by somebody else. It comes before the question whether the rule still holds,
// for what it did may be what makes it hold no more.
func (t *task) checkDone(context.Context) error {
	if t.deed.shows != nil && t.deed.shows(t.sight) {
		return end(events.Done, "already")
	}
	return nil
}

// checkStands holds the rule against what Twilio said.
func (t *task) checkStands(ctx context.Context) error {
	set, err := t.Rules.Set(ctx, t.decision.Version)
	if err != nil {
		return fmt.Errorf("find set of rules: %w", err)
	}
	why := rules.Still(set, rules.Case{
		Decision: &t.decision, State: t.state, Record: projections.Overlay(t.stored.Conference, t.sight.Seen), Now: t.Now(), Redriven: t.decision.Redriven != nil,
	})
	switch {
	case why == "":
		return nil
	case t.begun && t.deed.shows == nil:
		// Nothing would show that Twilio did what it may have been asked.
		return end(events.Unknown, string(why))
	}
	return end(events.Lapsed, string(why))
}

// passBrakes asks whether the rule may act now. A notification is no part of
// what an account may do at Twilio, and is bounded only by a rule that does
// nothing else.
func (t *task) passBrakes(ctx context.Context) error {
	set, err := t.Rules.Set(ctx, t.decision.Version)
	if err != nil {
		return fmt.Errorf("find set of rules: %w", err)
	}
	request := brakes.Request{Rule: t.decision.Rule, AccountSid: t.decision.AccountSid, ID: t.decision.ID}
	rule := set.Rule(t.decision.Rule)
	if rule != nil && (t.decision.Do.AtTwilio() || !rule.AtTwilio()) {
		request.Limits = rule.Limits
	}
	if t.decision.Do.AtTwilio() {
		request.Ceiling = set.Ceiling
	}
	verdict, err := t.Brakes.Admit(ctx, request)
	if err != nil {
		return again{why: whyBraked}
	}
	return t.heed(verdict)
}

// intend tells the journal what is about to be asked.
func (t *task) intend(ctx context.Context) error {
	if t.begun {
		return nil
	}
	if err := t.secure(ctx); err != nil {
		return err
	}
	if err := t.tellJournal(ctx, events.NewIntent(t.action())); err != nil {
		return fmt.Errorf("append intent: %w", err)
	}
	t.begun = true
	crashpoint.Pass(crashpoint.Intended)
	return nil
}
