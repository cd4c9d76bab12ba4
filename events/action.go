package events

import (
	"strconv"
	"strings"
	"time"
	"unicode"
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

// Parameters of an action's entries.
const (
	actionDo         = "Do"
	actionAsked      = "Asked"
	actionActorSid   = "ActorSid"
	actionActorName  = "ActorName"
	actionActorRule  = "ActorRule"
	actionSeen       = "Seen"
	actionAskedAt    = "AskedAt"
	actionResult     = "Result"
	actionStatus     = "Status"
	actionCode       = "Code"
	actionWhy        = "Why"
	actionAnsweredAt = "AnsweredAt"
)

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
func NewIntent(a Action) Entry { return newActionForm(ActionIntent, a).entry(a.At) }

// NewOutcome is the entry that says how it ended.
func NewOutcome(a Action, o Outcome) Entry {
	f := newActionForm(ActionOutcome, a)
	f.add(actionResult, string(o.Result))
	f.add(actionStatus, strconv.Itoa(o.Status))
	f.add(actionCode, strconv.Itoa(o.Code))
	f.add(actionWhy, o.Why)
	f.add(actionAnsweredAt, wholeSeconds(o.At))
	return f.entry(o.At)
}

func newActionForm(kind Kind, a Action) *ownForm {
	f := newOwnForm(kind, a.ID, Key{a.AccountSid, a.ConferenceSid})
	f.add(parameters[pCallSid].name, a.CallSid)
	f.add(parameters[pRecordingSid].name, a.RecordingSid)
	f.add(actionDo, string(a.Do))
	f.add(actionAsked, FixedForm(a.Asked))
	f.add(actionActorSid, a.Actor.Sid)
	f.add(actionActorName, printable(a.Actor.Name, MaxActorName))
	f.add(actionActorRule, a.Actor.Rule)
	f.add(actionSeen, a.Seen)
	f.add(actionAskedAt, wholeSeconds(a.At))
	return f
}

func wholeSeconds(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// printable makes of a text what can be stored, at most that many bytes: a
// write must not fail for how somebody is called.
func printable(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
	if len(text) > most {
		text = text[:most]
	}
	return strings.ToValidUTF8(text, "")
}

// readAction fills the event from an intent or an outcome. The two of one
// action have different ids: each is a fact of its own.
func (e *Event) readAction() error {
	a, err := e.Action()
	if err != nil {
		return err
	}
	if e.Kind == ActionOutcome {
		if _, err := e.Outcome(); err != nil {
			return err
		}
	}
	e.ID = strings.TrimPrefix(string(e.Kind), ownPrefix) + "-" + a.ID
	e.AccountSid, e.ConferenceSid = a.AccountSid, a.ConferenceSid
	e.CallSid, e.RecordingSid = a.CallSid, a.RecordingSid
	return nil
}

// Action returns the action that an ActionIntent or ActionOutcome is about.
// The error is a *FormError.
func (e *Event) Action() (Action, error) {
	r := ownReader{params: e.Params}
	a := Action{
		ID:            r.actionID(),
		Do:            Do(r.params.Get(actionDo)),
		AccountSid:    r.sid(pAccountSid),
		ConferenceSid: r.sidIfAny(pConferenceSid),
		CallSid:       r.sidIfAny(pCallSid),
		RecordingSid:  r.sidIfAny(pRecordingSid),
		Asked:         r.text(actionAsked, maxAsked),
		Seen:          r.fixed(actionSeen, maxSeen),
		Actor:         r.actor(),
		At:            r.moment(actionAskedAt),
	}
	if _, known := asking[a.Do]; !known {
		r.fail(actionDo, "is nothing that Twilio can be asked")
	}
	if FixedForm(a.Asked) != a.Asked {
		r.fail(actionAsked, "is not of fixed form")
	}
	return a, r.err
}

// Outcome returns how the action of an ActionOutcome ended. The error is a
// *FormError.
func (e *Event) Outcome() (Outcome, error) {
	r := ownReader{params: e.Params}
	o := Outcome{
		Result: Result(r.params.Get(actionResult)),
		Status: r.number(actionStatus, maxStatus),
		Code:   r.number(actionCode, maxNumber),
		Why:    r.fixed(actionWhy, maxWhy),
		At:     r.moment(actionAnsweredAt),
	}
	if _, known := results[o.Result]; !known {
		r.fail(actionResult, "is no end of an action")
	}
	return o, r.err
}
