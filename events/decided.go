package events

import "time"

// Decided is a rule's decision on its way to the performer.
type Decided struct {
	// ID is the same whenever and wherever the decision is made, so that it is stored once.
	ID string
	// Key is the conference; its ConferenceSid is empty if a rule counts over many.
	Key  Key
	Rule string
	// Lane and Position are the place of the decision's entry in the journal. The
	// decision is not performed before the record includes that entry.
	Lane     int
	Position Position
	// AsOf is when it was made, in the conference's own time.
	AsOf time.Time
	// Data is the decision in the JSON of package rules.
	Data []byte
	// Sequence is its place in the stream of decisions, and StoredAt the time of NATS when it was
	// stored; both are zero before that.
	Sequence uint64
	StoredAt time.Time
}

// Alarm is when a conference is to be evaluated again.
type Alarm struct {
	Key Key
	At  time.Time
}
