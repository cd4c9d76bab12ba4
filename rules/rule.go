package rules

import (
	"time"

	"gavel/rules/condition"
)

// Set is all rules that are in force together. It is made by Parse, whole or
// not at all, and never changes: one Set may judge in many goroutines at once.
type Set struct {
	// Version is the hash of the files' names and content, in hexadecimal:
	// two processes with the same files have the same version.
	Version string
	// Files are what the set was made of, by name.
	Files []File
	// Rules are in the order of Files, and in the files' own order within.
	// Their names differ.
	Rules []*Rule
	// Exempt are conferences that no rule of the set touches.
	Exempt Exempt
	// QuietHours is nil where there are none.
	QuietHours *QuietHours
	// Accounts are the AccountSids the set is for; empty means all.
	Accounts []string
	// Ceiling bounds the actions of all rules together in one account.
	Ceiling Ceiling
}

// Rule returns the rule with that name, or nil.
func (s *Set) Rule(name string) *Rule {
	for _, r := range s.Rules {
		if r.Name == name {
			return r
		}
	}
	return nil
}

// For reports whether the set is for an account.
func (s *Set) For(accountSid string) bool {
	if len(s.Accounts) == 0 {
		return true
	}
	for _, sid := range s.Accounts {
		if sid == accountSid {
			return true
		}
	}
	return false
}

// File is one rule file as it was read. Name has no folder in it, so that the
// same files in two places are the same set.
type File struct {
	Name string
	Text string
}

// Rule is one rule, compiled, with every default filled in.
type Rule struct {
	// Name matches [a-z0-9][a-z0-9-]{0,63}: it is a word of subjects, metric
	// labels and decision ids.
	Name        string
	Description string
	// Version is the hash of all that the rule says but its description: a
	// rule whose version differs after a load is another rule.
	Version string
	// File and Line are where the rule begins.
	File string
	Line int

	Each Subject
	// On are the kinds of events that may begin an occasion: those that were
	// written, or else all that can change what When and Unless read. A
	// deadline may begin one too, whatever On says.
	On       condition.Kinds
	perEvent bool
	// written: the file says On.
	written bool
	// parts are what of the record decides whether the rule's condition holds.
	parts condition.Parts
	// ofLeg: besides whether the conference lasts, only the subject itself
	// decides it, a leg whatever the others do.
	ofLeg bool
	// When is never nil. Unless is nil where the rule has none; where it
	// holds, or cannot be evaluated, the subject is exempt.
	When, Unless *condition.Condition
	// For is how long the condition has to hold before the first step; 0 is at
	// once.
	For time.Duration
	// Do are the steps, at least one, in order.
	Do   []Step
	Mode Mode
	// Limits are zero where nothing limits the rule: it does nothing at Twilio
	// and was given none.
	Limits Limits
	// Again is how long after an attempt that did not end done the next one
	// starts, while the condition still holds; 0 is never. Attempts is how
	// many there are in all, at least 1.
	Again    time.Duration
	Attempts int
	// Count is nil but where the rule counts over many conferences.
	Count *Count
}

// PerEvent reports whether the rule has one occasion for each event instead of
// one for each stretch in which its condition holds: it reads event or before,
// or a participant that only an event can name.
func (r *Rule) PerEvent() bool { return r.perEvent }

func (r *Rule) aboutEvents(c *condition.Condition) bool {
	if c == nil {
		return false
	}
	return c.UsesEvent() || c.UsesBefore() || c.UsesParticipant() && r.Each == EachConference
}

// AtTwilio reports whether any step asks something of Twilio.
func (r *Rule) AtTwilio() bool {
	for _, s := range r.Do {
		if s.Kind.AtTwilio() {
			return true
		}
	}
	return false
}

// Subject is what a rule looks at, one by one.
type Subject string

// The two subjects.
const (
	EachConference  Subject = "conference"
	EachParticipant Subject = "participant" // live ones, and the one whose leaving is told
)

