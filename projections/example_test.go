package projections_test

import (
	"fmt"
	"time"

	"gavel/events"
	"gavel/projections"
)

// Callbacks arrive late, out of order and more than once. Each is folded into the
// record as it arrives, and the record is the same in the end.
func ExampleFold() {
	began := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	callback := func(sequence int64, kind events.Kind, call string) *events.Event {
		at := began.Add(time.Duration(sequence) * time.Minute)
		return &events.Event{
			ID: fmt.Sprint(sequence), Kind: kind, Source: events.SourceCallback,
			AccountSid: "AC25e16e9a716a4a8617a7c83f58e30482", ConferenceSid: "CFe08c870b500f6e44a9ad184defd1f391", CallSid: call,
			SequenceNumber: sequence, OccurredAt: at, ReceivedAt: at,
			Params: events.Params{{Name: "FriendlyName", Value: "support-7"}},
		}
	}
	const ana, kate = "CA00000000000000000000000000000001", "CA00000000000000000000000000000002"
	var record *projections.Conference // of a conference without a record
	for _, e := range []*events.Event{
		callback(3, events.ConferenceStart, ""),
		callback(1, events.ParticipantJoin, ana),
		callback(4, events.ParticipantLeave, kate),
		callback(2, events.ParticipantJoin, kate),
		callback(2, events.ParticipantJoin, kate), // a redelivery
	} {
		after, fresh, err := projections.Fold(record, e)
		if err != nil {
			fmt.Println(err)
			return
		}
		record = after
		fmt.Println(e.SequenceNumber, fresh)
	}
	fmt.Println(record.FriendlyName.Value, record.Status(), len(record.Live()), "live of", len(record.Participants))
	// Output:
	// 3 true
	// 1 true
	// 4 true
	// 2 true
	// 2 false
	// support-7 in-progress 1 live of 2
}
