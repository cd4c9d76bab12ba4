package events

import "time"

// Decided is a rule's decision on its way to whoever performs it.
type Decided struct {
	// ID is the decision's: the same whenever and wherever it is taken, so that
	// it is kept once.
	ID string
	// Key is the conference; its ConferenceSid is empty where a rule counts over
	// many.
	Key  Key
	Rule string
	// Lane and Position are where the journal has what led to it: nobody acts on
	// it before the record has come so far.
	Lane     int
	Position Position
	// AsOf is when it was taken, by the conference's own time.
	AsOf time.Time
	// Data is the decision as rules wrote it, JSON.
	Data []byte
}

// Alarm is when a conference is to be judged again.
type Alarm struct {
	Key Key
	At  time.Time
}
