package events

// News is one fact on its way to subscribers: a CloudEvent and what the stream
// needs to keep it once and in order.
type News struct {
	Key  Key
	Kind Kind
	// ID is the event's; the stream refuses doubles by it for a while.
	ID string
	// Lane and Position are where the journal holds the fact. News of one
	// conference goes out in the order of Position.
	Lane     int
	Position Position
	// Data is the CloudEvent, JSON.
	Data []byte
}

// Told is news as a subscriber finds it, with its sequence in GAVEL_EVENTS.
type Told struct {
	News
	Sequence uint64
}
