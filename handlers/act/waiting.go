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

// Delays between the tries of a decision. They are alarms of their own in NATS:
// a message that is handed back stays pending, and a storm of those would keep
// everybody else waiting.
const (
	firstWait = time.Second
	lastWait  = 15 * time.Second
	// waitSteps is the try from which on the delay grows no more.
	waitSteps = 10
)

// Why a decision waits, for logs, metrics and notes.
const (
	whyStopped   = "stopped"   // everything is
	whyBraked    = "braked"    // the rule or the account has done enough for now
	whyTooMany   = "too-many"  // Twilio says 429
	whyFailing   = "failing"   // Twilio says 5xx, or nothing that could be read
	whySilent    = "silent"    // Twilio was asked and said nothing
	whyUnsent    = "unsent"    // Twilio could not be asked
	whyRefused   = "refused"   // Twilio refuses the credentials
	whyCrowded   = "crowded"   // too many calls at once for this one to follow its look in time
	whyAnnounced = "announced" // Twilio has accepted; the announcement has not ended
	whyUnheld    = "unheld"    // a leg has to go back on hold
	whyUntold    = "untold"    // who is to be told does not take it
)

// again ends a try; another one follows.
type again struct {
	why string
	// after is how long to wait at least.
	after time.Duration
}

// Error says why.
func (a again) Error() string { return "again later: " + a.why }

// note is what a try leaves to the next one.
type note struct {
	Why string `json:"why,omitempty"`
	// Tries counts those before.
	Tries int `json:"tries,omitempty"`
	// InTime: it had to wait when it was not too late yet.
	InTime bool `json:"in_time,omitempty"`
	// Unheld: the leg may be off hold on our account. Set is how its change
	// ended.
	Unheld bool            `json:"unheld,omitempty"`
	Set    *events.Outcome `json:"set,omitempty"`
	// Secured: the decision's alarm carries it, and not its message.
	Secured bool `json:"secured,omitempty"`
}

// readNote reads a note; one that cannot be read says nothing.
func readNote(raw []byte) (n note) {
	if json.Unmarshal(raw, &n) != nil {
		return note{}
	}
	return n
}

// wait sets the alarm for the next try. What waits is not lost: it is here, in
// the stream of decisions, and in no outcome.
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
	t.Metrics.waits(a.why)
	t.log.Info("decision waits", "do", t.decision.Do, "why", a.why, "tries", n.Tries, "until", at)
	return nil
}

// later sets the alarm. From here on the end of the process does not count.
func (t *task) later(ctx context.Context, at time.Time, note []byte) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), appendTime)
	defer cancel()
	if err := t.Timers.Later(ctx, t.decided.Key, t.decided.ID, at, note); err != nil {
		return fmt.Errorf("set alarm of the next try: %w", err)
	}
	return nil
}

// nextTry is when to try again: not before Twilio or the brakes say, and not
// much after the deadline, for then it is to be said that it has passed.
func (t *task) nextTry(a again) time.Time {
	now := t.Now()
	at := now.Add(max(delay(t.note.Tries), a.after))
	if deadline := t.decision.AsOf.Add(t.maxAge()); a.why != whyAnnounced && a.why != whyUnheld && now.Before(deadline) && at.After(deadline) {
		return deadline.Add(firstWait)
	}
	return at
}

// delay computes the wait after so many tries. NATS does the waiting.
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

// maxAge is how long after it was decided something may be done.
func (t *task) maxAge() time.Duration {
	if t.decision.Do.AtTwilio() {
		return rules.MaxAge
	}
	return MaxTellAge
}

// expire ends what had to wait until it was too late. A person may want to do
// it all the same.
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

// expireBegun ends what Twilio may have been asked for when it is too late to
// ask again.
func (t *task) expireBegun(ctx context.Context) error {
	if err := t.look(ctx); err != nil && t.age() <= MaxTellAge {
		return err
	}
	switch {
	case t.deed.shows == nil:
		return t.expire(ctx, events.Unknown)
	case !t.sight.At.IsZero() && t.deed.shows(t.sight):
		return end(events.Done, "seen")
	}
	return t.expire(ctx, events.Expired)
}

// heed is what follows from what the brakes say.
func (t *task) heed(v brakes.Verdict) error {
	switch v.Answer {
	case brakes.Admitted:
		crashpoint.Pass(crashpoint.Admitted)
		return nil
	case brakes.Tripped:
		return end(events.Tripped, "")
	}
	return again{why: whyBraked, after: v.Until.Sub(t.Now())}
}
