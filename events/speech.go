package events

import (
	"strconv"
	"strings"
	"time"
)

// ownPrefix opens the names of Gavel's own events; Twilio's may not use it.
const ownPrefix = "gavel-"

// Parameters of a speech-dropped entry beside AccountSid and ConferenceSid.
const (
	ownEvent           = "Event"
	ownID              = "Id"
	ownSequenceNumbers = "SequenceNumbers"
)

// MaxDroppedRanges bounds the ranges that one speech-dropped entry names, and
// with them its size: below 12 KiB.
const MaxDroppedRanges = 500

// NewSpeechDropped is the entry by which the door tells the journal which
// sequence numbers it left out on purpose. id is a ULID, made before the first
// append so that a repeated one is the same fact. ranges are inclusive, sorted,
// apart from each other, and at most MaxDroppedRanges.
func NewSpeechDropped(id string, key Key, ranges [][2]int64, at time.Time) Entry {
	var b strings.Builder
	b.WriteString(ownEvent + "=" + string(SpeechDropped))
	b.WriteString("&" + ownID + "=" + id)
	b.WriteString("&AccountSid=" + key.AccountSid)
	b.WriteString("&ConferenceSid=" + key.ConferenceSid)
	b.WriteString("&" + ownSequenceNumbers + "=")
	for i, r := range ranges {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatInt(r[0], 10))
		if r[1] != r[0] {
			b.WriteString("-" + strconv.FormatInt(r[1], 10))
		}
	}
	return Entry{Source: SourceGavel, ReceivedAt: at, Form: b.String()}
}

// readOwn fills the event from an entry of Gavel's own.
func (e *Event) readOwn() error {
	for i := range e.Params {
		if n := e.Params[i].Name; e.Params[:i].has(n) {
			return &FormError{Field: unknownField, Reason: "is there twice"}
		}
	}
	e.Kind = Kind(e.Params.Get(ownEvent))
	if e.Kind != SpeechDropped {
		return &FormError{Field: ownEvent, Reason: "is no event of Gavel's own"}
	}
	e.ID = e.Params.Get(ownID)
	if !isULID(e.ID) {
		return &FormError{Field: ownID, Reason: "is no ULID"}
	}
	var err error
	if e.AccountSid, err = e.ownSid(pAccountSid); err != nil {
		return err
	}
	if e.ConferenceSid, err = e.ownSid(pConferenceSid); err != nil {
		return err
	}
	_, err = DroppedNumbers(*e)
	return err
}

func (e *Event) ownSid(place int) (string, error) {
	p := &parameters[place]
	v := e.Params.Get(p.name)
	if !IsSid(p.prefix, v) {
		return "", &FormError{Field: p.name, Reason: "is no SID of its kind"}
	}
	return CanonicalSid(v), nil
}

func (p Params) has(name string) bool {
	_, ok := p.Lookup(name)
	return ok
}

// DroppedNumbers returns the sequence numbers that a SpeechDropped event
// names, as inclusive ranges, sorted and apart: at least one, at most
// MaxDroppedRanges, each number within 0..2^31-1. The error is a *FormError.
func DroppedNumbers(e Event) ([][2]int64, error) {
	list := e.Params.Get(ownSequenceNumbers)
	count := strings.Count(list, ",") + 1
	if count > MaxDroppedRanges {
		return nil, &FormError{Field: ownSequenceNumbers, Reason: "has too many ranges"}
	}
	ranges := make([][2]int64, 0, count)
	next := int64(0)
	for piece := range strings.SplitSeq(list, ",") {
		r, ok := parseRange(piece)
		if !ok || r[0] < next {
			return nil, &FormError{Field: ownSequenceNumbers, Reason: "is no list of ranges"}
		}
		next = r[1] + 1
		ranges = append(ranges, r)
	}
	return ranges, nil
}

// parseRange reads "3" or "3-5".
func parseRange(s string) (r [2]int64, ok bool) {
	from, to, isRange := strings.Cut(s, "-")
	if r[0], ok = parseNumber(from); !ok {
		return r, false
	}
	if !isRange {
		return [2]int64{r[0], r[0]}, true
	}
	r[1], ok = parseNumber(to)
	return r, ok && r[0] <= r[1]
}

// ulidLength is 128 bits in Crockford's base 32.
const ulidLength = 26

func isULID(s string) bool {
	if len(s) != ulidLength || s[0] > '7' {
		return false
	}
	for i := range len(s) {
		if !strings.Contains("0123456789ABCDEFGHJKMNPQRSTVWXYZ", s[i:i+1]) {
			return false
		}
	}
	return true
}
