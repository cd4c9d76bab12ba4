package events_test

import (
	"testing"

	"gavel/events"
)

func idOf(t *testing.T, source events.Source, path string, changes ...string) string {
	t.Helper()
	e, err := events.Parse(entry(source, changed(t, path, changes...)))
	if err != nil {
		t.Fatal(err)
	}
	return e.ID
}

func TestSameFactHasOneID(t *testing.T) {
	t.Parallel()
	const join = "callbacks/participant-join.form"
	id := idOf(t, events.SourceCallback, join)
	if len(id) != 32 {
		t.Errorf("id %q has not 32 digits", id)
	}
	for name, same := range map[string]string{
		"by Event Streams":       idOf(t, events.SourceEventStream, join),
		"in another letter case": idOf(t, events.SourceCallback, "callbacks/letter-case.form"),
		"with another text":      idOf(t, events.SourceCallback, join, "FriendlyName", "other", "ParticipantLabel", "x"),
		"with a padded number":   idOf(t, events.SourceCallback, join, "SequenceNumber", "01"),
	} {
		if same != id {
			t.Errorf("%s: got %s, want %s", name, same, id)
		}
	}
}

func TestDifferentFactsHaveDifferentIDs(t *testing.T) {
	t.Parallel()
	const join, completed, recordEnd = "callbacks/participant-join.form", "callbacks/recording-completed.form", "callbacks/conference-record-end.form"
	const otherSid = "0123456789abcdef0123456789abcdef"
	seen := map[string]int{}
	for i, id := range []string{
		idOf(t, events.SourceCallback, join),
		idOf(t, events.SourceCallback, join, "SequenceNumber", "2"),
		idOf(t, events.SourceCallback, join, "StatusCallbackEvent", "participant-modify"),
		idOf(t, events.SourceCallback, join, "CallSid", "CA"+otherSid),
		idOf(t, events.SourceCallback, join, "ConferenceSid", "CF"+otherSid),
		idOf(t, events.SourceCallback, join, "AccountSid", "AC"+otherSid),
		idOf(t, events.SourceRecording, completed),
		idOf(t, events.SourceRecording, completed, "RecordingStatus", "in-progress"),
		idOf(t, events.SourceRecording, completed, "RecordingSid", "RE"+otherSid[:31]+"0"),
		idOf(t, events.SourceCallback, recordEnd),
		idOf(t, events.SourceCallback, recordEnd, "RecordingUrl", "https://example.com/2"),
	} {
		if before, twice := seen[id]; twice {
			t.Errorf("facts %d and %d share the id %s", before, i, id)
		}
		seen[id] = i
	}
}

// TestRecordingsAreNotNumbered: should Twilio number them one day, their status still makes the id.
func TestRecordingsAreNotNumbered(t *testing.T) {
	t.Parallel()
	const completed = "callbacks/recording-completed.form"
	e, err := events.Parse(entry(events.SourceRecording, changed(t, completed, "SequenceNumber", "4")))
	if err != nil || e.SequenceNumber != events.NoSequence || e.ID != idOf(t, events.SourceRecording, completed) {
		t.Errorf("got %+v, %v", e, err)
	}
}

func TestSidsAreReadInEitherLetterCase(t *testing.T) {
	t.Parallel()
	e, err := events.Parse(entry(events.SourceCallback, sample(t, "callbacks/letter-case.form")))
	if err != nil {
		t.Fatal(err)
	}
	if e.AccountSid != account || e.ConferenceSid != conference || e.CallSid != call {
		t.Errorf("not canonical: %s %s %s", e.AccountSid, e.ConferenceSid, e.CallSid)
	}
	if e.Params.Get("ConferenceSid") == conference {
		t.Error("the parameters were changed; they are evidence")
	}
}

func TestIsSid(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		recording: true, "re0123456789ABCDEF0123456789abcdef": true,
		"": false, "RE": false, account: false, recording + "0": false, recording[:33]: false,
		"RE0123456789abcdef0123456789abcdeg": false, "RE0123456789abcdef0123456789abcde ": false,
	} {
		if got := events.IsSid("RE", s); got != want {
			t.Errorf("IsSid(RE, %q) = %v", s, got)
		}
	}
}
