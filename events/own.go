package events

import (
	"net/url"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
)

// ownPrefix opens the names of Gavel's own events; Twilio's may not use it.
const ownPrefix = "gavel-"

// Parameters that every entry of our own has, beside AccountSid and, but for
// an action on a room that is known by its name only, ConferenceSid.
const (
	ownEvent = "Event"
	ownID    = "Id"
)

// NewULID makes the id of an entry of our own. It is made before the first
// append, so that a repeated one is the same fact.
func NewULID() string { return ulid.Make().String() }

// ownForm writes the form of an entry of our own. Empty values are left out.
type ownForm struct{ strings.Builder }

func newOwnForm(kind Kind, id string, key Key) *ownForm {
	f := new(ownForm)
	f.add(ownEvent, string(kind))
	f.add(ownID, id)
	f.add(parameters[pAccountSid].name, key.AccountSid)
	f.add(parameters[pConferenceSid].name, key.ConferenceSid)
	return f
}

func (f *ownForm) add(name, value string) {
	if value == "" {
		return
	}
	if f.Len() > 0 {
		f.WriteByte('&')
	}
	f.WriteString(name + "=" + url.QueryEscape(value))
}

func (f *ownForm) entry(at time.Time) Entry {
	return Entry{Source: SourceGavel, ReceivedAt: at, Form: f.String()}
}

// readOwn fills the event from an entry of Gavel's own.
func (e *Event) readOwn() error {
	if e.Params.doubled() {
		return &FormError{Field: unknownField, Reason: "is there twice"}
	}
	e.Kind = Kind(e.Params.Get(ownEvent))
	switch e.Kind {
	case SpeechDropped:
		return e.readSpeechDropped()
	case ActionIntent, ActionOutcome:
		return e.readAction()
	case Wake, RulesLoaded, RuleMatch, Exempted, Reread:
		return e.readOfRules()
	case HealedFact:
		return e.readHealed()
	}
	return &FormError{Field: ownEvent, Reason: "is no event of Gavel's own"}
}

func (p Params) doubled() bool {
	for i := range p {
		if _, before := p[:i].Lookup(p[i].Name); before {
			return true
		}
	}
	return false
}

// ownReader takes fields out of an entry of our own. After its first fault it
// keeps that one.
type ownReader struct {
	params Params
	err    error
}

func (r *ownReader) fail(field, reason string) {
	if r.err == nil {
		r.err = &FormError{Field: field, Reason: reason}
	}
}

// id reads what the entry and its repetitions share.
func (r *ownReader) id() string {
	id := r.params.Get(ownID)
	if !isULID(id) {
		r.fail(ownID, "is no ULID")
	}
	return id
}

// actionID reads the id of an action: a ULID, or that of a rule's decision.
func (r *ownReader) actionID() string {
	if id := r.params.Get(ownID); isDecisionID(id) {
		return id
	}
	return r.id()
}

// actor reads who asked: a key, an account, or a rule.
func (r *ownReader) actor() Actor {
	if rule := r.params.Get(actionActorRule); rule != "" {
		return Actor{Rule: r.ruleName(actionActorRule)}
	}
	return Actor{
		Sid:  r.sidOf(actionActorSid, "SK", "AC"),
		Name: r.text(actionActorName, MaxActorName),
	}
}

// fixed reads a text of letters, digits and -=& of at most that many bytes,
// which may be missing: one that cannot hold what people are called.
func (r *ownReader) fixed(field string, most int) string {
	v := r.text(field, most)
	for i := range len(v) {
		if c := v[i]; !isLowerOrDigit(c) && c != '-' && c != '=' && c != '&' {
			r.fail(field, "is not of fixed form")
			return ""
		}
	}
	return v
}

// sid reads a parameter of Twilio's that has to be there.
func (r *ownReader) sid(place int) string {
	p := &parameters[place]
	return r.sidOf(p.name, p.prefix)
}

// sidIfAny reads a parameter of Twilio's that may be missing.
func (r *ownReader) sidIfAny(place int) string {
	if r.params.Get(parameters[place].name) == "" {
		return ""
	}
	return r.sid(place)
}

// sidOf reads a SID of one of several kinds.
func (r *ownReader) sidOf(field string, prefixes ...string) string {
	v := r.params.Get(field)
	for _, prefix := range prefixes {
		if IsSid(prefix, v) {
			return CanonicalSid(v)
		}
	}
	r.fail(field, "is no SID of its kind")
	return ""
}

// text reads a text of at most that many bytes, which may be missing.
func (r *ownReader) text(field string, most int) string {
	v := r.params.Get(field)
	if len(v) > most {
		r.fail(field, "is too long")
	}
	return v
}

// moment reads a time in whole seconds.
func (r *ownReader) moment(field string) time.Time {
	t, err := time.Parse(time.RFC3339, r.params.Get(field))
	if err != nil || t.Unix() <= 0 || t.Nanosecond() != 0 {
		r.fail(field, "is no time in whole seconds")
	}
	return t.UTC()
}

// number reads 0..most; missing is 0.
func (r *ownReader) number(field string, most int64) int {
	v, there := r.params.Lookup(field)
	if !there {
		return 0
	}
	n, ok := parseNumber(v)
	if !ok || n > most {
		r.fail(field, "is no number in its range")
	}
	return int(n)
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

// decisionIDLength is 128 bits in hexadecimal.
const decisionIDLength = 32

func isDecisionID(s string) bool {
	if len(s) != decisionIDLength {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func isLowerOrDigit(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }
