package act_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"gavel/handlers/act"
	"gavel/internal/rulebook"
	"gavel/internal/twilio"
	"gavel/internal/twilio/twiliofake"
	"gavel/rules"
)

// propose puts another set in force. No lane has loaded it yet.
func (w *world) propose(file string) {
	w.Helper()
	set, err := rules.Parse(rules.File{Name: "rules.yaml", Text: file})
	w.must(err)
	_, err = w.book.Propose(w.Context(), set, "test", rulebook.Change)
	w.must(err)
}

// stoppedOrphan is a world where the decision to end a room waits, because rules are stopped.
func stoppedOrphan(t *testing.T) (*world, *room) {
	t.Helper()
	w := open(t, endOrphaned)
	w.must(w.brakes.Stop(t.Context(), "drill", "kate"))
	w.perform()
	r := orphaned(w)
	w.waits("stopped")
	return w, r
}

// changes are what an operator does to rule files, and why a decision by endOrphaned then lapses.
var changes = map[string]struct{ file, why string }{
	"in shadow":     {strings.Replace(endOrphaned, "live\n", "shadow\n", 1), "rule-changed"},
	"off":           {strings.Replace(endOrphaned, "mode: live", `mode: "off"`, 1), "rule-changed"},
	"removed":       {strings.Replace(endOrphaned, "end-orphaned", "end-others", 1), "rule-changed"},
	"exempt":        {`exempt: {names: ["supp*"]}` + endOrphaned, "exempt"},
	"other account": {`accounts: [AC00000000000000000000000000000002]` + endOrphaned, "rule"},
}

// A decision waits while an operator changes the rule files.
func TestTheRuleInForceDecides(t *testing.T) {
	t.Parallel()
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, r := stoppedOrphan(t)
			w.propose(change.file)
			w.resume()
			r.ends("end lapsed " + change.why)
			if got := w.fake.Tally(twiliofake.EndConference).Asked; got != 0 {
				t.Errorf("Twilio was asked %d times to end it", got)
			}
		})
	}
}

// The change comes after everything was checked and before the call is sent.
func TestTheRuleInForceDecidesRightBeforeTheCall(t *testing.T) {
	t.Parallel()
	w := open(t, endOrphaned)
	w.config.Twilio = afterList{w.config.Twilio, func() { w.propose(changes["in shadow"].file) }}
	w.perform()
	r := orphaned(w)
	r.ends("end lapsed rule-changed")
	if got := w.fake.Tally(twiliofake.EndConference).Asked; got != 0 {
		t.Errorf("Twilio was asked %d times to end it", got)
	}
}

// A description is no change, and neither is another rule.
func TestARuleThatStaysAsItWasActs(t *testing.T) {
	t.Parallel()
	w, r := stoppedOrphan(t)
	w.propose(strings.Replace(endOrphaned, "mode: live", "mode: live\n    description: a customer is alone", 1) +
		"  - {name: other, when: conference.status == \"init\", do: [{end: {}}], mode: live}\n")
	w.resume()
	r.ends("end done")
}

// afterList calls do after each list of participants.
type afterList struct {
	act.Twilio
	do func()
}

func (a afterList) Call(ctx context.Context, call twilio.Call) (twilio.Answer, error) {
	answer, err := a.Twilio.Call(ctx, call)
	if call.Kind == "list-participants" {
		a.do()
	}
	return answer, err
}

// A decision was made before the quiet hours and waited until they had begun.
func TestQuietHoursHoldBackWhatHadToWait(t *testing.T) {
	t.Parallel()
	for do, want := range map[string]string{"hold": "end skipped quiet-hours", "shadow": "end skipped quiet-hours"} {
		t.Run(do, func(t *testing.T) {
			t.Parallel()
			now := newClock().Now().UTC()
			w := open(t, fmt.Sprintf("quiet_hours: {tz: UTC, from: %q, to: %q, do: %s}", now.Add(5*time.Minute).Format("15:04"), now.Add(time.Hour).Format("15:04"), do)+endOrphaned)
			w.must(w.brakes.Stop(t.Context(), "drill", "kate"))
			w.perform()
			r := orphaned(w)
			w.waits("stopped")
			w.must(w.brakes.Resume(t.Context(), "over", "kate"))
			w.clock.advance(3*time.Minute + 30*time.Second)
			r.ends(want)
			if got := w.fake.Tally(twiliofake.EndConference).Asked; got != 0 {
				t.Errorf("Twilio was asked %d times to end it", got)
			}
		})
	}
}

// Kicking a leg whose leaving ends the conference would end everybody's call.
func TestAKickThatWouldEndTheConferenceIsSkipped(t *testing.T) {
	t.Parallel()
	for step, want := range map[string]string{
		"{}": "kick skipped ends-conference", "{ends_conference: false}": "kick skipped ends-conference", "{ends_conference: true}": "kick done",
	} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			w := open(t, `
rules:
  - name: out
    each: participant
    when: conference.status == "in-progress" && participant.label == "customer"
    do: [{kick: `+step+`}]
    mode: live
`)
			r := w.enter("support", "agent", "customer", "colleague")
			w.must(w.fake.EndOnExit(r.legs["customer"], true)) // no callback has reported it
			w.perform()
			r.ends(want)
			if got := r.status() == "completed"; got != (want == "kick done") {
				t.Errorf("the conference has ended: %t", got)
			}
		})
	}
}
