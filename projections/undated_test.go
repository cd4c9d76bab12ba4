package projections_test

import (
	"testing"
	"time"

	"gavel/events"
	"gavel/projections"
)

// undated is a callback whose Timestamp cannot be read.
func undated(t *testing.T, seq string, kind events.Kind, received time.Time, more ...events.Param) *events.Event {
	t.Helper()
	form := events.Params{
		{Name: "AccountSid", Value: account}, {Name: "ConferenceSid", Value: conference}, {Name: "FriendlyName", Value: "room"},
		{Name: "SequenceNumber", Value: seq}, {Name: "StatusCallbackEvent", Value: string(kind)}, {Name: "Timestamp", Value: "2024-06-17 16:49:31 UTC"},
	}
	e, err := events.Parse(events.Entry{Source: events.SourceCallback, ReceivedAt: received, Form: append(form, more...).Encode()})
	if err != nil {
		t.Fatal(err)
	}
	return &e
}

// A source that dates nothing in Twilio's form: each event has the time of its receipt, and a copy
// that comes later is a duplicate.
func TestAnUnreadableTimestampIsFoldedByTheTimeOfReceipt(t *testing.T) {
	t.Parallel()
	nine := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	start := undated(t, "1", events.ConferenceStart, nine)
	end := undated(t, "2", events.ConferenceEnd, nine.Add(time.Minute))
	c, _, err := projections.Fold(nil, start)
	if err != nil {
		t.Fatal(err)
	}
	c, _, err = projections.Fold(c, end)
	if err != nil {
		t.Fatal(err)
	}
	if c.Start == nil || c.Start.At != projections.At(nine) || c.End == nil || c.End.At != projections.At(nine.Add(time.Minute)) {
		t.Errorf("start %+v, end %+v, want the times of receipt", c.Start, c.End)
	}
	if len(c.Undated) != 2 || c.Undated[0].Seq != 1 || c.Undated[1].Seq != 2 {
		t.Errorf("marked as undated: %+v, want both events", c.Undated)
	}
	for _, later := range []*events.Event{start, undated(t, "1", events.ConferenceStart, nine.Add(time.Hour))} {
		again, fresh, err := projections.Fold(c, later)
		if err != nil || fresh || !projections.Equal(again, c) {
			t.Errorf("a copy: fresh %v, %v, want a duplicate", fresh, err)
		}
	}
}

// The number of events that are noted has a bound.
func TestUndatedEventsHaveABound(t *testing.T) {
	t.Parallel()
	c := &projections.Conference{AccountSid: account, ConferenceSid: conference, Undated: make([]projections.Undated, projections.MaxUndated)}
	c, fresh, err := projections.Fold(c, undated(t, "7", events.ConferenceStart, time.Unix(1_800_000_000, 0)))
	if err != nil || !fresh || !c.Truncated || len(c.Undated) != projections.MaxUndated || c.Start == nil {
		t.Errorf("fresh %v, truncated %v, %d noted, %v", fresh, c.Truncated, len(c.Undated), err)
	}
}

// A recording whose start cannot be read is kept without it.
func TestARecordingWithAnUnreadableStartIsKept(t *testing.T) {
	t.Parallel()
	form := events.Params{
		{Name: "AccountSid", Value: account}, {Name: "ConferenceSid", Value: conference}, {Name: "RecordingSid", Value: recording(1)},
		{Name: "RecordingStatus", Value: "completed"}, {Name: "RecordingStartTime", Value: "this morning"},
	}
	e, err := events.Parse(events.Entry{Source: events.SourceRecording, Form: form.Encode()})
	if err != nil {
		t.Fatal(err)
	}
	c, fresh, err := projections.Fold(nil, &e)
	if err != nil || !fresh || len(c.Recordings) != 1 || c.Recordings[0].StartedAt != 0 {
		t.Errorf("got %+v, fresh %v, %v", c, fresh, err)
	}
}
