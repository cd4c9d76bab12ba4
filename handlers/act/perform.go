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
	// MaxNotifyAge is how long a notification is tried: after a day it is of no use.
	MaxNotifyAge = 24 * time.Hour
	// fetches bounds how often one try fetches the state from Twilio because the
	// call did not follow in time.
	fetches = 3
	// recentTime is how long after its last entry a conference that Twilio does not have counts as one
	// that Twilio will have again.
	recentTime = 10 * time.Minute
	// busyDelay is for a decision that is under way in this process already.
	busyDelay = time.Second
	// firstLag and lastLag bound the wait for a record that is behind its decision. Usually it is
	// saved within milliseconds, and within seconds after a projector has died.
	firstLag = 100 * time.Millisecond
	lastLag  = 5 * time.Second
)

// task is one decision on its way through the steps.
type task struct {
	*Performer
	decided  events.Decided
	decision rules.Decision
	note     note // of the last try
	op       operation
	log      *slog.Logger

	stored projections.Stored
	state  *rules.State // beside the record
	// begun: the record has an intent without an outcome. sent: Twilio may have received the request.
	begun, sent bool
	// inForce is the set of rules in force when the gate was asked last.
	inForce *rules.Set
	seen    twilio.State // zero before fetch
	// slow: Twilio's state was too old to act on when it came.
	slow bool
	// answer is the body of Twilio's answer that carried the decision out, nil without one.
	answer []byte
	// offHold: the leg is on hold and must be taken off hold to be changed.
	offHold bool
}

// task returns the task of a decision. A decision that cannot be read never will be.
func (p *Performer) task(d events.Decided, n note) (*task, error) {
	t := &task{Performer: p, decided: d, note: n}
	var err error
	t.log = p.Log.With("decision", d.ID, "rule", d.Rule, "account_sid", d.Key.AccountSid, "conference_sid", d.Key.ConferenceSid)
	if t.decision, err = rules.ReadDecision(d.Data); err != nil {
		t.log.Error("decision cannot be read")
		return nil, err
	}
	t.op = operationOf(&t.decision)
	return t, nil
}

// step is one step of a task. After nil the next step follows. Any other result
// ends the try: ended with an outcome, again with a later try, errSettled with
// nothing left to do, and any other error with a redelivery.
type step func(context.Context) error

// errSettled ends a task that has its outcome.
var errSettled = errors.New("settled already")

// ended ends a task with an outcome.
type ended struct{ events.Outcome }

func (ended) Error() string { return "the task has ended" }

func end(result events.Result, why string) error {
	return ended{events.Outcome{Result: result, Why: why}}
}

// inOrder runs steps until one returns an error.
func inOrder(ctx context.Context, steps ...step) error {
	for _, next := range steps {
		if err := next(ctx); err != nil {
			return err
		}
	}
	return nil
}

// perform runs the steps of one decision and settles their result. While the machine's clock is in
// doubt it is redelivered: a deadline must not pass by that clock, and no alarm may be set by it.
func (p *Performer) perform(ctx context.Context, t *task) error {
	if p.Doubt() != nil {
		return events.Later{After: busyDelay}
	}
	if !p.underWay.begin(t.decided.ID) {
		return events.Later{After: busyDelay}
	}
	defer p.underWay.tasks.Delete(t.decided.ID)
	crashpoint.Pass(crashpoint.DecisionFetched)
	return t.settle(ctx, t.run(ctx))
}

// run runs the steps for the decision's kind. They begin again if the call did
// not follow the fetch of the state in time.
func (t *task) run(ctx context.Context) error {
	switch d := &t.decision; {
	case d.Verdict == rules.Refused && d.Reason == rules.Stale:
		return inOrder(ctx, t.awaitRecord, t.answerRefusal)
	case d.Verdict != rules.Act:
		return errSettled
	case !d.Do.AtTwilio():
		return inOrder(ctx, t.awaitRecord, t.checkOutcome, t.checkNotifyDeadline, t.passBrakes, t.notify)
	}
	for range fetches {
		err := inOrder(
			ctx, t.awaitRecord, t.checkOutcome, t.checkParameters, t.checkUnheld, t.checkAnnounced, t.checkDeadline, t.checkStop,
			t.fetchAndHeal, t.checkDone, t.passGate, t.checkHeld, t.passBrakes, t.intend, t.call,
		)
		if !errors.Is(err, errOldState) {
			return err
		}
	}
	if t.slow {
		return again{why: whySlow}
	}
	return again{why: whyCrowded}
}

// settle does what the last step's result requires.
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
		err := t.wait(ctx, later)
		if err != nil && t.note.Unheld {
			return t.holdWithoutAlarm(ctx, err)
		}
		return err
	}
	return last
}

