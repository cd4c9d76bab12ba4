package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gavel/events"
	"gavel/handlers/api"
	"gavel/internal/brakes"
	"gavel/internal/keys"
	"gavel/projections"
	"gavel/rules"
)

func TestAStopHoldsUntilItIsResumed(t *testing.T) {
	t.Parallel()
	l := openLaw(t, twoRules)
	s := start(t, nil, l.rule)
	if got := read[api.Stop](t, s.get("stop")); got.Stopped {
		t.Fatalf("stopped from the start: %+v", got)
	}
	kate := s.keyOf(keys.Operator)
	got := read[api.Stopping](t, s.as(kate, http.MethodPost, "stop", `{"reason":"wrong calls end"}`))
	if !got.Stopped || got.Reason != "wrong calls end" || got.By != "test ("+kate.user+")" || !got.Since.Equal(now) || len(got.OnTheWire) != 0 || got.Unsure {
		t.Errorf("answered %+v", got)
	}
	if stopped, _, err := l.brakes.Stopped(t.Context()); !stopped || err != nil {
		t.Errorf("the brakes hold %v %v, want a stop", stopped, err)
	}
	if got := read[api.RuleStatus](t, s.get("rules")); !got.Stop.Stopped {
		t.Errorf("the status of the rules has no stop: %+v", got.Stop)
	}
	if got := read[api.Stopping](t, s.as(kate, http.MethodPost, "resume", `{"reason":"mended"}`)); got.Stopped {
		t.Errorf("resumed: %+v", got)
	}
	if got := read[api.Stop](t, s.get("stop")); got.Stopped || got.Reason != "mended" {
		t.Errorf("after: %+v", got)
	}
}

// lagging is a picture that does not get on.
type lagging struct{}

func (lagging) CatchUp(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestAStopSaysWhereThePictureLags(t *testing.T) {
	t.Parallel()
	l := openLaw(t, twoRules)
	s := start(t, nil, l.rule, func(c *api.Config) { c.Lanes = lagging{} })
	if got := read[api.Stopping](t, s.as(s.all, http.MethodPost, "stop", `{"reason":"wrong calls end"}`)); !got.Stopped || !got.Unsure {
		t.Errorf("answered %+v", got)
	}
}

func TestAStopFileOutlastsAResume(t *testing.T) {
	t.Parallel()
	l := openLaw(t, twoRules)
	s := start(t, nil, l.rule)
	if err := brakes.WriteStopFile(l.dataDir, brakes.Stop{Reason: "no Gavel answered", At: now}); err != nil {
		t.Fatal(err)
	}
	if got := read[api.Stopping](t, s.as(s.all, http.MethodPost, "resume", `{"reason":"mended"}`)); !got.Stopped || got.Reason != "no Gavel answered" {
		t.Errorf("with the file: %+v", got)
	}
	if err := os.Remove(filepath.Join(l.dataDir, brakes.StopFile)); err != nil {
		t.Fatal(err)
	}
	if got := read[api.Stop](t, s.get("stop")); got.Stopped {
		t.Errorf("without it: %+v", got)
	}
}

// A stop that cannot be read counts as a stop, here and for the performer.
func TestNoAnswerIsAStop(t *testing.T) {
	t.Parallel()
	l := openLaw(t, twoRules)
	s := start(t, nil, l.rule, func(c *api.Config) { c.Switch = brakes.New(mute{}, time.Now) })
	if got := read[api.Stop](t, s.get("stop")); !got.Stopped || got.Reason != "no answer" {
		t.Errorf("%+v", got)
	}
	if a := s.as(s.all, http.MethodPost, "resume", `{"reason":"x"}`); a.status != http.StatusServiceUnavailable {
		t.Errorf("resume: %d %s", a.status, a.body)
	}
}

// mute is a bucket that is away.
type mute struct{}

var errAway = errors.New("connection refused")

func (mute) Read(context.Context, string) ([]byte, uint64, error) { return nil, 0, errAway }

func (mute) Update(context.Context, string, []byte, uint64) (uint64, error) { return 0, errAway }

func TestAStopListsTheRequestsInFlight(t *testing.T) {
	t.Parallel()
	l := openLaw(t, twoRules)
	// Decided 4 min ago, and tried until now; and so long ago that it has expired.
	begun, forgotten := decided(8, rules.StepEnd), decided(15, rules.StepEnd)
	answered := decided(2, rules.StepEnd)
	told, untried := decided(4, rules.StepPublish), decided(5, rules.StepEnd)
	l.decides(t, answered, told, untried, begun, forgotten)
	done := acted(answered, now.Add(-5*time.Second))
	done.Outcome = &projections.ActionResult{Result: events.Done, Status: 200, At: projections.At(now)}
	rooms := []*projections.Conference{
		with(room(account, 8, "support-1", at("11:00:00")), acted(begun, begun.AsOf)),
		with(room(account, 2, "support-2", at("11:00:00")), done),
		with(room(account, 15, "support-3", at("11:00:00")), acted(forgotten, forgotten.AsOf)),
		with(room(account, 4, "support-4", at("11:00:00")), acted(told, now.Add(-time.Second))),
		room(account, 5, "support-5", at("11:00:00")),
	}
	s := start(t, rooms, l.rule)
	got := read[api.Stopping](t, s.as(s.all, http.MethodPost, "stop", `{"reason":"x"}`)).OnTheWire
	if len(got) != 1 || got[0].ID != begun.ID || got[0].FriendlyName != "support-1" || got[0].ActorRule != "end-orphaned" || got[0].Answer != nil {
		t.Errorf("on the wire: %+v", got)
	}
}

// decided is a rule's decision on conference n.
func decided(n int, do rules.StepKind) rules.Decision {
	return rules.Decision{
		ID: sid("", n), Rule: "end-orphaned", Version: "v1", AccountSid: account, ConferenceSid: sid("CF", n),
		Occasion: "o", Attempt: 1, Step: 1, Do: do, AsOf: now.Add(-time.Duration(n) * time.Minute / 2), Verdict: rules.Act,
	}
}

// decides keeps decisions as projectors do, the oldest first.
func (l *law) decides(t *testing.T, newestFirst ...rules.Decision) {
	t.Helper()
	l.decidesAt(t, 0, newestFirst...)
}

// decidesAt does it for entries at one sequence of the journal.
func (l *law) decidesAt(t *testing.T, sequence uint64, newestFirst ...rules.Decision) {
	t.Helper()
	for i := len(newestFirst) - 1; i >= 0; i-- {
		d := newestFirst[i]
		data, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		_, err = l.bus.Actions().Decide(t.Context(), []events.Decided{{
			ID: d.ID, Key: events.Key{AccountSid: d.AccountSid, ConferenceSid: d.ConferenceSid}, Rule: d.Rule, AsOf: d.AsOf, Data: data,
			Position: events.Position{Sequence: sequence},
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// acted is what the record has of a decision that was begun.
func acted(d rules.Decision, asked time.Time) *projections.ActionRecord {
	return &projections.ActionRecord{ID: d.ID, Do: events.DoEnd, Actor: events.Actor{Rule: d.Rule}, At: projections.At(asked), Intent: true}
}

func with(c *projections.Conference, actions ...*projections.ActionRecord) *projections.Conference {
	c.Actions = actions
	return c
}
