package projections_test

import (
	"slices"
	"testing"

	"gavel/events"
	"gavel/projections"
)

// Only join and leave are subscribed, so no callback states a start or an end.
func TestAConferenceThatEverybodyLeftMustHaveEnded(t *testing.T) {
	t.Parallel()
	event := func(seq int64, kind events.Kind, leg int, reason string) events.Event {
		e := *participantEvent(seq, kind, leg)
		if reason != "" {
			e.Params = append(e.Params, events.Param{Name: "ReasonParticipantLeft", Value: reason})
		}
		return e
	}
	met := []events.Event{event(1, events.ParticipantJoin, 1, ""), event(2, events.ParticipantJoin, 2, "")}
	for what, c := range map[string]struct {
		then []events.Event
		want string
	}{
		"two are in it": {nil, projections.StatusInit},
		"one left":      {[]events.Event{event(3, events.ParticipantLeave, 1, "participant_hung_up")}, projections.StatusInit},
		"both left": {[]events.Event{
			event(3, events.ParticipantLeave, 1, "participant_hung_up"), event(4, events.ParticipantLeave, 2, "participant_hung_up"),
		}, projections.StatusCompleted},
		"a moderator ended it": {[]events.Event{event(3, events.ParticipantLeave, 1, "moderator_ended_conference")}, projections.StatusCompleted},
		"the API ended it":     {[]events.Event{event(3, events.ParticipantLeave, 1, "conference_ended_via_api")}, projections.StatusCompleted},
		"one came back": {[]events.Event{
			event(3, events.ParticipantLeave, 1, "participant_hung_up"), event(4, events.ParticipantLeave, 2, "participant_hung_up"),
			event(5, events.ParticipantJoin, 1, ""),
		}, projections.StatusInit},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			story := slices.Concat(met, c.then)
			for range 2 {
				record := foldAll(t, story)
				if got := record.Status(); got != c.want {
					t.Errorf("the status is %s, want %s", got, c.want)
				}
				if record.EndInferred() != (c.want == projections.StatusCompleted) || record.StatedStatus() == projections.StatusCompleted {
					t.Errorf("inferred is %v, and rules read %s", record.EndInferred(), record.StatedStatus())
				}
				if c.want == projections.StatusCompleted && len(record.Present()) > 0 {
					t.Errorf("%d legs are present", len(record.Present()))
				}
				slices.Reverse(story)
			}
		})
	}
}

// The start is not subscribed. What started the conference leaves, and comes back as a leg that would
// wait: the conference goes on, in whatever order the callbacks arrive.
func TestAConferenceThatStartedStaysStarted(t *testing.T) {
	t.Parallel()
	joins := func(leg int, seq int64, starts string) events.Event {
		e := *participantEvent(seq, events.ParticipantJoin, leg)
		e.Params = append(events.Params{{Name: "StartConferenceOnEnter", Value: starts}}, e.Params...)
		return e
	}
	story := []events.Event{
		joins(1, 1, "true"), joins(2, 2, "false"), *participantEvent(3, events.ParticipantLeave, 1), joins(1, 4, "false"),
	}
	for range story {
		story = append(story[1:], story[0])
		if got := foldAll(t, story).StatedStatus(); got != projections.StatusInProgress {
			t.Errorf("the status is %s", got)
		}
	}
	if got := foldAll(t, []events.Event{joins(1, 1, "false"), joins(2, 2, "false")}).StatedStatus(); got != projections.StatusInit {
		t.Errorf("of two that wait the status is %s", got)
	}
}

func TestAWaitingRoomIsShownInProgress(t *testing.T) {
	t.Parallel()
	record := foldAll(t, []events.Event{*participantEvent(1, events.ParticipantJoin, 1)})
	if record.Status() != projections.StatusInit || record.ShownStatus() != projections.StatusInProgress {
		t.Errorf("the status is %s, shown as %s", record.Status(), record.ShownStatus())
	}
}

func TestAFinishedRecordingMeansAStart(t *testing.T) {
	t.Parallel()
	join := *participantEvent(1, events.ParticipantJoin, 1)
	done := events.Event{
		AccountSid: account, ConferenceSid: conference, RecordingSid: recording(1), Kind: "recording-completed", SequenceNumber: events.NoSequence,
		Params: events.Params{{Name: "RecordingStatus", Value: "completed"}, {Name: "RecordingDuration", Value: "12"}},
	}
	if got := foldAll(t, []events.Event{join, done}).Status(); got != projections.StatusInProgress {
		t.Errorf("the status is %s", got)
	}
}