// Mode is how much a rule may do.
type Mode string

// The three modes.
const (
	Off    Mode = "off"    // is not judged
	Shadow Mode = "shadow" // is judged, and does nothing: the verdict is "would"
	Live   Mode = "live"
)

// Limits are the brakes of one rule.
type Limits struct {
	// PerMinute is how many actions are admitted in a minute; 0 is no limit.
	PerMinute int
	// TripAfter is how many admissions in a rolling hour trip the rule, whose
	// decisions are "would" from then until a person resets it; 0 is never.
	TripAfter int
}

// Ceiling bounds the actions of all rules together, in each account.
type Ceiling struct {
	// PerMinute is how many actions are admitted in a minute; 0 is no limit.
	PerMinute int
}

// Exempt names what no rule touches, by patterns in which * stands for any
// characters.
type Exempt struct {
	// Labels exempt the participants that have them, and conferences in which
	// one of those is live.
	Labels []string
	// Names exempt conferences by their friendly names.
	Names []string
}

// QuietHours is a time of day in which rules hold back.
type QuietHours struct {
	Location *time.Location
	// From and To are times since midnight. Where To is not after From, the
	// hours go past midnight.
	From, To time.Duration
	Do       Quiet
}

// Quiet is what becomes of an action in quiet hours.
type Quiet string

// The two ways to be quiet.
const (
	QuietHold   Quiet = "hold"   // wait until they are over, within the action's deadline
	QuietShadow Quiet = "shadow" // the verdict is "would"
)

// At reports whether a moment lies in the quiet hours.
func (q *QuietHours) At(now time.Time) bool {
	if q == nil {
		return false
	}
	local := now.In(q.Location)
	hour, minute, second := local.Clock()
	t := time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second
	if q.From < q.To {
		return q.From <= t && t < q.To
	}
	return t >= q.From || t < q.To
}

// Count makes a rule count its matches over many conferences. It decides once
// AtLeast matches with the same By came within Within; such a rule only
// publishes or calls webhooks.
type Count struct {
	By      *condition.Expression
	Within  time.Duration
	AtLeast int
}

// Step is one thing that a rule does.
type Step struct {
	Kind StepKind
	// Line is where it stands in the rule's file.
	Line int
	// Wait is how long a StepWait waits, from the "done" of the step before.
	Wait time.Duration
	// Params are the parameters by their names in the file, where given.
	Params map[string]*condition.Expression
	// Data are what a publish or webhook adds to its message.
	Data map[string]*condition.Expression
	// To is the conference or participants of it. Participants are the rule's
	// subject, or those live ones for which Target holds, as `participant`.
	To     Subject
	Target *condition.Condition // or nil
	// OnFailure says what becomes of the ladder when the step does not end done.
	OnFailure OnFailure
}

// StepKind is what a step does, by its key in the file.
type StepKind string

// All kinds of steps.
const (
	StepEnd      StepKind = "end"
	StepAnnounce StepKind = "announce"
	StepKick     StepKind = "kick"
	StepMute     StepKind = "mute"
	StepUnmute   StepKind = "unmute"
	StepHold     StepKind = "hold"
	StepUnhold   StepKind = "unhold"
	StepSet      StepKind = "set"
	StepPublish  StepKind = "publish"
	StepWebhook  StepKind = "webhook"
	StepWait     StepKind = "wait"
)

// AtTwilio reports whether a step of that kind asks something of Twilio. The
// others are notifications, which go out late rather than not at all, and
// waits.
func (k StepKind) AtTwilio() bool {
	switch k {
	case StepPublish, StepWebhook, StepWait:
		return false
	}
	return true
}

// OnFailure is what becomes of a ladder when a step does not end done.
type OnFailure string

// The two ways to go on.
const (
	Stop     OnFailure = "stop" // the default
	Continue OnFailure = "continue"
)
