package projections_test

import (
	"slices"
	"testing"

	"gavel/events"
	"gavel/projections"
)

// A caller waits, and another leg is dialled, of which Twilio reports only the leave.
func TestALegThatNeverJoinedIsNoCompany(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what, reason, call string
		joined             int
		status             string
	}{
		{"busy", "participant_add_failed", "busy", 1, projections.StatusInit},
		{"without a status", "participant_add_failed", "", 1, projections.StatusInit},
		{"no answer", "", "no-answer", 1, projections.StatusInit},
		{"failed", "", "failed", 1, projections.StatusInit},
		{"canceled", "", "canceled", 1, projections.StatusInit},
		{"a lost join", "participant_hung_up", "completed", 2, projections.StatusInProgress},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			waits, leaves := *participantEvent(1, events.ParticipantJoin, 1), *participantEvent(2, events.ParticipantLeave, 2)
			leaves.Params = events.Params{
				{Name: "StartConferenceOnEnter", Value: "true"},
				{Name: "ReasonParticipantLeft", Value: c.reason}, {Name: "ParticipantCallStatus", Value: c.call},
			}
			story := []events.Event{waits, leaves}
			for range 2 {
				record := foldAll(t, story)
				if got := record.Status(); got != c.status {
					t.Errorf("the status is %s, want %s", got, c.status)
				}
				if got := len(record.Joined()); got != c.joined {
					t.Errorf("%d legs joined, want %d", got, c.joined)
				}
				p := record.Participant(call(2))
				if got := len(record.Intervals(p)); got != c.joined-1 {
					t.Errorf("the leg has %d intervals, want %d", got, c.joined-1)
				}
				if p.Left.Reason != c.reason || p.Left.CallStatus != c.call {
					t.Errorf("the leg left with %+v", p.Left)
				}
				slices.Reverse(story)
			}
		})
	}
}
