package act_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gavel/events"
	"gavel/handlers/act"
	"gavel/internal/twilio/twiliofake"
	"gavel/lanes"
	"gavel/rules"
)

const tellOrphaned = `
rules:
  - name: tell-orphaned
    when: size(conference.live) == 1
    for: 2m
    do:
      - publish: {subject: calls.orphaned}
      - webhook: {url: "https://pager.example/"}
    mode: live
`

// listener receives notifications and answers as set.
type listener struct {
	mu      sync.Mutex
	answers []error // to the first ones; then it takes all
	heard   []rules.Decision
}

func (l *listener) Notify(_ context.Context, d rules.Decision) (events.Outcome, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = append(l.heard, d)
	if len(l.answers) > 0 {
		err := l.answers[0]
		l.answers = l.answers[1:]
		return events.Outcome{}, err
	}
	return events.Outcome{Result: events.Done, Status: http.StatusNoContent}, nil
}

// received are the notifications so far, as "webhook <id>".
func (l *listener) received() (all []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.heard {
		all = append(all, string(d.Do)+" "+d.ID)
	}
	return all
}

// A stop is about Twilio: notifications go out, without a call to Twilio.
func TestNotificationsAreSentDuringAStop(t *testing.T) {
	t.Parallel()
	w := open(t, tellOrphaned)
	l := &listener{}
	w.config.Notifier = l
	w.must(w.brakes.Stop(t.Context(), "drill", "kate"))
	w.perform()
	r := orphaned(w)
	r.ends("publish done", "webhook done")
	if got := w.fake.Tally(twiliofake.FetchConference).Asked; got != 0 {
		t.Errorf("Twilio was asked %d times", got)
	}
}

// A receiver that asks for a delay gets the notification later, under the same id.
func TestABusyReceiverGetsTheNotificationLater(t *testing.T) {
	t.Parallel()
	w := open(t, tellOrphaned)
	l := &listener{answers: []error{&act.NotNow{After: 10 * time.Minute, Err: errors.New("busy")}, errors.New("no route")}}
	w.config.Notifier = l
	w.perform()
	r := orphaned(w)
	first := w.waits("untold")
	if first != 10*time.Minute {
		t.Errorf("the notification is sent again after %s, want 10m", first)
	}
	w.clock.advance(first)
	w.clock.advance(w.waits("untold"))
	r.ends("publish done", "webhook done")
	if got := l.received(); len(got) != 4 || got[0] != got[1] || got[1] != got[2] {
		t.Errorf("received %q, want three of one id and one more", got)
	}
}

func TestAnOldNotificationIsNotSent(t *testing.T) {
	t.Parallel()
	w := open(t, tellOrphaned)
	w.config.Notifier = &listener{answers: slices.Repeat([]error{errors.New("no route")}, 100)}
	w.perform()
	r := orphaned(w)
	w.waits("untold")
	w.clock.advance(act.MaxNotifyAge + time.Second)
	r.ends("publish expired untold")
	if got, want := w.letters(), "rule tell-orphaned: publish was not done within 24h0m0s (untold)"; len(got) != 1 || got[0] != want {
		t.Errorf("the dead letters are %q, want %q", got, want)
	}
}

// A rule that only notifies is bounded by its own limits, which count a conference once in a minute.
func TestNotificationsAreBoundedWhereTheRuleSaysSo(t *testing.T) {
	t.Parallel()
	w := open(t, `
rules:
  - name: tell-joins
    when: event.kind == "participant-join"
    do:
      - publish: {subject: calls.joins}
    limits: {per_minute: 1}
    mode: live
`)
	w.perform()
	support := w.enter("support", "agent", "customer")
	support.ends("publish done", "publish done")
	sales := w.enter("sales", "agent")
	wait := w.waits("braked")
	sales.ends()
	w.clock.advance(wait)
	sales.ends("publish done")
}

// A rule that counts decides about no conference, so no record has its outcome.
func TestANotificationAboutNoConferenceLeavesAReceipt(t *testing.T) {
	t.Parallel()
	w := open(t, tellOrphaned)
	w.config.Notifier, w.config.Receipts = &listener{}, w.bus.Actions()
	key := events.Key{AccountSid: account}
	d := rules.Decision{ID: strings.Repeat("a", 32), Rule: "tell-orphaned", Version: w.set.Version, AccountSid: account, Do: rules.StepWebhook, Step: 1, AsOf: w.clock.Now(), Verdict: rules.Act}
	decided, err := lanes.Decided(d, 0, w.last)
	w.must(err)
	_, err = w.bus.Actions().Decide(w.Context(), []events.Decided{decided})
	w.must(err)
	_, stop := w.perform()
	defer stop()
	w.await("the outcome is recorded", func() bool {
		o, recorded, err := w.bus.Actions().Outcome(w.Context(), key, d.ID)
		return err == nil && recorded && o.Result == events.Done
	})
}
