package projections_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"gavel/events"
	"gavel/projections"
)

// nine is when the conferences of these tests begin.
var nine = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

// reported is an item of Event Streams; more are names and values.
func reported(t *testing.T, kind events.Kind, callSid, sid string, at time.Time, more ...string) *events.Event {
	t.Helper()
	var params events.Params
	for i := 0; i < len(more); i += 2 {
		params = append(params, events.Param{Name: more[i], Value: more[i+1]})
	}
	key := events.Key{AccountSid: account, ConferenceSid: conference}
	e, err := events.Parse(events.NewStreamed(kind, key, callSid, sid, at, at.Add(time.Hour), params))
	if err != nil {
		t.Fatal(err)
	}
	return &e
}

// called is a callback of the conference.
func called(t *testing.T, seq string, kind events.Kind, at time.Time, more ...string) *events.Event {
	t.Helper()
	form := events.Params{
		{Name: "AccountSid", Value: account}, {Name: "ConferenceSid", Value: conference}, {Name: "FriendlyName", Value: "room"},
		{Name: "SequenceNumber", Value: seq}, {Name: "StatusCallbackEvent", Value: string(kind)}, {Name: "Timestamp", Value: at.Format(events.TimestampLayout)},
	}
	for i := 0; i < len(more); i += 2 {
		form = append(form, events.Param{Name: more[i], Value: more[i+1]})
	}
	if strings.HasPrefix(string(kind), "participant-") {
		for _, flag := range []string{"Muted", "Hold", "Coaching", "EndConferenceOnExit", "StartConferenceOnEnter"} {
			form = append(form, events.Param{Name: flag, Value: "false"})
		}
	}
	e, err := events.Parse(events.Entry{Source: events.SourceCallback, ReceivedAt: at, Form: form.Encode()})
	if err != nil {
		t.Fatal(err)
	}
	return &e
}

// folded folds the events in this order and in the reverse one, which must agree.
func folded(t *testing.T, all ...*events.Event) *projections.Conference {
	t.Helper()
	fold := func(all []*events.Event) (c *projections.Conference) {
		for _, e := range all {
			after, fresh, err := projections.Fold(c, e)
			if err != nil || !fresh {
				t.Fatalf("%s: fresh %v, %v", e.Kind, fresh, err)
			}
			c = after
		}
		return c
	}
	c := fold(all)
	slices.Reverse(all)
	if other := fold(all); !projections.Equal(c, other) {
		t.Errorf("the order decides:\n%+v\n%+v", c, other)
	}
	return c
}

// A program beside Gavel ended the conference. Twilio's report of its request is the evidence.
func TestARequestFromOutsideIsEvidenceOfWhoEndedIt(t *testing.T) {
	t.Parallel()
	start := called(t, "1", events.ConferenceStart, nine)
	end := called(t, "2", events.ConferenceEnd, nine.Add(time.Minute), "ReasonConferenceEnded", projections.EndedViaAPI)
	request := reported(t, events.APIConferenceModified, "", "VW1", nine.Add(58*time.Second), events.ResponseCodeParam, "200", "Request.Status", "completed", "Request.AnnounceUrl", "https://example.com")
	refused := reported(t, events.APIConferenceModified, "", "VW2", nine.Add(59*time.Second), events.ResponseCodeParam, "404", "Request.Status", "completed")
	c := folded(t, start, end, request, refused)
	const want = "Ended after 1m0s via the API, not through Gavel but by an API request at 2026-11-22T09:00:58Z with Status=completed."
	if got := projections.Why(c); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if again, fresh, _ := projections.Fold(c, request); fresh || !projections.Equal(again, c) {
		t.Error("a second copy is a new fact")
	}
	if c.Created != projections.At(nine) || c.Updated != projections.At(nine.Add(time.Minute)) {
		t.Errorf("the request changed the times of the conference: %+v", c)
	}
}

