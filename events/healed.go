package events

import (
	"strconv"
	"strings"
	"time"
)

// HealedFact is a fact from Twilio's REST API that no callback reported. It is published as news.
const HealedFact Kind = "gavel-healed"

// Healed is one difference between Twilio's REST API and the callbacks. It has no
// SequenceNumber of its own: its place is right behind the greatest one known at
// the time of the request, and before all later ones.
type Healed struct {
	// ID is a ULID.
	ID  string
	Key Key
	// Fact is what must have happened: one of ConferenceEnd, ParticipantJoin,
	// ParticipantLeave and ParticipantModify.
	Fact Kind
	// CallSid is the leg's; empty for ConferenceEnd.
	CallSid string
	// Flags are the leg's flags after ParticipantJoin and ParticipantModify:
	// those of legFlags that are set, in that order, separated by &.
	Flags string
	// Behind is the greatest SequenceNumber that the record had seen, or NoSequence.
	Behind int64
	// At is when the state was fetched, on our clock; whole milliseconds are kept, so that two answers
	// within a second have their order.
	At time.Time
	// Coach is the CallSid of the leg that it coaches after ParticipantJoin and ParticipantModify, or
	// empty. A build that does not know it ignores it.
	Coach string
}

// legFlags are the flags of a leg (Twilio, REST API: Participant resource).
var legFlags = []string{"muted", "hold", "coaching", "end-on-exit", "start-on-enter"}

// maxFlags bounds the flags of a leg, in bytes: all five have 47.
const maxFlags = 64

// NewHealed is the entry of a healed fact.
func NewHealed(h Healed) Entry {
	behind := ""
	if !IsSid("CA", h.Coach) {
		h.Coach = ""
	}
	if h.Behind != NoSequence {
		behind = strconv.FormatInt(h.Behind, 10)
	}
	return newOwn(HealedFact, h.At, h.ID, h.Key.AccountSid, h.Key.ConferenceSid, string(h.Fact), h.CallSid, h.Flags, behind, wholeSeconds(h.At), h.Coach, milli(h.At))
}

// Healed returns the content of a HealedFact. The error is a *FormError.
func (e *Event) Healed() (Healed, error) {
	p := e.Params
	h := Healed{
		ID: p.Get(ownID), Key: p.key(), Fact: Kind(p.Get("Fact")), CallSid: p.sid(callParam.name),
		Flags: p.Get("Flags"), Behind: NoSequence, At: p.asked(),
		Coach: p.sid(coachName),
	}
	if behind, there := p.Lookup("Behind"); there {
		h.Behind, _ = parseNumber(behind)
	}
	return h, p.check(ownKinds[HealedFact], nil)
}

// Words returns the fact as a sentence without its full stop: "Twilio says that it has ended".
func (h Healed) Words() string {
	switch h.Fact {
	case ConferenceEnd:
		return "Twilio says that it has ended"
	case ParticipantLeave:
		return "Twilio says that it has left"
	case ParticipantJoin:
		return "Twilio says that it is there" + h.standing()
	}
	return "Twilio says that it stands otherwise" + h.standing()
}

// standing returns ": muted, hold".
func (h Healed) standing() string {
	switch {
	case h.Flags != "":
		return ": " + strings.ReplaceAll(h.Flags, "&", ", ")
	case h.Fact == ParticipantModify:
		return ": no flag is set"
	}
	return ""
}
