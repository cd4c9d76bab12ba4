package crashpoint

// Point is a place in the code.
type Point string

// The points, in the order of processing a decision.
const (
	// The projector, in one batch.
	Judged    Point = "judged"    // rules are evaluated; nothing is published
	Matched   Point = "matched"   // matches are published to the lanes of their counts
	Decided   Point = "decided"   // decisions are published
	Armed     Point = "armed"     // alarms are set; nothing is saved
	Saved     Point = "saved"     // records and rule states are saved
	Applied   Point = "applied"   // the lane's position is recorded; no news is published
	Published Point = "published" // news is published; nothing is acknowledged

	// The alarm clock.
	AlarmFetched  Point = "alarm-fetched"  // an alarm was received; the wake-up is not published
	WakePublished Point = "wake-published" // the wake-up is published; the alarm is not acknowledged

	// The performer.
	DecisionFetched Point = "decision-fetched" // a decision was fetched
	StateRead       Point = "state-read"       // the conference was read from Twilio
	Admitted        Point = "admitted"         // the brakes admitted the action
	Intended        Point = "intended"         // the intent is in the journal
	Called          Point = "called"           // Twilio or the webhook's receiver has answered
	Recorded        Point = "recorded"         // the outcome is in the journal; nothing is acknowledged
	Waiting         Point = "waiting"          // the alarm of the next attempt is set; nothing is acknowledged

	// The announcement.
	Serving           Point = "serving"            // serving is recorded; nothing is sent
	Served            Point = "served"             // the announcement was sent
	AnnouncementEnded Point = "announcement-ended" // its end was reported; no outcome is in the journal
)

// All lists all points.
var All = []Point{
	Judged, Matched, Decided, Armed, Saved, Applied, Published, AlarmFetched, WakePublished,
	DecisionFetched, StateRead, Admitted, Intended, Called, Recorded, Waiting, Serving, Served, AnnouncementEnded,
}
