package events

// News is one fact for subscribers: a CloudEvent, and what the stream needs to
// store it once and in order.
type News struct {
	Key  Key
	Kind Kind
	// ID is the event's; the stream refuses duplicates of it for a while.
	ID string
	// Lane and Position are the fact's place in the journal. News of one
	// conference is published in the order of Position.
	Lane     int
	Position Position
	// Data is the CloudEvent, JSON.
	Data []byte
}

// StoredNews is news as a subscriber receives it, with its sequence in GAVEL_EVENTS.
type StoredNews struct {
	News
	Sequence uint64
}