// awaitRecord reads the record, and waits until it includes the decision's
// entry. A decision that counts over many conferences has no record.
func (t *task) awaitRecord(ctx context.Context) error {
	if t.decided.Key.ConferenceSid == "" {
		return nil
	}
	stored, err := t.Records.Conference(ctx, t.decided.Key)
	switch {
	case errors.Is(err, projections.ErrNotFound) && t.age() > MaxNotifyAge:
		// The picture no longer keeps the conference.
		return end(events.Expired, "forgotten")
	case errors.Is(err, projections.ErrNotFound), errors.Is(err, projections.ErrFilling),
		err == nil && t.decided.Position.After(stored.Book.Applied):
		return events.Later{After: min(max(t.age()/4, firstLag), lastLag)}
	}
	if err != nil {
		return err
	}
	t.stored = stored
	t.state, err = rules.DecodeState(stored.Rules)
	return err
}

// age is the time since the decision, by Gavel's clock.
func (t *task) age() time.Duration { return t.Now().Sub(t.decision.AsOf) }

// checkOutcome ends a task whose outcome is already in the record: the message is a
// redelivery, or another process has performed the decision.
func (t *task) checkOutcome(ctx context.Context) error {
	if c := t.stored.Conference; c != nil && c.Settled.Has(t.decided.ID) {
		return errSettled
	}
	a := t.recorded()
	if a == nil {
		return nil
	}
	t.begun, t.sent = a.Intent, a.Intent
	switch {
	case a.Outcome == nil && a.Intent && t.mayUnhold() && !t.note.Secured:
		return errSettled // see secure
	case a.Outcome == nil:
		return nil
	case a.Outcome.Result == events.Stale:
		// The process that recorded it may have died before it closed the re-read.
		return t.closeReread(ctx)
	}
	return errSettled
}

// recorded is the action in the record, nil if the record has none.
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

// checkParameters ends a task if an expression made a value that Twilio would
// refuse or read as another.
func (t *task) checkParameters(context.Context) error {
	if t.op.invalid {
		return end(events.Failed, "parameters")
	}
	return nil
}

// checkDeadline ends a task that is too late. If Twilio may have received the
// request already, its state decides how the task ends.
func (t *task) checkDeadline(ctx context.Context) error {
	switch {
	case t.age() <= t.maxAge():
		return nil
	case t.note.Why == string(rules.Ringing):
		return end(events.Lapsed, t.note.Why)
	case t.note.Why == whyMissing:
		return t.expire(ctx, events.Unknown)
	case t.begun:
		return t.expireBegun(ctx)
	case t.note.InTime:
		return t.expire(ctx, events.Expired)
	}
	return t.endStale(ctx)
}

// endStale ends a task without acting. It fetches the state, so that the rule
// begins again from there.
func (t *task) endStale(ctx context.Context) error {
	if err := t.fetchAndHeal(ctx); err != nil && t.age() <= MaxNotifyAge {
		return err
	}
	if err := t.recordOutcome(ctx, events.Outcome{Result: events.Stale}); err != nil {
		return err
	}
	return t.closeReread(ctx)
}

// answerRefusal fetches the state because Judge met a fact that was too old to
// act on. A refused decision has no outcome.
func (t *task) answerRefusal(ctx context.Context) error {
	if t.age() > MaxNotifyAge {
		return errSettled
	}
	if err := t.fetchAndHeal(ctx); err != nil && !errors.As(err, new(ended)) {
		return err
	}
	return t.closeReread(ctx)
}

// checkStop defers the task while rules are stopped, or if the stop cannot be read.
func (t *task) checkStop(ctx context.Context) error {
	stopped, _, err := t.Brakes.Stopped(ctx)
	if stopped || err != nil {
		return again{why: whyStopped}
	}
	return nil
}

// fetchAndHeal fetches the state from Twilio and appends what the record lacks to the journal.
func (t *task) fetchAndHeal(ctx context.Context) error {
	if err := t.fetch(ctx); err != nil {
		return err
	}
	return t.heal(ctx)
}

// region returns the region of Twilio where the conference is; empty for the home region.
func (t *task) region() string {
	if t.stored.Conference == nil {
		return ""
	}
	return t.stored.Conference.KeyRegion.Value
}

