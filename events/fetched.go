package events

import "time"

// ConferenceFetched is what Twilio's REST API returned about a conference that has ended and that no
// callback carries. It is published as news and not evaluated by rules.
const ConferenceFetched Kind = "gavel-fetched"

// Fetched is the content of a ConferenceFetched. An empty field is null at Twilio.
type Fetched struct {
	// ID is a ULID.
	ID  string
	Key Key
	// Region is where the audio was mixed (us1, ie1).
	Region string
	// Reason and CallSid are why the conference ended and which leg ended it.
	Reason  string
	CallSid string
	// At is when Twilio was called, on our clock; whole seconds are kept.
	At time.Time
}

// maxWordKept bounds a word of Twilio's that an entry of our own keeps, in bytes. The longest
// reason has 48.
const maxWordKept = 64

// NewFetched is the entry of what was fetched. It leaves out a value that has another form than
// Twilio documents, because the other values are facts without it.
func NewFetched(f Fetched) Entry {
	if !IsSid("CA", f.CallSid) {
		f.CallSid = ""
	}
	return newOwn(ConferenceFetched, f.At, f.ID, f.Key.AccountSid, f.Key.ConferenceSid,
		wordKept(f.Region), wordKept(f.Reason), f.CallSid, wholeSeconds(f.At))
}

// wordKept returns a word of fixed form, or "".
func wordKept(word string) string {
	if len(word) > maxWordKept || !ruleChars.all(word) {
		return ""
	}
	return word
}

// Fetched returns the content of a ConferenceFetched. The error is a *FormError.
func (e *Event) Fetched() (Fetched, error) {
	p := e.Params
	f := Fetched{
		ID: p.Get(ownID), Key: p.key(), Region: p.Get("Region"),
		Reason: p.Get(fetchedReason), CallSid: p.sid(fetchedCall), At: p.moment(askedAtParam.name),
	}
	return f, p.check(ownKinds[ConferenceFetched], nil)
}

// Parameters with Twilio's own names.
const (
	fetchedReason = "ReasonConferenceEnded"
	fetchedCall   = "CallSidEndingConference"
)

// Words returns the facts as a sentence without its full stop: "Twilio mixed it in us1".
func (f Fetched) Words() string {
	if f.Region == "" {
		return "Twilio names no region"
	}
	return "Twilio mixed it in " + f.Region
}
