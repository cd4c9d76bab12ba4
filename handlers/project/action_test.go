package project_test

import (
	"slices"
	"testing"
	"time"

	"gavel/events"
	"gavel/projections"
)

// kick is a write that a client requested from Gavel.
func kick(conference int) events.Action {
	return events.Action{
		ID: events.NewULID(), Do: events.DoKick, AccountSid: account, ConferenceSid: conferenceSid(conference), CallSid: callSid(1),
		Actor: events.Actor{Sid: "SK" + account[2:], Name: "kate"}, At: time.Date(2026, 11, 22, 9, 0, 5, 0, time.UTC),
	}
}

func (s *stack) appendOwn(t *testing.T, conference string, entries ...events.Entry) {
	t.Helper()
	for _, e := range entries {
		if err := s.bus.Journal().Append(t.Context(), conference, e); err != nil {
			t.Fatalf("append: %v", err)
		}
	}
}

// toldIDs are the ids of a conference's own news, in order.
func (s *stack) toldIDs(t *testing.T, conference int) (ids []string) {
	t.Helper()
	key := events.Key{AccountSid: account, ConferenceSid: conferenceSid(conference)}
	err := s.bus.News().Timeline(t.Context(), key, func(n events.StoredNews) error {
		if n.Kind == events.ActionIntent || n.Kind == events.ActionOutcome {
			ids = append(ids, string(n.Kind)+" "+n.ID)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("read the news: %v", err)
	}
	return ids
}

func TestWhatWasAskedIsInTheRecordAndInTheNewsOnce(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	run(t, s.config())
	s.tell(t, told{1, 0, events.ParticipantJoin, 1})
	a := kick(1)
	intent := events.NewIntent(a)
	outcome := events.NewOutcome(a, events.Outcome{Result: events.Done, Status: 204, At: a.At.Add(time.Second)})
	s.appendOwn(t, a.ConferenceSid, intent, outcome, intent, outcome)
	s.settled(t)

	want := []*projections.ActionRecord{{
		ID: a.ID, Do: a.Do, CallSid: a.CallSid, Actor: a.Actor, At: projections.At(a.At), Intent: true,
		Outcome: &projections.ActionResult{Result: events.Done, Status: 204, At: projections.At(a.At) + 1},
	}}
	if got := s.stored(t, 1); canonical(t, &projections.Conference{Actions: got.Actions}) != canonical(t, &projections.Conference{Actions: want}) {
		t.Errorf("the record is %s", canonical(t, got))
	}
	if got := s.toldIDs(t, 1); !slices.Equal(got, []string{"gavel-intent intent-" + a.ID, "gavel-outcome outcome-" + a.ID}) {
		t.Errorf("subscribers received %v", got)
	}
}

// An action on a room that was known by its name only stays in the journal. It
// does not become a dead letter or a record, and a fill skips it too.
func TestAnActionOnANameIsPassedOver(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	a := kick(1)
	a.ConferenceSid = ""
	s.appendOwn(t, "", events.NewIntent(a))
	s.tell(t, call(1)...)
	letters := make(letterBox, 1)
	c := s.config()
	c.DeadLetters = letters
	_, stop := run(t, c)
	s.settled(t)
	stop()

	s.loseStore(t)
	c = s.config()
	c.DeadLetters = letters
	run(t, c)
	s.tell(t, call(2)...)
	s.settled(t)
	s.agree(t, 1, 2)
	page, err := s.store.Conferences(t.Context(), account, projections.Query{Limit: 10})
	if err != nil || len(page.Conferences) != 2 || len(letters) != 0 {
		t.Errorf("%d conferences, %d dead letters, %v", len(page.Conferences), len(letters), err)
	}
}
