package projections_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"gavel/events"
	"gavel/projections"
)

// busy is a room where four people talk, while 1,200 others come and go one after the other.
func busy(t *testing.T) (room *projections.Conference, seq int64) {
	t.Helper()
	fold := func(kind events.Kind, leg int) {
		e := *participantEvent(seq, kind, leg)
		e.ID = fmt.Sprintf("%d-%s", seq, kind)
		seq++
		after, fresh, err := projections.Fold(room, &e)
		if err != nil || !fresh {
			t.Fatalf("event %d: fresh %t, %v", seq, fresh, err)
		}
		room = after
	}
	for leg := range 4 {
		fold(events.ParticipantJoin, leg)
	}
	for leg := range 1200 {
		fold(events.ParticipantJoin, 10+leg)
		fold(events.ParticipantLeave, 10+leg)
	}
	return room, seq
}

func callOf(leg int) string { return participantEvent(0, events.ParticipantJoin, leg).CallSid }

func TestARecordKeepsWhoIsPresentAndWhoLeftLast(t *testing.T) {
	t.Parallel()
	room, seq := busy(t)
	if len(room.Live()) != 4 || len(room.Participants) != projections.MaxParticipants || !room.Truncated {
		t.Fatalf("%d live of %d, truncated %t", len(room.Live()), len(room.Participants), room.Truncated)
	}
	if room.Participant(callOf(10)) != nil || room.Participant(callOf(1209)) == nil {
		t.Error("those that left first are kept, and not those that left last")
	}
	late := *participantEvent(1, events.ParticipantHold, 10) // of the one that left first, behind many others
	late.SequenceNumber, late.ID = 5, "late"
	after, _, err := projections.Fold(room, &late)
	if err != nil || after.Participant(callOf(10)) != nil || len(after.Live()) != 4 {
		t.Errorf("a late event brought a leg back: %d live, %v", len(after.Live()), err)
	}
	back := *participantEvent(seq, events.ParticipantJoin, 10)
	back.ID = "back"
	after, _, err = projections.Fold(room, &back)
	if err != nil || len(after.Live()) != 5 || after.Removed.Has(callOf(10)) {
		t.Errorf("a leg that joins again is not present: %d live, %v", len(after.Live()), err)
	}
}

// What Twilio shows right before an action can be added to a full record: else the action would be
// decided by a blind look.
func TestALookAtTwilioAddsLegsToAFullRecord(t *testing.T) {
	t.Parallel()
	room, _ := busy(t)
	seen := projections.Seen{Status: projections.StatusInProgress, At: time.Unix(1_790_009_000, 0)}
	for _, leg := range []int{0, 1, 2, 3, 10, 5000} {
		seen.Legs = append(seen.Legs, projections.SeenLeg{CallSid: callOf(leg), Status: "connected"})
	}
	var got []string
	for _, p := range projections.Overlay(room, seen).Live() {
		got = append(got, p.CallSid)
	}
	var want []string
	for _, l := range seen.Legs {
		want = append(want, l.CallSid)
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d are present, want %d", len(got), len(want))
	}
}

// Whether a decision was performed is never forgotten: what the record has no room for is settled.
func TestAnActionThatEndedIsNeverForgotten(t *testing.T) {
	t.Parallel()
	var all []events.Event
	for n := range projections.MaxActions + 100 {
		intent, outcome := end(t, n)
		all = append(all, intent, outcome)
	}
	room := foldAll(t, all)
	if len(room.Actions) != projections.MaxActions || !room.Truncated {
		t.Fatalf("%d actions, truncated %t", len(room.Actions), room.Truncated)
	}
	for n := range projections.MaxActions + 100 {
		id := fmt.Sprintf("01J%023d", n)
		kept := slices.ContainsFunc(room.Actions, func(a *projections.ActionRecord) bool { return a.ID == id && a.Outcome != nil })
		if kept == room.Settled.Has(id) {
			t.Fatalf("action %d: kept %t, settled %t", n, kept, room.Settled.Has(id))
		}
	}
	for _, again := range all[:2] {
		if _, fresh, err := projections.Fold(room, &again); fresh || err != nil {
			t.Errorf("%s of an action that ended: fresh %t, %v", again.Kind, fresh, err)
		}
	}
}
