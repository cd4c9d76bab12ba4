package projections_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gavel/events"
	"gavel/projections"
)

// acted are the entries of an action through Gavel; a lapsed one and one that was done already have no intent.
func acted(t *testing.T, do events.Do, callSid string, actor events.Actor, at time.Time, o events.Outcome) (all []*events.Event) {
	t.Helper()
	a := events.Action{ID: events.NewULID(), Do: do, AccountSid: account, ConferenceSid: conference, CallSid: callSid, Actor: actor, At: at}
	o.At = at
	entries := []events.Entry{events.NewOutcome(a, o)}
	if sent := o.Why == "" && o.Result != events.Lapsed; sent {
		entries = append(entries, events.NewIntent(a))
	}
	for _, entry := range entries {
		e, err := events.Parse(entry)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, &e)
	}
	return all
}

// Event Streams reports all API requests, Gavel's own among them: each counts once.
func TestWhatWasPerformedHasOwnActionsAndRequestsFromOutsideOnce(t *testing.T) {
	t.Parallel()
	const leg, other = "CA00000000000000000000000000000001", "CA00000000000000000000000000000002"
	kate, rule := events.Actor{Sid: account, Name: "kate"}, events.Actor{Rule: "kicks"}
	second := func(n int) time.Time { return nine.Add(time.Duration(n) * time.Second) }
	all := []*events.Event{called(t, "1", events.ConferenceStart, nine)}
	all = append(all, acted(t, events.DoKick, leg, rule, second(10), events.Outcome{Result: events.Done, Status: 204})...)
	all = append(all, acted(t, events.DoAnnounce, other, kate, second(20), events.Outcome{Result: events.Unknown})...)
	all = append(all, acted(t, events.DoKick, other, rule, second(30), events.Outcome{Result: events.Lapsed, Why: "condition"})...)
	all = append(all, acted(t, events.DoEnd, "", rule, second(31), events.Outcome{Result: events.Done, Why: "already"})...)
	all = append(all, acted(t, events.DoPublish, "", rule, second(32), events.Outcome{Result: events.Done})...)
	all = append(all, acted(t, events.DoEnd, "", kate, second(33), events.Outcome{Result: events.Failed, Status: 400})...)
	ok := []string{events.ResponseCodeParam, "200"}
	all = append(all,
		reported(t, events.APIParticipantDeleted, leg, "VW1", second(11), ok...),    // the rule's
		reported(t, events.APIParticipantDeleted, leg, "VW2", second(12), ok...),    // a second one
		reported(t, events.APIParticipantModified, other, "VW3", second(21), ok...), // kate's
		reported(t, events.APIParticipantDeleted, other, "VW4", second(40), events.ResponseCodeParam, "404"),
		reported(t, events.APIConferenceModified, "", "VW5", second(50), append(ok, "Request.Status", "completed")...))
	got := folded(t, all...).Performed()
	outside := projections.Doer{Kind: projections.ByAPI, Confirmed: true}
	want := []projections.Performed{
		{Do: events.DoKick, CallSid: leg, By: projections.Doer{Kind: projections.ByRule, Name: "kicks", Confirmed: true}, At: projections.At(second(10)), Result: events.Done},
		{Do: events.DoKick, CallSid: leg, By: outside, At: projections.At(second(12)), Result: events.Done},
		{Do: events.DoAnnounce, CallSid: other, By: projections.Doer{Kind: projections.ByUser, Name: "kate", Sid: account}, At: projections.At(second(20)), Result: events.Unknown},
		{Do: events.DoEnd, By: outside, At: projections.At(second(50)), Result: events.Done},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(projections.Performed{}, "ID")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A program beside Gavel ended the conference, and a rule that was about to end it found that done.
func TestAnActionThatFoundItsWorkDoneEndedNothing(t *testing.T) {
	t.Parallel()
	all := []*events.Event{called(t, "1", events.ConferenceStart, nine)}
	all = append(all, called(t, "2", events.ConferenceEnd, nine.Add(time.Minute), "ReasonConferenceEnded", projections.EndedViaAPI))
	all = append(all, acted(t, events.DoEnd, "", events.Actor{Rule: "ends"}, nine.Add(62*time.Second), events.Outcome{Result: events.Done, Why: "already"})...)
	c := folded(t, all...)
	if got := c.Ender(); got.Kind != projections.ByAPI {
		t.Errorf("it was ended by %+v", got)
	}
	if got, want := projections.Why(c), "Ended after 1m0s via the API, not through Gavel."; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
