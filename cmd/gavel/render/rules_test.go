package render

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"gavel/events"
	"gavel/handlers/api"
	"gavel/internal/brakes"
	"gavel/rules"
	"gavel/views"
)

// screen is how wide a terminal is taken to be.
const screen = 100

// shown is what something prints, which fits the screen.
func shown(t *testing.T, show func(io.Writer) error) string {
	t.Helper()
	var out bytes.Buffer
	if err := show(&out); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if width := len([]rune(strings.TrimRight(line, " \n"))); width > screen {
			t.Errorf("%d columns: %s", width, line)
		}
	}
	return out.String()
}

func before(now time.Time, d time.Duration) *time.Time {
	t := now.Add(-d)
	return &t
}

func TestRulesAreShownWithHowTheyFare(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 8, 3, 12, 0, 0, 0, time.Local)
	status := api.RuleStatus{
		InForce:    &api.RuleSet{Version: "0123456789abcdef01234567", Since: now.Add(-time.Hour), Origin: "gavel-1:/etc/gavel/rules"},
		OwnVersion: "fedcba987654321001234567",
		Refused: &api.RefusedFiles{
			Origin: "gavel-1:/etc/gavel/rules", Since: now.Add(-3 * time.Minute),
			Faults: []string{"a.yaml:3:26: rule end-orphaned: undefined field 'lives'"},
		},
		Backlog: &api.BacklogCount{Deferred: 7, Queued: 1},
		Stop:    api.Stop{Stopped: true, Reason: "wrong calls end", By: "kate (SK1)", Since: before(now, 4*time.Minute)},
		Rules: []api.Rule{
			{
				Name: "end-orphaned", Description: "One caller left with hold music costs money and helps nobody.", Mode: rules.Live,
				PerMinute: 10, TripAfter: 50, LastMinute: 3, LastHour: 50, Acts: 61, LastFired: before(now, 4*time.Minute), TrippedSince: before(now, 90*time.Second),
			},
			{
				Name: "nobody-started-it", Mode: rules.Shadow, PerMinute: 10, TripAfter: 50,
				Would: 439, LastFired: before(now, 5*time.Second),
				Faults: []api.RuleFault{
					{In: "when", Count: 2, Last: now.Add(-time.Minute), Error: "evaluate condition: the expression has no value here: a text cannot be converted", Text: "int(conference.friendly_name) > 5"},
					{In: "parameters", Count: 1, Last: now.Add(-time.Hour)},
				},
				Past: []api.RuleChange{
					{What: brakes.WasTripped, At: now.Add(-2 * time.Hour)},
					{What: brakes.WasReset, At: now.Add(-time.Hour), By: "kate (SK1)", Reason: "the carrier's outage is over"},
				},
			},
			{Name: "short-call-surge", Description: "Many short calls in a row.", Mode: rules.Off},
		},
	}
	golden(t, "rules-status.txt", shown(t, func(w io.Writer) error { return Status(w, status, now) }))
}

func TestFaultsByNewChecksAreShownInTheStatus(t *testing.T) {
	t.Parallel()
	status := api.RuleStatus{InForce: &api.RuleSet{Version: "0123456789abcdef01234567", Warnings: []string{"a.yaml:2:5: is no longer allowed"}}}
	got := shown(t, func(w io.Writer) error { return Status(w, status, time.Now()) })
	if !strings.Contains(got, "WARNING: new checks find 1 fault in them: they stay in force") || !strings.Contains(got, "\n  a.yaml:2:5: is no longer allowed\n") {
		t.Errorf("rules status prints:\n%s", got)
	}
}

func TestArmedDeadlinesAreShown(t *testing.T) {
	t.Parallel()
	sid := func(n int) string { return fmt.Sprintf("CF%032x", n) }
	armed := []views.Deadline{
		{ConferenceSid: sid(1), FriendlyName: "support-1", Rule: "end-orphaned", Waits: views.WaitFor, InSeconds: -5},
		{ConferenceSid: sid(2), FriendlyName: "support-2", Rule: "end-orphaned", Waits: views.WaitStep, InSeconds: 79.6, Step: 2, Steps: 3},
		{ConferenceSid: sid(3), FriendlyName: "support-3", Rule: "held-too-long", Waits: views.WaitTime, InSeconds: 3900, CallSid: "CA1", Label: "customer"},
		{ConferenceSid: sid(4), FriendlyName: "support-4", Waits: views.WaitExemption, InSeconds: 7200},
		{ConferenceSid: sid(5), FriendlyName: "support-5", Rule: "too-long-overall", Waits: views.WaitQuiet, InSeconds: 200000},
	}
	golden(t, "rules-armed.txt", shown(t, func(w io.Writer) error { return Armed(w, armed) }))
}

