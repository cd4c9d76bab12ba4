package projections_test

import (
	"runtime"
	"strings"
	"testing"
	"time"
	"weak"

	"gavel/events"
	"gavel/projections"
)

// A conference of a long call is folded thousands of times. Were each record to hold the one before
// it, a conference of fifty events would keep fifty records in memory.
func TestARecordDoesNotKeepTheRecordsBeforeItInMemory(t *testing.T) {
	t.Parallel()
	first, _, err := projections.Fold(nil, participantEvent(1, events.ParticipantJoin, 1))
	if err != nil {
		t.Fatal(err)
	}
	old := weak.Make(first)
	last, fresh, err := projections.Fold(first, participantEvent(2, events.ParticipantHold, 1))
	if err != nil || !fresh {
		t.Fatalf("fold a hold: fresh %v, %v", fresh, err)
	}
	first = nil
	runtime.GC()
	if old.Value() != nil {
		t.Error("the record after a hold keeps the record before it in memory")
	}
	runtime.KeepAlive(last)
}

// An overlay is evaluated once and must not keep what it was made of.
func TestAnOverlayDoesNotKeepTheRecordBelowItInMemory(t *testing.T) {
	t.Parallel()
	record, _, err := projections.Fold(nil, participantEvent(1, events.ParticipantJoin, 1))
	if err != nil {
		t.Fatal(err)
	}
	old := weak.Make(record)
	overlay := projections.Overlay(record, projections.Seen{Status: projections.StatusInProgress, At: time.Unix(1e9, 0)})
	record = nil
	runtime.GC()
	if old.Value() != nil {
		t.Error("an overlay keeps the record below it in memory")
	}
	runtime.KeepAlive(overlay)
}

// The strings of an entry are parts of its journal message of up to 256 KiB.
func TestARecordDoesNotKeepAJournalMessageInMemory(t *testing.T) {
	t.Parallel()
	form := "AccountSid=AC00000000000000000000000000000001&ConferenceSid=CF00000000000000000000000000000001&" +
		"FriendlyName=support&SequenceNumber=1&Timestamp=Sun%2C+22+Nov+2026+09%3A00%3A00+%2B0000&" +
		"StatusCallbackEvent=participant-leave&CallSid=CA00000000000000000000000000000001&ParticipantLabel=ana&" +
		"Muted=false&Hold=false&Coaching=false&EndConferenceOnExit=false&StartConferenceOnEnter=true&" +
		"ReasonParticipantLeft=participant_hung_up&ParticipantCallStatus=completed"
	message := make([]byte, 0, 64<<10)
	message = events.AppendEntry(message, events.Entry{Source: events.SourceCallback, ReceivedAt: time.Unix(1e9, 0), Form: form})
	old := weak.Make(&message[0])
	var record *projections.Conference
	err := events.Group{Sequence: 1, Data: message}.Split(func(_ int, raw events.Entry) error {
		e, err := events.Parse(raw)
		if err == nil {
			record, _, err = projections.Fold(record, &e)
		}
		return err
	})
	if err != nil || record == nil {
		t.Fatalf("fold a leave: record %v, %v", record, err)
	}
	message = nil
	runtime.GC()
	if old.Value() != nil {
		t.Errorf("the record keeps the journal message in memory, of which it needs %d bytes", strings.Count(form, ""))
	}
	runtime.KeepAlive(record)
}
