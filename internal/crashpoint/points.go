package crashpoint

// Point is a place in the code.
type Point string

// The points, in the order in which a decision meets them.
const (
	// The projector, in one batch.
	Judged  Point = "judged"  // judged; nothing of it is published
	Matched Point = "matched" // matches are in the lanes of their counts
	Decided Point = "decided" // decisions are published
	Armed   Point = "armed"   // alarms are set; nothing is saved
	Saved   Point = "saved"   // records and rule states are saved
	Noted   Point = "noted"   // the lane's position is noted; nothing is told
	Told    Point = "told"    // news is told; nothing is acknowledged

	// The alarm clock.
	Rang  Point = "rang"  // an alarm was taken; the lane is not woken
	Woken Point = "woken" // the lane is woken; the alarm is not acknowledged

	// The performer.
	Taken    Point = "taken"    // a decision was taken
	Seen     Point = "seen"     // Twilio was asked how things stand
	Admitted Point = "admitted" // the brakes let it pass
	Intended Point = "intended" // the intent is in the journal
	Called   Point = "called"   // Twilio, or whoever is told, has answered
	Recorded Point = "recorded" // the outcome is in the journal; nothing is acknowledged
	Waiting  Point = "waiting"  // the next try has its alarm; nothing is acknowledged

	// The announcement.
	Fetched Point = "fetched" // that it is served is noted; nothing is sent
	Served  Point = "served"  // it was sent
	Heard   Point = "heard"   // its end was told; no outcome is in the journal
)

// All are all points.
var All = []Point{
	Judged, Matched, Decided, Armed, Saved, Noted, Told, Rang, Woken,
	Taken, Seen, Admitted, Intended, Called, Recorded, Waiting, Fetched, Served, Heard,
}