// Callbacks were lost: the summaries fill the name, the start, the end and the legs.
func TestSummariesFillWhatCallbacksDidNotState(t *testing.T) {
	t.Parallel()
	at := func(seconds int) string { return nine.Add(time.Duration(seconds) * time.Second).Format(time.RFC3339) }
	join := called(t, "1", events.ParticipantJoin, nine, "CallSid", call(1))
	c := folded(t, join,
		reported(t, events.InsightsConferenceSummary, "", "VW1", nine.Add(time.Hour), "Summary.friendly_name", "room", "Summary.start_time", at(5), "Summary.end_time", at(60), "Summary.end_reason", "last_participant_left"),
		reported(t, events.InsightsParticipantSummary, call(1), "VW2", nine.Add(time.Hour), "Summary.join_time", at(0), "Summary.leave_time", at(60), "Summary.label", "agent"),
		reported(t, events.InsightsParticipantSummary, call(2), "VW3", nine.Add(time.Hour), "Summary.join_time", at(5), "Summary.leave_time", at(30)),
	)
	if c.Status() != projections.StatusCompleted || c.Start.At != projections.At(nine.Add(5*time.Second)) || c.End.Reason != projections.EndedByLastLeft {
		t.Errorf("start %+v, end %+v", c.Start, c.End)
	}
	if c.FriendlyName.Value != "room" || c.Participant(call(1)).Label.Value != "agent" || len(c.Live()) != 0 {
		t.Errorf("name %q, label %q, %d present", c.FriendlyName.Value, c.Participant(call(1)).Label.Value, len(c.Live()))
	}
	for leg, seconds := range map[int]int64{1: 60, 2: 25} {
		if got := c.PresentSeconds(c.Participant(call(leg)), 0); got != seconds {
			t.Errorf("leg %d was present for %d s, want %d", leg, got, seconds)
		}
	}
}

// A partial summary says nothing about the end.
func TestAPartialSummaryEndsNothing(t *testing.T) {
	t.Parallel()
	c := folded(t, called(t, "1", events.ParticipantJoin, nine, "CallSid", call(1)),
		reported(t, events.InsightsConferenceSummary, "", "VW1", nine, events.PartialParam, "true", "Summary.end_time", nine.Format(time.RFC3339)),
		reported(t, events.InsightsParticipantSummary, call(1), "VW2", nine, events.PartialParam, "true", "Summary.leave_time", nine.Add(time.Minute).Format(time.RFC3339)))
	if c.End != nil || len(c.Live()) != 1 {
		t.Errorf("end %+v, %d present", c.End, len(c.Live()))
	}
}

// Old accounts send an end without its reason, and accounts without credentials fetch nothing.
func TestASummaryFillsTheReasonOfACallbackWithoutOne(t *testing.T) {
	t.Parallel()
	end := called(t, "2", events.ConferenceEnd, nine.Add(time.Minute))
	summary := reported(t, events.InsightsConferenceSummary, "", "VW1", nine.Add(time.Hour), "Summary.end_time", nine.Add(time.Minute).Format(time.RFC3339),
		"Summary.end_reason", "last_participant_left", "Summary.ended_by", call(2))
	for _, story := range [][]*events.Event{{end, summary}, {summary, end}} {
		c := folded(t, story...)
		if got := c.Ended(); got.Reason != projections.EndedByLastLeft || got.CallSid != call(2) {
			t.Errorf("the end is shown as %+v", got)
		}
		if c.End.Reason != "" || c.End.Healed {
			t.Errorf("rules read the end %+v", c.End)
		}
	}
}

// Callbacks win, and the timeline lists where the summary differs.
func TestCallbacksWinOverASummaryAndDifferencesAreListed(t *testing.T) {
	t.Parallel()
	summary := reported(t, events.InsightsConferenceSummary, "", "VW1", nine.Add(time.Hour), "Summary.friendly_name", "other", "Summary.start_time", nine.Format(time.RFC3339),
		"Summary.end_time", nine.Add(2*time.Minute).Format(time.RFC3339), "Summary.end_reason", "conference_ended_via_api")
	c := folded(t, called(t, "1", events.ConferenceStart, nine),
		called(t, "2", events.ConferenceEnd, nine.Add(time.Minute), "ReasonConferenceEnded", projections.EndedByLastLeft), summary)
	if c.FriendlyName.Value != "room" || c.End.Reason != projections.EndedByLastLeft || c.End.At != projections.At(nine.Add(time.Minute)) {
		t.Errorf("name %q, end %+v", c.FriendlyName.Value, c.End)
	}
	const want = "friendly_name: callbacks room, summary other; end_time: callbacks 2026-11-22T09:01:00Z, summary 2026-11-22T09:02:00Z; " +
		"end_reason: callbacks last-participant-left, summary conference-ended-via-api"
	if got := projections.Differences(c, summary); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
