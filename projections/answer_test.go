package projections_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gavel/events"
	"gavel/projections"
)

// second is a time of these stories: their events have the number of their second.
const second = 1_790_000_000

// answerAbout is the entry that Twilio's answer leads to, given the record at the time of the write.
func answerAbout(t *testing.T, record *projections.Conference, body string, after time.Duration) events.Event {
	t.Helper()
	entry, ok := projections.Answered(record, []byte(body), time.Unix(second, 0).Add(after), events.NewULID)
	if !ok {
		t.Fatalf("the answer %s states nothing", body)
	}
	return answered(t, entry)
}

// flagged is a participant's event in which hold and mute have these values.
func flagged(seq int64, kind events.Kind, leg int, hold, muted string) events.Event {
	e := *participantEvent(seq, kind, leg)
	e.Params = slices.DeleteFunc(slices.Clone(e.Params), func(p events.Param) bool { return p.Name == "Hold" || p.Name == "Muted" })
	e.Params = append(e.Params, events.Param{Name: "Hold", Value: hold}, events.Param{Name: "Muted", Value: muted})
	return e
}

// A client writes about a leg that the record does not have yet, or while the record cannot be read.
// Twilio answered after the leg's join, so the answer counts behind it, in whatever order they arrive.
func TestAnAnswerAboutALegWhoseJoinIsOnItsWayIsKept(t *testing.T) {
	t.Parallel()
	const held, released = `,"status":"connected","hold":true}`, `,"status":"connected","hold":false}`
	leg := `{"call_sid":"` + call(2) + `"`
	others := []events.Event{flagged(1, events.ParticipantJoin, 1, "false", "false")}
	join := flagged(3, events.ParticipantJoin, 2, "false", "false")
	never := &projections.Conference{AccountSid: account, ConferenceSid: conference} // what an unread record is
	for what, c := range map[string]struct {
		record *projections.Conference
		body   string
		after  time.Duration
		story  []events.Event
		hold   bool
		holds  []projections.Interval
	}{
		"before its join": {foldAll(t, others), leg + held, 4 * time.Second, []events.Event{join}, true, []projections.Interval{{From: second + 4}}},
		"before its join, by clocks that differ": {
			foldAll(t, others), leg + held, time.Second, []events.Event{join}, true, []projections.Interval{{From: second + 1}},
		},
		"it joined on hold and was released": {
			foldAll(t, others), leg + released, 4 * time.Second, []events.Event{flagged(3, events.ParticipantJoin, 2, "true", "false")},
			false, []projections.Interval{{From: second + 3, Until: second + 4}},
		},
		"a later callback overrides it": {
			foldAll(t, others), leg + held, 4 * time.Second, []events.Event{join, flagged(9, events.ParticipantUnhold, 2, "false", "false")},
			false, []projections.Interval{{From: second + 4, Until: second + 9}},
		},
		"it left and came back": {
			foldAll(t, others), leg + held, 4 * time.Second,
			[]events.Event{join, flagged(20, events.ParticipantLeave, 2, "true", "false"), flagged(30, events.ParticipantJoin, 2, "false", "false")},
			false, []projections.Interval{{From: second + 4, Until: second + 20}},
		},
		"the conference is not in the picture": {never, leg + held, 4 * time.Second, []events.Event{join}, true, []projections.Interval{{From: second + 4}}},
		"the record was not read, and the leg was changed long ago": {
			never, leg + released, 60 * time.Second,
			[]events.Event{join, flagged(5, events.ParticipantHold, 2, "true", "false"), flagged(20, events.ParticipantMute, 2, "true", "true")},
			false, []projections.Interval{{From: second + 5, Until: second + 60}},
		},
		"its second join is on its way": {
			foldAll(t, append(slices.Clone(others), join, flagged(5, events.ParticipantLeave, 2, "false", "false"))), leg + held, 12 * time.Second,
			[]events.Event{join, flagged(5, events.ParticipantLeave, 2, "false", "false"), flagged(11, events.ParticipantJoin, 2, "false", "false")},
			true, []projections.Interval{{From: second + 12}},
		},
	} {
		story := slices.Concat(others, c.story, []events.Event{answerAbout(t, c.record, c.body, c.after)})
		want := foldAll(t, story)
		for range len(story) {
			story = append(story[1:], story[0])
			if got := foldAll(t, story); !projections.Equal(got, want) {
				t.Errorf("%s: the order changes the record: %s", what, cmp.Diff(want, got))
			}
		}
		p := want.Participant(call(2))
		if diff := cmp.Diff(c.holds, want.Holds(p)); diff != "" || p.Flags.Value.Hold != c.hold {
			t.Errorf("%s: hold is %t; its intervals (-want +got):\n%s", what, p.Flags.Value.Hold, diff)
		}
		if from := want.Intervals(p)[0].From; from != second+3 {
			t.Errorf("%s: it joined at second %d, want that of its callback", what, from-second)
		}
	}
}

// An answer about a leg that is not there states nothing.
func TestAnAnswerAboutALegThatIsNotConnectedIsNotKept(t *testing.T) {
	t.Parallel()
	record := foldAll(t, []events.Event{*participantEvent(1, events.ParticipantJoin, 1), *participantEvent(2, events.ParticipantLeave, 1)})
	for _, leg := range []int{1, 2} {
		for _, status := range []string{"complete", "failed", ""} {
			body := `{"call_sid":"` + call(leg) + `","status":"` + status + `","hold":true}`
			if entry, ok := projections.Answered(record, []byte(body), time.Unix(second, 0), events.NewULID); ok {
				t.Errorf("a leg with status %q: %s", status, entry.Form)
			}
		}
	}
}

// The answer to a write that changes nothing is kept, because the answer to the write before it may
// be folded later.
func TestAnAnswerThatChangesNothingIsKept(t *testing.T) {
	t.Parallel()
	record := foldAll(t, []events.Event{flagged(1, events.ParticipantJoin, 1, "false", "false")})
	body := func(hold string) string {
		return `{"call_sid":"` + call(1) + `","status":"connected","hold":` + hold + `}`
	}
	hold, release := answerAbout(t, record, body("true"), 9*time.Second), answerAbout(t, record, body("false"), 9*time.Second+time.Millisecond)
	for _, story := range [][]events.Event{{hold, release}, {release, hold}} {
		after := record
		for i := range story {
			var fresh bool
			var err error
			if after, fresh, err = projections.Fold(after, &story[i]); err != nil || !fresh {
				t.Fatalf("fresh %t, %v", fresh, err)
			}
		}
		if after.Participant(call(1)).Flags.Value.Hold {
			t.Error("the earlier answer counts")
		}
	}
}
