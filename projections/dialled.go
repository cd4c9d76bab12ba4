package projections

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"gavel/events"
)

// Dialled is a leg that Twilio calls into the conference because a client requested it through
// Gavel. The record has it until an event names the leg.
type Dialled struct {
	CallSid string `json:"call_sid"`
	// Status, Flags, Label and Coach are those of Twilio's answer.
	Status string `json:"status,omitempty"`
	Flags  Flags  `json:"flags"`
	Label  string `json:"label,omitempty"`
	Coach  string `json:"coach,omitempty"`
	// At is when Twilio answered, and Until when the call ends unless it is answered before, both on
	// our clock.
	At    Instant `json:"at"`
	Until Instant `json:"until"`
	// Milli is the part of At below a second, in milliseconds.
	Milli uint16 `json:"milli,omitempty"`
}

const (
	// MaxDialled bounds the legs that are being dialled: as many as Twilio allows in a conference.
	MaxDialled = 250
	// usualTimeout is Twilio's Timeout if the request has none, and ringBuffer what Twilio adds to it
	// (Twilio, Participant resource: Timeout).
	usualTimeout = time.Minute
	ringBuffer   = 5 * time.Second
)

// DialledBy returns the leg that Twilio's answer to a request for a new participant states. timeout
// is the request's, 0 if it has none, and room the name of the room that it names, or empty. ok is
// false if the answer names no leg or no conference.
func DialledBy(accountSid, room string, body []byte, timeout time.Duration, at time.Time, newID func() string) (d events.Dialled, ok bool) {
	var answer legAnswer
	if json.Unmarshal(body, &answer) != nil || !events.IsSid("CA", answer.CallSid) || !events.IsSid("CF", answer.ConferenceSid) {
		return d, false
	}
	return events.Dialled{
		ID: newID(), Key: events.Key{AccountSid: accountSid, ConferenceSid: events.CanonicalSid(answer.ConferenceSid)},
		CallSid: events.CanonicalSid(answer.CallSid), Status: answer.Status, Flags: answer.words(), Label: answer.Label,
		Coach: answer.Coach, Timeout: cmp.Or(timeout, usualTimeout), At: at, FriendlyName: room,
	}, true
}

// legAnswer is what Gavel reads of a Participant resource.
type legAnswer struct {
	CallSid       string `json:"call_sid"`
	ConferenceSid string `json:"conference_sid"`
	Status        string `json:"status"`
	Label         string `json:"label"`
	Coach         string `json:"call_sid_to_coach"`
	Flags                // in the record they have Twilio's names
}

// answered is the leg after Twilio's answer to a write about it: it rings for as long as before.
func (l *Dialled) answered(fact events.Healed, answer legAnswer) events.Dialled {
	left := time.Duration(l.Until-At(fact.At))*time.Second - ringBuffer
	return events.Dialled{
		ID: fact.ID, Key: fact.Key, CallSid: l.CallSid, Status: answer.Status, Flags: fact.Flags, Label: cmp.Or(answer.Label, l.Label),
		Coach: answer.Coach, Timeout: max(0, left), At: fact.At,
	}
}

// dialled returns the leg that is being dialled, or nil.
func (c *Conference) dialled(callSid string) *Dialled {
	i := slices.IndexFunc(c.Dialled, func(l *Dialled) bool { return l.CallSid == callSid })
	if i < 0 {
		return nil
	}
	return c.Dialled[i]
}

