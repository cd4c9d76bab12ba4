package act

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"

	"gavel/events"
	"gavel/internal/brakes"
	"gavel/internal/crashpoint"
	"gavel/rules"
)

// Delays between the tries of a decision. Each is an alarm in NATS: a message
// that is put off stays pending, and many of those would delay all others.
const (
	firstWait = time.Second
	lastWait  = 15 * time.Second
	// waitSteps is the try after which the delay no longer grows.
	waitSteps = 10
)

// Why a decision waits, for logs, metrics and notes. The gate adds its reasons.
const (
	whyStopped     = "stopped"   // rules are stopped
	whyBraked      = "braked"    // the rule or the account has reached a limit
	whyTooMany     = "too-many"  // Twilio answered 429
	whyFailing     = "failing"   // Twilio answered 5xx, or in no readable form
	whySilent      = "silent"    // Twilio received the request and did not answer
	whyUnsent      = "unsent"    // the request could not be sent
	whyRefused     = "refused"   // Twilio refuses the credentials
	whyMissing     = "missing"   // Twilio does not have the conference or the leg, though it should
	whySlow        = "slow"      // Twilio's answers take longer than its state may be old
	whyCrowded     = "crowded"   // too many calls in flight: this one did not follow its fetch in time
	whyAnnounced   = "announced" // Twilio has accepted; the announcement has not ended
	whyUnheld      = "unheld"    // a leg must go back on hold
	whyUndelivered = "untold"    // the receiver does not accept the notification
)

// whys are the reasons above.
var whys = []string{
	whyStopped, whyBraked, whyTooMany, whyFailing, whySilent, whyUnsent, whyRefused, whyMissing, whySlow, whyCrowded, whyAnnounced,
	whyUnheld, whyUndelivered,
}

// again ends a try; another try follows.
type again struct {
	why string
	// after is the shortest wait.
	after time.Duration
}

// Error states the reason.
func (a again) Error() string { return "again later: " + a.why }

// note is what a try passes to the next one.
type note struct {
	Why string `json:"why,omitempty"`
	// Tries counts the tries before.
	Tries int `json:"tries,omitempty"`
	// InTime: a try before the deadline had to wait.
	InTime bool `json:"in_time,omitempty"`
	// Rang: a leg that may never join kept the condition from holding, which gives the decision more time.
	Rang bool `json:"rang,omitempty"`
	// Unheld: Gavel may have taken the leg off hold. Set is how the change of the leg ended.
	Unheld bool            `json:"unheld,omitempty"`
	Set    *events.Outcome `json:"set,omitempty"`
	// Secured: the decision's alarm carries the decision, and not its message.
	Secured bool `json:"secured,omitempty"`
}

// readNote reads a note; one that cannot be read counts as empty.
func readNote(raw []byte) (n note) {
	if json.Unmarshal(raw, &n) != nil {
		return note{}
	}
	return n
}

// wait sets the alarm for the next try. A waiting decision is not lost: it has an
// alarm, is in the stream of decisions, and has no outcome.
func (t *task) wait(ctx context.Context, a again) error {
	n := t.note
	n.Why, n.Tries, n.InTime = a.why, n.Tries+1, n.InTime || t.age() <= t.maxAge()
	raw, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("write note: %w", err)
	}
	at := t.nextTry(a)
	if err := t.later(ctx, at, raw); err != nil {
		return err
	}
	crashpoint.Pass(crashpoint.Waiting)
	t.Metrics.waiting.WithLabelValues(a.why).Inc()
	t.log.Info("decision waits", "do", t.decision.Do, "why", a.why, "tries", n.Tries, "until", at)
	return nil
}

// later sets the alarm, even if ctx has ended.
func (t *task) later(ctx context.Context, at time.Time, note []byte) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), appendTime)
	defer cancel()
	if err := t.Timers.Later(ctx, t.decided.Key, t.decided.ID, at, note); err != nil {
		return fmt.Errorf("set alarm for the next try: %w", err)
	}
	return nil
}

// nextTry is when to try again: not before the time that Twilio or the brakes
// give, and at most firstWait after the deadline, to record that it has passed.
func (t *task) nextTry(a again) time.Time {
	now := t.Now()
	at := now.Add(max(delay(t.note.Tries), a.after))
	if a.why == string(rules.Ringing) {
		at = now.Add(a.after)
	}
	if deadline := t.decision.AsOf.Add(t.maxAge()); a.why != whyAnnounced && a.why != whyUnheld && now.Before(deadline) && at.After(deadline) {
		return deadline.Add(firstWait)
	}
	return at
}

// delay returns the wait after so many tries.
func delay(tries int) time.Duration {
	b := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(firstWait),
		backoff.WithMaxInterval(lastWait),
		backoff.WithMaxElapsedTime(0),
	)
	wait := b.NextBackOff()
	for range min(tries, waitSteps) {
		wait = b.NextBackOff()
	}
	return wait
}

// maxAge is how long after its time a decision may be performed.
func (t *task) maxAge() time.Duration {
	switch {
	case !t.decision.Do.AtTwilio():
		return MaxNotifyAge
	case t.note.Rang:
		return rules.MaxRinging
	}
	return rules.MaxAge
}

// expire ends a decision that had to wait until it was too late. Its dead letter
// lets a person redrive it.
func (t *task) expire(ctx context.Context, result events.Result) error {
	letter := events.DeadLetter{
		Kind: events.Unperformed, AccountSid: t.decided.Key.AccountSid, ConferenceSid: t.decided.Key.ConferenceSid,
		Decision: t.decided.ID, ReceivedAt: t.Now(),
		Reason: fmt.Sprintf("rule %s: %s was not done within %s (%s)", t.decision.Rule, t.decision.Do, t.maxAge(), t.note.Why),
	}
	if err := t.DeadLetters.Put(ctx, letter); err != nil {
		return err
	}
	return end(result, t.note.Why)
}

// expireBegun ends a decision whose request Twilio may have received, when it is
// too late to send it again.
func (t *task) expireBegun(ctx context.Context) error {
	if err := t.fetchAndHeal(ctx); err != nil && t.age() <= MaxNotifyAge {
		return err
	}
	switch {
	case t.op.shows == nil:
		return t.expire(ctx, events.Unknown)
	case !t.seen.At.IsZero() && t.op.shows(t.seen):
		return end(events.Done, "seen")
	}
	return t.expire(ctx, events.Expired)
}

// applyVerdict returns what follows from the verdict of the brakes.
func (t *task) applyVerdict(v brakes.Verdict) error {
	switch v.Answer {
	case brakes.Admitted:
		crashpoint.Pass(crashpoint.Admitted)
		return nil
	case brakes.Tripped:
		return end(events.Tripped, "")
	}
	return again{why: whyBraked, after: v.Until.Sub(t.Now())}
}