// fetch fetches the state from Twilio.
func (t *task) fetch(ctx context.Context) error {
	state, err := twilio.Snapshot(ctx, t.Twilio, t.decided.Key, t.region(), t.Now)
	var refused *twilio.AnswerError
	switch {
	case errors.As(err, &refused):
		return notNow(refused.Answer)
	case err != nil:
		t.log.Warn("state cannot be fetched from Twilio", "error", err)
		return again{why: whyUnsent}
	case !state.Known:
		return t.missing()
	}
	t.seen = state
	if t.slow = t.Now().Sub(state.At) > rules.MaxStateAge; t.slow {
		t.log.Error("Twilio answers too slowly for rules to act", "took_seconds", t.Now().Sub(state.At).Seconds())
	}
	crashpoint.Pass(crashpoint.StateRead)
	return nil
}

// missing returns what follows if Twilio does not have the conference. That proves nothing while the
// conference is in use: the address or the region may be wrong, or a part of Twilio behind.
func (t *task) missing() error {
	last := t.stored.Book.LastEventAt.Time()
	switch {
	case t.Now().Sub(last) <= recentTime:
		return again{why: whyMissing}
	case t.sent:
		return end(events.Unknown, whyMissing)
	}
	return end(events.Lapsed, whyMissing)
}

// checkDone ends an operation that is done already in Twilio's state: Gavel did it
// before a crash, or another client of Twilio did. It precedes passGate, because
// the operation itself may be the reason that the rule no longer holds.
func (t *task) checkDone(context.Context) error {
	if t.op.shows != nil && t.op.shows(t.seen) {
		return end(events.Done, "already")
	}
	return nil
}

// passGate asks rules.Gate whether the action may be sent now, on the stop, the rules in force and
// Twilio's state. It is called after the fetch, and again by beforeCall.
func (t *task) passGate(ctx context.Context) error {
	now := rules.Case{
		Decision: &t.decision, State: t.state, Record: projections.Overlay(t.stored.Conference, t.seen.Seen), SeenAt: t.seen.At,
		Joined: projections.OverlayJoined(t.stored.Conference, t.seen.Seen),
	}
	stopped, _, err := t.Brakes.Stopped(ctx)
	if now.Stopped = stopped || err != nil; !now.Stopped {
		if now.InForce, err = t.Rules.Current(ctx); err != nil {
			t.log.Warn("rules in force cannot be read", "error", err)
			now.InForceUnread = true
		}
	}
	if now.Made, err = t.made(ctx, now.InForce); err != nil {
		return err
	}
	now.Now, t.inForce = t.Now(), now.InForce
	return t.applyRuling(rules.Gate(now))
}

// made returns the set of rules that the decision was made by.
func (t *task) made(ctx context.Context, inForce *rules.Set) (*rules.Set, error) {
	if inForce != nil && inForce.Version == t.decision.Version {
		return inForce, nil
	}
	set, err := t.Rules.Set(ctx, t.decision.Version)
	if err != nil {
		return nil, fmt.Errorf("load set of rules: %w", err)
	}
	return set, nil
}

// applyRuling returns what follows from a ruling of the gate.
func (t *task) applyRuling(r rules.Ruling) error {
	result := events.Lapsed
	switch r.Passage {
	case rules.Pass:
		return nil
	case rules.Fetch:
		return errOldState
	case rules.Defer:
		t.note.Rang = t.note.Rang || r.Why == rules.Ringing
		return again{why: string(r.Why), after: max(r.Until.Sub(t.Now()), 0)}
	case rules.Skip:
		result = events.Skipped
	}
	if t.sent && t.op.shows == nil {
		// An earlier try may have sent the request, and Twilio's state cannot show whether it was
		// performed.
		result = events.Unknown
	}
	return end(result, string(r.Why))
}

// passBrakes requests admission of the rule's action. Notifications do not count
// towards the account's ceiling of calls to Twilio, and only the limits of a rule
// that does nothing else apply to them; they are not asked of the gate, so the limits are those of
// their own rule.
func (t *task) passBrakes(ctx context.Context) error {
	set := t.inForce
	if !t.decision.Do.AtTwilio() {
		var err error
		if set, err = t.made(ctx, nil); err != nil {
			return err
		}
	}
	request := brakes.Request{
		Rule: t.decision.Rule, AccountSid: t.decision.AccountSid, Subject: t.decision.ConferenceSid + t.decision.Subject, ID: t.decision.ID,
	}
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
	return t.applyVerdict(verdict)
}

// intend appends the intent to the journal.
func (t *task) intend(ctx context.Context) error {
	if t.begun {
		return nil
	}
	if err := t.secure(ctx); err != nil {
		return err
	}
	if err := t.append(ctx, events.NewIntent(t.action())); err != nil {
		return fmt.Errorf("append intent: %w", err)
	}
	t.begun = true
	crashpoint.Pass(crashpoint.Intended)
	return nil
}
