package events

import (
	"strconv"
	"time"
)

// The two entries in the journal of every write to Twilio. Both are published as news.
const (
	// ActionIntent is appended before the request to Twilio, so that its actor is
	// on record even if a crash loses the answer.
	ActionIntent Kind = "gavel-intent"
	// ActionOutcome is appended after the answer. It repeats the intent, so
	// that it is complete by itself.
	ActionOutcome Kind = "gavel-outcome"
)

// Do is the kind of a write.
type Do string

// The writes that Twilio's Conference API has.
const (
	DoEnd               Do = "end"
	DoAnnounce          Do = "announce"
	DoAddParticipant    Do = "add-participant"
	DoUpdateParticipant Do = "update-participant"
	DoKick              Do = "kick"
	DoUpdateRecording   Do = "update-recording"
	DoDeleteRecording   Do = "delete-recording"
)

// The notifications that rules send.
const (
	DoPublish Do = "publish" // on a NATS subject
	DoWebhook Do = "webhook"
)

// Action is one write to Twilio, or one notification by a rule: its actor and its target.
type Action struct {
	// ID is a ULID, made before the intent is appended, or that of a rule's
	// decision; the intent and the outcome share it.
	ID         string
	Do         Do
	AccountSid string
	// ConferenceSid is empty if the request named the room by its friendly name
	// only: such an entry is in the journal for the audit and in no record.
	ConferenceSid string
	// CallSid is the participant's, or empty.
	CallSid string
	// RecordingSid is empty if the write is not about a recording, or about the
	// running one (Twilio.CURRENT).
	RecordingSid string
	// Asked are the parameters of the request, as a form. Those that may hold
	// names, numbers or URLs are left out (see FixedForm).
	Asked string
	// Seen is the state of the conference at Twilio right before a rule acted on
	// it, as a form of numbers and fixed words, or empty.
	Seen string
	// Actor made the request.
	Actor Actor
	// At is when we sent the request, on our clock; whole seconds are kept.
	At time.Time
}

// Actor is the API key, account or rule that requested an action.
type Actor struct {
	// Sid is the API key's (SK...), or the account's (AC...) if its own auth token was used.
	Sid string `json:"sid"`
	// Name is the key's name. It may hold names of people: it is not for logs.
	Name string `json:"name,omitempty"`
	// Rule is the name of the rule; a rule has no SID.
	Rule string `json:"rule,omitempty"`
}

// Result is how an action ended.
type Result string

// The ends of an action.
const (
	Done    Result = "done"    // Twilio answered below 400, or nothing was left to do
	Failed  Result = "failed"  // Twilio refused, or it was never sent
	Unknown Result = "unknown" // no answer, or 5xx: it may have happened
)

// The results that only the decisions of rules have. No request was sent.
const (
	Stale   Result = "stale"   // it was too late to act without a fetch of the state at Twilio
	Expired Result = "expired" // it had to wait until after its deadline
	Lapsed  Result = "lapsed"  // the rule's condition no longer held in the state fetched from Twilio
	Tripped Result = "tripped" // the rule has acted too often and was not reset by a person
	Skipped Result = "skipped" // it would have done harm, or have had no effect
)

// results are all results, with their words for people.
var results = map[Result]string{
	Done: "", Failed: "", Unknown: "",
	Stale:   "it came too late to act on",
	Expired: "it had to wait for too long and was not done",
	Lapsed:  "it was not done: the condition did not hold any more",
	Tripped: "it was not done: the rule has acted too often",
	Skipped: "it was left out",
}

// Outcome is what Twilio answered.
type Outcome struct {
	Result Result
	// Status is the HTTP status, or 0 without an answer.
	Status int
	// Code is Twilio's error code, or 0.
	Code int
	// Why is the reason for a Result, one word of fixed form ("stopped", "already"), or empty.
	Why string
	// At is when it answered, on our clock; whole seconds are kept.
	At time.Time
}

const (
	// MaxActorName bounds an actor's name in bytes: an API key's has at most 64 characters.
	MaxActorName = 256
	// maxStatus is the greatest HTTP status (RFC 9110, 15).
	maxStatus = 599
	// maxSeen and maxWhy bound texts of fixed form, in bytes.
	maxSeen = 128
	maxWhy  = 32
)

// NewIntent is the entry before a request.
func NewIntent(a Action) Entry { return newOwn(ActionIntent, a.At, a.values()...) }

// NewOutcome is the entry of a request's end.
func NewOutcome(a Action, o Outcome) Entry {
	return newOwn(ActionOutcome, o.At, append(a.values(),
		string(o.Result), strconv.Itoa(o.Status), strconv.Itoa(o.Code), o.Why, wholeSeconds(o.At))...)
}

// values are those of intentParams.
func (a Action) values() []string {
	return []string{
		a.ID, a.AccountSid, a.ConferenceSid, a.CallSid, a.RecordingSid, string(a.Do), FixedForm(a.Asked),
		a.Actor.Sid, a.Actor.Name, a.Actor.Rule, a.Seen, wholeSeconds(a.At),
	}
}

// Action returns the action of an ActionIntent or ActionOutcome. The error is a *FormError.
func (e *Event) Action() (Action, error) {
	p := e.Params
	a := Action{
		ID: p.Get(ownID), Do: Do(p.Get("Do")), AccountSid: p.sid(accountParam.name), ConferenceSid: p.sid(conferenceParam.name),
		CallSid: p.sid(callParam.name), RecordingSid: p.sid(recordingParam.name),
		Asked: p.Get("Asked"), Seen: p.Get("Seen"), Actor: p.actor(), At: p.moment("AskedAt"),
	}
	return a, p.check(intentParams, nil)
}

// Outcome returns how the action of an ActionOutcome ended. The error is a *FormError.
func (e *Event) Outcome() (Outcome, error) {
	p := e.Params
	o := Outcome{
		Result: Result(p.Get("Result")), Status: p.number("Status"), Code: p.number("Code"), Why: p.Get("Why"), At: p.moment("AnsweredAt"),
	}
	return o, p.check(outcomeParams, nil)
}
