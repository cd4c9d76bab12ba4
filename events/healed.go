package events

import (
	"slices"
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
	// those of legFlags that are set, in that order, with & between them.
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

// legFlags are the flags of a leg (Twilio, REST API: Participant resource).
var legFlags = []string{"muted", "hold", "coaching", "end-on-exit", "start-on-enter"}

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
		Flags: r.flags(), Behind: NoSequence, At: r.moment(healedAt),
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
		if h.CallSid != "" {
			r.fail(parameters[pCallSid].name, "is of no meaning here")
		}
	case ParticipantJoin, ParticipantLeave, ParticipantModify:
		if h.CallSid == "" {
			r.fail(parameters[pCallSid].name, "is missing")
		}
	default:
		r.fail(healedFact, "is nothing that can be healed")
	}
	return h, r.err
}

// flags reads how a leg stands, which may be nothing at all.
func (r *ownReader) flags() string {
	v := r.text(healedFlags, maxFlags)
	if v == "" {
		return ""
	}
	known := legFlags
	for word := range strings.SplitSeq(v, "&") {
		at := slices.Index(known, word)
		if at < 0 {
			r.fail(healedFlags, "are no flags of a leg in their order")
			return ""
		}
		known = known[at+1:]
	}
	return v
}

// Words says the fact in a sentence without its full stop: "Twilio says that it
// has ended".
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

// standing is ": muted, hold".
func (h Healed) standing() string {
	switch {
	case h.Flags != "":
		return ": " + strings.ReplaceAll(h.Flags, "&", ", ")
	case h.Fact == ParticipantModify:
		return ": no flag is set"
	}
	return ""
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
