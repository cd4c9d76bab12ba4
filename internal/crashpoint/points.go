package crashpoint

// Point is a place in the code.
type Point string

// The points, in the order of processing a decision.
const (
	// The projector, in one batch.
	Judged  Point = "judged"  // rules are evaluated; nothing is published
	Matched Point = "matched" // matches are published to the lanes of their counts
	Decided Point = "decided" // decisions are published
	Armed   Point = "armed"   // alarms are set; nothing is saved
	Saved   Point = "saved"   // records and rule states are saved
	Noted   Point = "noted"   // the lane's position is recorded; no news is published
	Told    Point = "told"    // news is published; nothing is acknowledged

	// The alarm clock.
	Rang  Point = "rang"  // an alarm was received; the wake-up is not published
	Woken Point = "woken" // the wake-up is published; the alarm is not acknowledged

	// The performer.
	Taken    Point = "taken"    // a decision was fetched
	Seen     Point = "seen"     // the conference was read from Twilio
	Admitted Point = "admitted" // the brakes admitted the action
	Intended Point = "intended" // the intent is in the journal
	Called   Point = "called"   // Twilio or the webhook's receiver has answered
	Recorded Point = "recorded" // the outcome is in the journal; nothing is acknowledged
	Waiting  Point = "waiting"  // the alarm of the next attempt is set; nothing is acknowledged

	// The announcement.
	Fetched Point = "fetched" // serving is recorded; nothing is sent
	Served  Point = "served"  // the audio was sent
	Heard   Point = "heard"   // its end was reported; no outcome is in the journal
)

// All lists all points.
var All = []Point{
	Judged, Matched, Decided, Armed, Saved, Noted, Told, Rang, Woken,
	Taken, Seen, Admitted, Intended, Called, Recorded, Waiting, Fetched, Served, Heard,
}