// foldDialled adds the leg, unless an event has named it already: then it only states the leg that
// it coaches, and the room's name. Of two answers about one leg the later one stays.
func (d *draft) foldDialled() (fresh bool, err error) {
	stated, err := d.e.Dialled()
	if err != nil {
		return false, err
	}
	d.foldRoom(stated.FriendlyName)
	at := At(stated.At)
	leg := &Dialled{
		CallSid: strings.Clone(stated.CallSid), Status: strings.Clone(stated.Status), Flags: flagsOfWords(stated.Flags),
		Label: cut(stated.Label), Coach: strings.Clone(stated.Coach), At: at, Until: at + Instant((stated.Timeout+ringBuffer)/time.Second),
		Milli: milliOf(stated.At),
	}
	if d.Participant(leg.CallSid) != nil {
		d.participant(leg.CallSid).keepCoach(leg.coach())
		return !Equal(d.before, d.Conference), nil
	}
	i, known := slices.BinarySearchFunc(d.Dialled, leg.CallSid, func(l *Dialled, sid string) int { return strings.Compare(l.CallSid, sid) })
	switch {
	case known && compareDialled(*d.Dialled[i], *leg) >= 0:
		return !Equal(d.before, d.Conference), nil
	case known:
		d.Dialled = withCopy(d.Dialled, i)
		*d.Dialled[i] = *leg
	case len(d.Dialled) >= MaxDialled:
		d.Truncated = true
	default:
		d.Dialled = inserted(d.Dialled, i, leg)
	}
	return true, nil
}

// foldRoom keeps the name of a room that a request had, until an event states the name.
func (d *draft) foldRoom(name string) {
	if name == "" || d.FriendlyName.Value != "" && d.FriendlyName.Seq >= 0 {
		return
	}
	before := Stated[string]{Seq: events.NoSequence, Value: d.FriendlyName.Value}
	d.FriendlyName = laterText(before, events.NoSequence, name)
}

// arrived removes a leg that an event names for the first time from those that are being dialled,
// and keeps the leg that it coaches, which no callback carries.
func (d *draft) arrived(p *Participant) {
	i, known := slices.BinarySearchFunc(d.Dialled, p.CallSid, func(l *Dialled, sid string) int { return strings.Compare(l.CallSid, sid) })
	if !known {
		return
	}
	p.keepCoach(d.Dialled[i].coach())
	if d.Dialled = slices.Concat(d.Dialled[:i], d.Dialled[i+1:]); len(d.Dialled) == 0 {
		d.Dialled = nil
	}
}

func compareDialled(a, b Dialled) int {
	return cmp.Or(
		cmp.Compare(a.At, b.At), cmp.Compare(a.Milli, b.Milli), strings.Compare(a.Coach, b.Coach), // as keepCoach
		cmp.Compare(a.Until, b.Until), strings.Compare(a.Status, b.Status), compareFlags(a.Flags, b.Flags), strings.Compare(a.Label, b.Label),
	)
}

// coach is the leg that it coaches, before everything that is stated about the leg later.
func (l *Dialled) coach() Stated[string] {
	return Stated[string]{Value: l.Coach, Milli: l.Milli, Healed: l.At}
}

// Dialling returns the legs that are being dialled at a moment on our clock; none once the
// conference has ended. A leg that a client removed through Gavel is not one of them.
func (c *Conference) Dialling(at Instant) (legs []*Dialled) {
	if c.End != nil {
		return nil
	}
	for _, l := range c.Dialled {
		kicked := slices.ContainsFunc(c.Actions, func(a *ActionRecord) bool {
			return a.Do == events.DoKick && a.CallSid == l.CallSid && a.Outcome != nil && a.Outcome.Result == events.Done
		})
		if l.Until > at && !kicked {
			legs = append(legs, l)
		}
	}
	return legs
}

// Leg returns the leg as a participant that has not joined.
func (l *Dialled) Leg() *Participant {
	return &Participant{
		CallSid: l.CallSid, Created: l.At, Updated: l.At,
		Flags: Stated[Flags]{Value: l.Flags}, Label: Stated[string]{Value: l.Label}, Coach: l.coach(),
	}
}

// keepCoach keeps the later statement of the leg that p coaches.
func (p *Participant) keepCoach(stated Stated[string]) {
	p.Coach = later(p.Coach, stated, strings.Compare)
}

// Coached is the CallSid of the leg that p coaches. It is empty if p coaches none, and if the leg was
// modified after Twilio stated it: no callback carries the coached leg, so another may be coached now.
func (p *Participant) Coached() string {
	if !p.Flags.Value.Coaching || p.Modified > p.Coach.Healed+clockDifference {
		return ""
	}
	return p.Coach.Value
}
