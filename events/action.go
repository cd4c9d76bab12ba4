package events

import (
	"strconv"
	"time"
)

// The two entries that every write to Twilio leaves in the journal. Both are
// told as news.
const (
	// ActionIntent is appended before Twilio is asked, so that who asked is
	// known even where a crash swallows the answer.
	ActionIntent Kind = "gavel-intent"
	// ActionOutcome is appended after the answer. It repeats all that the
	// intent says and stands alone.
	ActionOutcome Kind = "gavel-outcome"
)

// Do is what a write asks of Twilio.
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

// What rules do beside: they tell others.
const (
	DoPublish Do = "publish" // on a NATS subject
	DoWebhook Do = "webhook"
)

// Action is one write to Twilio, or what a rule tells others: by whom, and on
// what.
type Action struct {
	// ID is a ULID, made before the intent is appended, or that of a rule's
	// decision; the intent and the outcome share it.
	ID         string
	Do         Do
	AccountSid string
	// ConferenceSid is empty on a room that is known by its friendly name
	// only: such an entry is in the journal for the audit and in no record.
	ConferenceSid string
	// CallSid is the participant's, or empty.
	CallSid string
	// RecordingSid is empty where the write is about no recording, or about
	// the one that runs (Twilio.CURRENT).
	RecordingSid string
	// Asked are the parameters asked for, as a form. Those that may hold
	// names, numbers or URLs are left out (see FixedForm).
	Asked string
	// Seen is how Twilio said the conference stands right before a rule acted
	// on it, as a form of numbers and fixed words, or empty.
	Seen string
	// Actor is who asked.
	Actor Actor
	// At is when we asked, on our clock; whole seconds are kept.
	At time.Time
}

// Actor is who asked for an action.
type Actor struct {
	// Sid is the API key's (SK...), or the account's (AC...) where its own
	// auth token was used.
	Sid string `json:"sid"`
	// Name is what the key is called. It may hold names of people: it is not
	// for logs.
	Name string `json:"name,omitempty"`
	// Rule is the name of the rule that asked, which has no SID.
	Rule string `json:"rule,omitempty"`
}

// Result is how an action ended.
type Result string

// The ends of an action.
const (
	Done    Result = "done"    // Twilio answered below 400, or it was so already
	Failed  Result = "failed"  // Twilio refused, or it was never sent
	Unknown Result = "unknown" // no answer, or 5xx: it may have happened
)

// The ends that only what a rule decided has. Nobody was asked for anything.
const (
	Stale   Result = "stale"   // it came too late to act on it unseen: Twilio was asked how things stand
	Expired Result = "expired" // it had to wait until its deadline had passed
	Lapsed  Result = "lapsed"  // the rule's condition did not hold any more when Twilio was asked
	Tripped Result = "tripped" // the rule has acted too often, and a person has not reset it
	Skipped Result = "skipped" // it would have done harm, or nothing
)

// results are all ends, and what is said of them to people.
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
	// Why is more about a Result, one word of fixed form ("stopped", "already"),
	// or empty.
	Why string
	// At is when it answered, on our clock; whole seconds are kept.
	At time.Time
}

const (
	// MaxActorName bounds an actor's name in bytes: an API key's has at most
	// 64 characters.
	MaxActorName = 256
	// maxStatus is the greatest HTTP status there is (RFC 9110, 15).
	maxStatus = 599
	// maxSeen and maxWhy bound what has a fixed form, in bytes.
	maxSeen = 128
	maxWhy  = 32
)

// NewIntent is the entry that says what is about to be asked.
func NewIntent(a Action) Entry { return newOwn(ActionIntent, a.At, a.values()...) }

// NewOutcome is the entry that says how it ended.
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

// Action returns the action that an ActionIntent or ActionOutcome is about.
// The error is a *FormError.
func (e *Event) Action() (Action, error) {
	p := e.Params
	a := Action{
		ID:            p.Get(ownID),
		Do:            Do(p.Get("Do")),
		AccountSid:    p.sid(accountParam.name),
		ConferenceSid: p.sid(conferenceParam.name),
		CallSid:       p.sid(callParam.name),
		RecordingSid:  p.sid(recordingParam.name),
		Asked:         p.Get("Asked"),
		Seen:          p.Get("Seen"),
		Actor:         p.actor(),
		At:            p.moment("AskedAt"),
	}
	return a, p.check(intentParams, nil)
}

// Outcome returns how the action of an ActionOutcome ended. The error is a
// *FormError.
func (e *Event) Outcome() (Outcome, error) {
	p := e.Params
	o := Outcome{
		Result: Result(p.Get("Result")), Status: p.number("Status"), Code: p.number("Code"), Why: p.Get("Why"), At: p.moment("AnsweredAt"),
	}
	return o, p.check(outcomeParams, nil)
}
