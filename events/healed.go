package events

import (
	"strconv"
	"strings"
	"time"
)

// HealedFact is a fact that no callback told: Twilio's REST API says so. It is
// told as news.
const HealedFact Kind = "gavel-healed"

// Healed is one thing that Twilio's REST API says otherwise than what its
// callbacks told. It has no SequenceNumber of its own: it stands right behind
// the greatest that was known when Twilio was asked, and before all that came
// later.
type Healed struct {
	// ID is a ULID.
	ID  string
	Key Key
	// Fact is what must have happened: one of ConferenceEnd, ParticipantJoin,
	// ParticipantLeave and ParticipantModify.
	Fact Kind
	// CallSid is the leg's; empty for ConferenceEnd.
	CallSid string
	// Flags is how the leg stands after ParticipantJoin and ParticipantModify:
	// those of "muted", "hold", "coaching", "end-on-exit" and "start-on-enter"
	// that are set, with & between them.
	Flags string
	// Behind is the greatest SequenceNumber that the record had seen, or
	// NoSequence.
	Behind int64
	// At is when Twilio was asked, on our clock; whole seconds are kept.
	At time.Time
}

// Parameters of a healed fact.
const (
	healedFact   = "Fact"
	healedFlags  = "Flags"
	healedBehind = "Behind"
	healedAt     = "AskedAt"
)

// maxFlags bounds the flags of a leg, in bytes: all five have 47.
const maxFlags = 64

// NewHealed is the entry of a healed fact.
func NewHealed(h Healed) Entry {
	f := newOwnForm(HealedFact, h.ID, h.Key)
	f.add(healedFact, string(h.Fact))
	f.add(parameters[pCallSid].name, h.CallSid)
	f.add(healedFlags, h.Flags)
	if h.Behind != NoSequence {
		f.add(healedBehind, strconv.FormatInt(h.Behind, 10))
	}
	f.add(healedAt, wholeSeconds(h.At))
	return f.entry(h.At)
}

// Healed returns what a HealedFact says. The error is a *FormError.
func (e *Event) Healed() (Healed, error) {
	r := ownReader{params: e.Params}
	h := Healed{
		ID: r.id(), Key: r.key(), Fact: Kind(r.params.Get(healedFact)), CallSid: r.sidIfAny(pCallSid),
		Flags: r.fixed(healedFlags, maxFlags), Behind: NoSequence, At: r.moment(healedAt),
	}
	if v, there := r.params.Lookup(healedBehind); there {
		n, ok := parseNumber(v)
		if !ok {
			r.fail(healedBehind, "is no number in its range")
		}
		h.Behind = n
	}
	switch h.Fact {
	case ConferenceEnd:
	case ParticipantJoin, ParticipantLeave, ParticipantModify:
		if h.CallSid == "" {
			r.fail(parameters[pCallSid].name, "is missing")
		}
	default:
		r.fail(healedFact, "is nothing that can be healed")
	}
	return h, r.err
}

// readHealed fills the event from a healed fact.
func (e *Event) readHealed() error {
	h, err := e.Healed()
	if err != nil {
		return err
	}
	e.ID = strings.TrimPrefix(string(e.Kind), ownPrefix) + "-" + h.ID
	e.AccountSid, e.ConferenceSid, e.CallSid = h.Key.AccountSid, h.Key.ConferenceSid, h.CallSid
	return nil
}