func TestWhatIsOnTheWireIsShown(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 8, 3, 12, 0, 0, 0, time.Local)
	wire := api.Stopping{OnTheWire: []views.WireAction{
		{
			ConferenceSid: "CF" + strings.Repeat("1", 32), FriendlyName: "support-1",
			Action: views.Action{Do: events.DoEnd, ActorRule: "end-orphaned", AskedAt: before(now, 2*time.Second)},
		},
		{
			ConferenceSid: "CF" + strings.Repeat("2", 32), FriendlyName: "support-2",
			Action: views.Action{Do: events.DoKick, ActorRule: "kick-storm", CallSid: "CA" + strings.Repeat("3", 32), AskedAt: before(now, 12*time.Second)},
		},
	}}
	golden(t, "wire.txt", shown(t, func(w io.Writer) error { return Wire(w, wire, now) }))
	for want, s := range map[string]api.Stopping{"nothing is on its way": {}, "more may be on its way": {Unsure: true}} {
		if got := shown(t, func(w io.Writer) error { return Wire(w, s, now) }); !strings.Contains(got, want) {
			t.Errorf("%+v shows %q", s, got)
		}
	}
}

func TestDeadLettersAreShown(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 8, 3, 12, 0, 0, 0, time.Local)
	account := "AC" + strings.Repeat("0", 32)
	letters := []api.DeadLetter{
		{ID: 12, At: now.Add(-time.Minute), Kind: events.Unperformed, AccountSid: account, Reason: "expired: stopped"},
		{ID: 11, At: now.Add(-3 * time.Hour), Kind: events.Refused, AccountSid: account, Field: "Muted", Reason: "is not a boolean"},
		{ID: 2, At: now.Add(-72 * time.Hour), Kind: events.Unfoldable, Reason: "journal group is damaged or of an unknown version, and so on and on"},
	}
	golden(t, "deadletters.txt", shown(t, func(w io.Writer) error { return DeadLetters(w, letters, now) }))
	one := api.DeadLetterContent{DeadLetter: letters[1], Query: "queue=sales", Form: "CallSid=CA1&FriendlyName=support%1b[2J"}
	one.ReceivedAt = one.At
	golden(t, "deadletter.txt", shown(t, func(w io.Writer) error { return DeadLetter(w, one) }))
}

func TestLengthsOfTimeAreRead(t *testing.T) {
	t.Parallel()
	for seconds, want := range map[float64]string{
		0: "in 0s", 0.4: "in 0s", 59.6: "in 1m0s", 80: "in 1m20s", 3599: "in 59m59s", 3600: "in 1h0m", 5400: "in 1h30m",
		90000: "in 1d1h", -5: "overdue 5s", -0.2: "overdue 0s",
	} {
		if got := dueIn(seconds); got != want {
			t.Errorf("%g seconds are %q, want %q", seconds, got, want)
		}
	}
}

func TestDecisionsAreShown(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 8, 3, 12, 0, 0, 0, time.Local)
	sid := "CF" + strings.Repeat("1", 32)
	decisions := []views.Decision{
		{AsOf: now.Add(-5 * time.Second), Verdict: rules.Act, Rule: "end-orphaned", Do: rules.StepEnd, FriendlyName: "support-103", ConferenceSid: sid},
		{AsOf: now.Add(-time.Minute), Verdict: rules.Act, Rule: "end-orphaned", Do: rules.StepAnnounce, FriendlyName: "support-103", ConferenceSid: sid, Answer: &views.Answer{Result: events.Done}},
		{AsOf: now.Add(-time.Hour), Verdict: rules.Would, Rule: "held-too-long-for-the-board", Do: rules.StepKick, FriendlyName: "a very long name", ConferenceSid: sid, CallSid: "CA1", Label: "customer-service"},
		{AsOf: now.Add(-2 * time.Hour), Verdict: rules.Refused, Rule: "end-orphaned", Do: rules.StepEnd, Reason: rules.HeldBack, ConferenceSid: sid},
		{AsOf: now.Add(-72 * time.Hour), Verdict: rules.Act, Rule: "kick-storm", Do: rules.StepWebhook, Answer: &views.Answer{Result: events.Failed, Why: "status"}},
	}
	golden(t, "decisions.txt", shown(t, func(w io.Writer) error { return Decisions(w, decisions, now) }))
	if got := shown(t, func(w io.Writer) error { return Decisions(w, nil, now) }); got != "no decisions\n" {
		t.Errorf("an empty list is %q", got)
	}
}
