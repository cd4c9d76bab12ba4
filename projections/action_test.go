package projections_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"gavel/events"
	"gavel/projections"
)

func end(t *testing.T, n int) (intent, outcome events.Event) {
	t.Helper()
	a := events.Action{
		ID: fmt.Sprintf("01J%023d", n), Do: events.DoEnd, AccountSid: account, ConferenceSid: conference,
		Actor: events.Actor{Sid: account}, At: time.Unix(1_790_000_000, 0),
	}
	answered := events.NewOutcome(a, events.Outcome{Result: events.Done, Status: 200, At: a.At})
	for _, made := range []struct {
		to   *events.Event
		from events.Entry
	}{{&intent, events.NewIntent(a)}, {&outcome, answered}} {
		e, err := events.Parse(made.from)
		if err != nil {
			t.Fatal(err)
		}
		*made.to = e
	}
	return intent, outcome
}

func TestActionsAreBounded(t *testing.T) {
	t.Parallel()
	var all []events.Event
	for n := range projections.MaxActions {
		intent, _ := end(t, n)
		all = append(all, intent)
	}
	c := foldAll(t, all)
	if len(c.Actions) != projections.MaxActions || c.Truncated {
		t.Errorf("%d actions, truncated %v", len(c.Actions), c.Truncated)
	}
	beyond, _ := end(t, projections.MaxActions)
	_, known := end(t, 7)
	c = foldAll(t, append(all, beyond, known))
	if len(c.Actions) != projections.MaxActions || !c.Truncated || c.Actions[7].Outcome == nil {
		t.Errorf("%d actions, truncated %v, outcome %v", len(c.Actions), c.Truncated, c.Actions[7].Outcome)
	}
}

// An action's times are on our clock: they do not change when the conference was
// created or updated at Twilio.
func TestActionsDoNotChangeTheTimesOfAConference(t *testing.T) {
	t.Parallel()
	intent, outcome := end(t, 1)
	c := foldAll(t, []events.Event{*participantEvent(1, events.ParticipantJoin, 1), intent, outcome})
	if want := projections.Instant(1_790_000_001); c.Created != want || c.Updated != want {
		t.Errorf("created %d, updated %d, want %d", c.Created, c.Updated, want)
	}
}

// An outcome may be folded before its intent, and a second outcome may be more certain.
func TestTheMostCertainOutcomeStays(t *testing.T) {
	t.Parallel()
	intent, done := end(t, 1)
	a, _ := intent.Action()
	all := []events.Event{intent, done}
	for _, o := range []events.Outcome{
		{Result: events.Unknown, At: a.At.Add(time.Hour)},
		{Result: events.Failed, Status: 404, Code: 20404, At: a.At.Add(time.Minute)},
	} {
		e, err := events.Parse(events.NewOutcome(a, o))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	for range 2 {
		if c := foldAll(t, all); len(c.Actions) != 1 || !c.Actions[0].Intent || c.Actions[0].Outcome.Result != events.Done {
			t.Errorf("actions are %+v", c.Actions[0])
		}
		slices.Reverse(all)
	}
}
