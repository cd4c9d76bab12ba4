package api_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gavel/handlers/api"
	"gavel/internal/brakes"
	"gavel/internal/bus"
	"gavel/internal/keys"
	"gavel/internal/rulebook"
	"gavel/rules"
	"gavel/rules/schema"
)

const twoRules = `rules:
  - name: end-orphaned
    description: One caller left costs money.
    when: size(conference.live) == 1
    for: 2m
    do: [{end: {}}]
    mode: live
    limits: {per_minute: 2, trip_after: 3}
  - name: say-held
    each: participant
    when: participant.hold
    do: [{publish: {subject: calls.held}}]
`

// law is the API's rule book and brakes, on a real NATS.
type law struct {
	bus     *bus.Bus
	book    *rulebook.Book
	brakes  *brakes.Brakes
	dataDir string
}

// openLaw puts a file of rules in force; an empty one puts none.
func openLaw(t *testing.T, file string) *law {
	t.Helper()
	l := &law{bus: openBus(t), dataDir: t.TempDir()}
	var err error
	if l.book, err = rulebook.Open(t.Context(), l.bus.Rules(), slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	l.brakes = brakes.New(l.bus.Brakes(), func() time.Time { return now }, brakes.WithStopFile(l.dataDir))
	if file != "" {
		l.propose(t, file, "here:/rules")
	}
	return l
}

func (l *law) propose(t *testing.T, file, origin string) *rules.Set {
	t.Helper()
	set, err := rules.Parse(rules.File{Name: "rules.yaml", Text: file})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.book.Propose(t.Context(), set, origin, rulebook.Start); err != nil {
		t.Fatal(err)
	}
	return set
}

// rule lets the API know it.
func (l *law) rule(c *api.Config) {
	c.Rules, c.Brakes, c.Switch = l.book, l.brakes, l.brakes
	c.Journal, c.Decisions, c.DeadLetters = l.bus.Journal(), l.bus.Actions(), dead{l.bus.DeadLetters()}
}

// admits lets that many actions of a rule through, or trips it.
func (l *law) admits(t *testing.T, rule string, limits rules.Limits, actions int) {
	t.Helper()
	for n := range actions {
		r := brakes.Request{Rule: rule, AccountSid: account, ID: fmt.Sprintf("%s-%d", rule, n), Limits: limits}
		if _, err := l.brakes.Admit(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWithoutRulesThereIsNothingToShow(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*api.Config){
		"a process that knows of none": func(*api.Config) {},
		"none in force":                openLaw(t, "").rule,
	} {
		s := start(t, nil, change)
		status := read[api.RuleStatus](t, s.get("rules"))
		if diff := cmp.Diff(api.RuleStatus{Rules: []api.Rule{}}, status); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if a := s.as(s.all, http.MethodPost, "rules/end-orphaned/reset", `{"reason":"x"}`); a.status != http.StatusConflict || !strings.Contains(a.body, "no rules are in force") {
			t.Errorf("%s: reset: %d %s", name, a.status, a.body)
		}
		for path, empty := range map[string]string{"decisions": `{"decisions":[]}`, "armed": `{"deadlines":[]}`, "deadletters": `{"dead_letters":[]}`} {
			if a := s.get(path); a.status != http.StatusOK || strings.TrimSpace(a.body) != empty {
				t.Errorf("%s: %s: %d %s", name, path, a.status, a.body)
			}
		}
	}
}

func TestRulesInForceAreShownWithHowTheyFare(t *testing.T) {
	t.Parallel()
	l := openLaw(t, twoRules)
	l.admits(t, "end-orphaned", rules.Limits{PerMinute: 2}, 2)
	l.book.Fault("say-held", "when", "the expression has no value here: it divides by zero")
	for _, one := range []struct {
		rule    string
		verdict rules.Verdict
		ago     time.Duration
	}{{"end-orphaned", rules.Act, 2}, {"end-orphaned", rules.Refused, 1}, {"say-held", rules.Would, 3}, {"say-held", rules.Would, 4}} {
		l.book.Decided(one.rule, one.verdict, now.Add(-one.ago*time.Minute))
	}
	s := start(t, nil, l.rule, func(c *api.Config) { c.Backlog = behind{deferred: 7, queued: 3} })
	got := read[api.RuleStatus](t, s.get("rules"))
	inForce := l.book.Status().InForce
	want := api.RuleStatus{
		InForce: &api.RuleSet{Version: inForce.Version, Since: inForce.Since, Origin: "here:/rules"},
		Backlog: &api.BacklogCount{Deferred: 7, Queued: 3},
		Rules: []api.Rule{
			{
				Name: "end-orphaned", Description: "One caller left costs money.", File: "rules.yaml", Line: 2,
				Each: rules.EachConference, Mode: rules.Live, PerMinute: 2, TripAfter: 3, LastMinute: 2, LastHour: 2, Acts: 1, Refusals: 1, LastFired: before(2 * time.Minute),
				Faults: []api.RuleFault{},
			},
			{
				Name: "say-held", File: "rules.yaml", Line: 9, Each: rules.EachParticipant, Mode: rules.Shadow,
				Would: 2, LastFired: before(3 * time.Minute),
				Faults: []api.RuleFault{{In: "when", Count: 1, Error: "the expression has no value here: it divides by zero", Text: "participant.hold"}},
			},
		},
	}
	for i := range got.Rules[1].Faults {
		got.Rules[1].Faults[i].Last = time.Time{} // by the clock of the machine
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func before(d time.Duration) *time.Time {
	t := now.Add(-d)
	return &t
}

// behind is a backlog of that many decisions.
type behind struct{ deferred, queued int }

func (b behind) Backlog(context.Context) (deferred, queued int, err error) {
	return b.deferred, b.queued, nil
}

// The faults name rules and quote expressions, which may be of other accounts.
func TestFaultyFilesAreShownUntilTheyAreMended(t *testing.T) {
	t.Parallel()
	l := openLaw(t, twoRules)
	l.book.Refuse("here:/rules", []string{"a.yaml:3:5: rule end-orphaned: undefined field 'lives'"})
	s := start(t, nil, l.rule)
	got := read[api.RuleStatus](t, s.get("rules"))
	if r := got.Refused; r == nil || r.Origin != "here:/rules" || len(r.Faults) != 1 || r.Since.IsZero() || got.InForce == nil || len(got.Rules) != 2 {
		t.Errorf("the status is %+v", got)
	}
	if got := read[api.RuleStatus](t, s.as(s.key(account), http.MethodGet, "rules", "")); got.Refused != nil {
		t.Errorf("the key of one account gets %+v", got.Refused)
	}
	l.propose(t, twoRules, "here:/rules")
	if got := read[api.RuleStatus](t, s.get("rules")); got.Refused != nil {
		t.Errorf("after they are mended: %+v", got.Refused)
	}
}

func TestAProcessWithOtherFilesSaysSo(t *testing.T) {
	t.Parallel()
	l := openLaw(t, twoRules)
	own := l.propose(t, strings.Replace(twoRules, "2m", "3m", 1), "there:/rules")
	s := start(t, nil, l.rule)
	got := read[api.RuleStatus](t, s.get("rules"))
	if got.OwnVersion != own.Version || got.InForce.Origin != "here:/rules" {
		t.Errorf("own %q, in force %+v", got.OwnVersion, got.InForce)
	}
}

func TestATrippedRuleActsAgainWhenAPersonSaysSo(t *testing.T) {
	t.Parallel()
	l := openLaw(t, twoRules)
	l.admits(t, "end-orphaned", rules.Limits{TripAfter: 3}, 4)
	s := start(t, nil, l.rule)
	if got := read[api.RuleStatus](t, s.get("rules")).Rules[0]; got.TrippedSince == nil || !got.TrippedSince.Equal(now) {
		t.Fatalf("the rule is not tripped: %+v", got)
	}
	kate := s.keyOf(keys.Operator)
	if a := s.as(kate, http.MethodPost, "rules/end-orphaned/reset", `{"reason":"outage is over"}`); a.status != http.StatusNoContent {
		t.Fatalf("%d %s", a.status, a.body)
	}
	got := read[api.RuleStatus](t, s.get("rules")).Rules[0]
	want := []api.RuleChange{
		{What: brakes.WasTripped, At: now}, {What: brakes.WasReset, At: now, Reason: "outage is over", By: "test (" + kate.user + ")"},
	}
	if diff := cmp.Diff(want, got.Past); diff != "" || got.TrippedSince != nil {
		t.Errorf("tripped since %v, past (-want +got):\n%s", got.TrippedSince, diff)
	}
	if a := s.as(kate, http.MethodPost, "rules/end-orphaned/reset", `{"reason":"its attempts failed"}`); a.status != http.StatusNoContent {
		t.Errorf("a second time: %d %s", a.status, a.body)
	}
	if a := s.as(kate, http.MethodPost, "rules/nothing/reset", `{"reason":"again"}`); a.status != http.StatusNotFound {
		t.Errorf("a rule that there is not: %d %s", a.status, a.body)
	}
	a := s.as(kate, http.MethodPost, "rules/end-orphand/reset", `{"reason":"again"}`)
	if a.status != http.StatusNotFound || !strings.Contains(a.body, `no such rule; did you mean \"end-orphaned\"?`) {
		t.Errorf("a misspelled rule: %d %s", a.status, a.body)
	}
}

func TestRulesForSomeAccountsAreShownToTheirKeys(t *testing.T) {
	t.Parallel()
	l := openLaw(t, "accounts: ["+account+"]\n"+twoRules)
	s := start(t, nil, l.rule)
	for in, want := range map[string]int{account: 2, foreign: 0} {
		if got := read[api.RuleStatus](t, s.as(s.key(in), http.MethodGet, "rules", "")); len(got.Rules) != want || got.InForce == nil {
			t.Errorf("%s sees %+v", in, got)
		}
		a := s.as(s.keyOf(keys.Operator, in), http.MethodPost, "conferences/support-1/exempt", `{"for":"30m","rule":"end-orphand","reason":"x"}`)
		if named := strings.Contains(a.body, "did you mean"); a.status != http.StatusUnprocessableEntity || named != (want > 0) {
			t.Errorf("%s gets %d %s", in, a.status, a.body)
		}
	}
}

// warned is a rule book whose set in force has a fault by a new check.
type warned struct{ api.RuleBook }

func (w warned) Set(ctx context.Context, version string) (*rules.Set, error) {
	set, err := w.RuleBook.Set(ctx, version)
	if err != nil {
		return nil, err
	}
	found := *set
	found.Warnings = schema.Faults{{File: "rules.yaml", Line: 2, Column: 5, Message: "is no longer allowed", Since: 3}}
	return &found, nil
}

func TestFaultsByNewChecksAreShownWithTheRulesInForce(t *testing.T) {
	t.Parallel()
	l := openLaw(t, "accounts: ["+account+"]\n"+twoRules)
	s := start(t, nil, func(a *api.Config) {
		l.rule(a)
		a.Rules = warned{a.Rules}
	})
	for in, want := range map[string][]string{account: {"rules.yaml:2:5: is no longer allowed"}, foreign: nil} {
		got := read[api.RuleStatus](t, s.as(s.key(in), http.MethodGet, "rules", ""))
		if diff := cmp.Diff(want, got.InForce.Warnings); diff != "" || in == account && len(got.Rules) != 2 {
			t.Errorf("%s sees %d rules and the warnings (-want +got):\n%s", in, len(got.Rules), diff)
		}
	}
}

// acting is all that takes more than a viewer's key. Where it is of all
// accounts, a key of one does not do.
var acting = []struct {
	path, body string
	all        bool
}{
	{"rules/end-orphaned/reset", `{"reason":"x"}`, true},
	{"stop", `{"reason":"x"}`, true},
	{"resume", `{"reason":"x"}`, true},
	{"conferences/support-1/exempt", `{"for":"1m","reason":"x"}`, false},
	{"deadletters/1/redrive", ``, false},
}

func TestActingTakesAnOperator(t *testing.T) {
	t.Parallel()
	l := openLaw(t, twoRules)
	s := start(t, nil, l.rule)
	for _, c := range acting {
		for _, who := range []credentials{s.key(), s.key(account)} {
			if a := s.as(who, http.MethodPost, c.path, c.body); a.status != http.StatusForbidden {
				t.Errorf("a viewer, %s: %d %s", c.path, a.status, a.body)
			}
		}
		a := s.as(s.keyOf(keys.Operator, account), http.MethodPost, c.path, c.body)
		if forbidden := a.status == http.StatusForbidden; forbidden != c.all {
			t.Errorf("an operator of one account, %s: %d %s", c.path, a.status, a.body)
		}
	}
}

func TestAReasonIsNeeded(t *testing.T) {
	t.Parallel()
	s := start(t, nil, openLaw(t, twoRules).rule)
	for _, path := range []string{"rules/end-orphaned/reset", "stop", "resume"} {
		for _, body := range []string{`{}`, `{"reason":""}`, `{"reason":"  "}`, `{"reason":"` + strings.Repeat("x", 257) + `"}`, `{"reason":"` + strings.Repeat("ß", 200) + `"}`} {
			if a := s.as(s.all, http.MethodPost, path, body); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, `reason`) {
				t.Errorf("%s %.20s: %d %s", path, body, a.status, a.body)
			}
		}
	}
}
