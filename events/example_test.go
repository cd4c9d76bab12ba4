package events_test

import (
	"fmt"
	"time"

	"gavel/events"
)

// A callback's body becomes an Event: what happened, in which conference, when,
// and an ID that a redelivery has too.
func ExampleParse() {
	e, err := events.Parse(events.Entry{
		Source:     events.SourceCallback,
		ReceivedAt: time.Now(),
		Form: "AccountSid=AC25e16e9a716a4a8617a7c83f58e30482&ConferenceSid=CFe08c870b500f6e44a9ad184defd1f391" +
			"&StatusCallbackEvent=participant-join&SequenceNumber=2&Timestamp=Sun%2C+22+Nov+2026+10%3A00%3A05+%2B0000" +
			"&FriendlyName=support-7&CallSid=CA25e16e9a716a4a1786a7c83f58e30482&ParticipantLabel=agent-ana" +
			"&Muted=false&Hold=false&Coaching=false&StartConferenceOnEnter=true&EndConferenceOnExit=false",
	})
	if err != nil {
		fmt.Println("a callback that Twilio did not send:", err)
		return
	}
	fmt.Println(e.Kind, e.SequenceNumber, e.OccurredAt.UTC().Format(time.TimeOnly))
	fmt.Println(e.Params.Get("FriendlyName"), e.Params.Get("ParticipantLabel"))
	// Output:
	// participant-join 2 10:00:05
	// support-7 agent-ana
}
