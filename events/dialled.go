package events

import (
	"strconv"
	"time"
)

// ParticipantDialled is a leg that Twilio calls into a conference because a client requested it through Gavel.
// It is published as news and not evaluated by rules: the leg is not in the conference yet.
const ParticipantDialled Kind = "gavel-dialled"

// Dialled is the content of a ParticipantDialled: what Twilio answered to the request.
type Dialled struct {
	// ID is a ULID.
	ID      string
	Key     Key
	CallSid string
	// Status is that of the answer: queued.
	Status string
	// Flags are as in Healed.
	Flags string
	// Label and Coach are the leg's label and the CallSid of the leg that it coaches, or empty.
	Label string
	Coach string
	// Timeout is how long the phone may ring, in whole seconds.
	Timeout time.Duration
	// At is when Twilio answered, on our clock; whole milliseconds are kept.
	At time.Time
	// FriendlyName is the room's name if the request had it in the place of the conference's SID. A
	// build that does not know it ignores it.
	FriendlyName string
}

const (
	// maxLabel bounds a label in bytes: Twilio's have at most 128 characters.
	maxLabel = 512
	// maxRoom bounds the name of a room in bytes, as a record does.
	maxRoom = 1024
	// maxTimeout bounds a Timeout, in seconds. Twilio's has at most 600.
	maxTimeout = 3600
)

// Twilio's own names of a leg's label and of the leg that it coaches.
const (
	labelName = "ParticipantLabel"
	coachName = "CallSidToCoach"
)

// NewDialled is the entry of a leg that is called.
func NewDialled(d Dialled) Entry {
	if !IsSid("CA", d.Coach) {
		d.Coach = ""
	}
	timeout := min(max(int(d.Timeout/time.Second), 0), maxTimeout)
	return newOwn(ParticipantDialled, d.At, d.ID, d.Key.AccountSid, d.Key.ConferenceSid, d.CallSid,
		wordKept(d.Status), d.Flags, d.Label, d.Coach, strconv.Itoa(timeout), wholeSeconds(d.At), milli(d.At), d.FriendlyName)
}

// Dialled returns the content of a ParticipantDialled. The error is a *FormError.
func (e *Event) Dialled() (Dialled, error) {
	p := e.Params
	d := Dialled{
		ID: p.Get(ownID), Key: p.key(), CallSid: p.sid(callParam.name), Status: p.Get("Status"), Flags: p.Get("Flags"),
		Label: p.Get(labelName), Coach: p.sid(coachName), Timeout: time.Duration(p.number("Timeout")) * time.Second, At: p.asked(),
		FriendlyName: p.Get(parameters[pFriendlyName].name),
	}
	return d, p.check(ownKinds[ParticipantDialled], nil)
}

// Words returns the fact as a sentence without its full stop: "Twilio calls it".
func (d Dialled) Words() string { return "Twilio calls it" }
