package rules

import (
	"slices"
	"time"

	"gavel/rules/condition"
	"gavel/rules/schema"
)

// Set is all rules that are in force together. Parse makes it, whole or not at
// all, and it never changes: many goroutines may judge by one Set at once.
type Set struct {
	// Version is the hash of the files' names and content, in hexadecimal: two
	// processes with the same files have the same version.
	Version string
	// Files are what the set was made from, by name.
	Files []File
	// Rules are in the order of Files, and within a file in its own order. Names are unique.
	Rules []*Rule
	// Exempt names the conferences and participants that no rule of the set touches.
	Exempt Exempt
	// QuietHours is nil if the files define none.
	QuietHours *QuietHours
	// Accounts are the AccountSids that the set applies to; empty means all.
	Accounts []string
	// Ceiling bounds the actions of all rules together in one account.
	Ceiling Ceiling
	// Warnings are what newer checks find in a set that an earlier build accepted (ParseAccepted).
	Warnings schema.Faults
	// Advice is about what the files may contain and their author probably did not mean.
	Advice schema.Faults
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

// For reports whether the set applies to an account.
func (s *Set) For(accountSid string) bool {
	return len(s.Accounts) == 0 || slices.Contains(s.Accounts, accountSid)
}

// File is one rule file as it was read. Name has no folder in it, so that the
// same files in two places are the same set.
type File struct {
	Name string
	Text string
}

// Rule is one rule, compiled, with every default filled in.
type Rule struct {
	// Name matches [a-z0-9][a-z0-9-]{0,63}: it is used as a word of subjects,
	// in metric labels and in decision ids.
	Name        string
	Description string
	// Version is the hash of the whole rule except its description: a rule
	// whose version differs after a load is another rule.
	Version string
	// File and Line are where the rule begins.
	File string
	Line int

	Each Subject
	// On are the kinds of events that may begin an occasion: those that the file lists, or else all
	// that can change what When and Unless read. A deadline may begin one too, whatever On lists.
	On       condition.Kinds
	perEvent bool
	// written: the file has `on`.
	written bool
	// parts are the parts of the record that decide whether the rule's condition holds.
	parts condition.Parts
	// ofLeg: the condition depends only on the subject's own leg, and on
	// whether the conference lasts; changes of other legs do not affect it.
	ofLeg bool
	// When is never nil. Unless is nil if the rule has none; if it holds, or
	// cannot be evaluated, the subject is exempt.
	When, Unless *condition.Condition
	// For is how long the condition has to hold before the first step; 0 means at once.
	For time.Duration
	// Do are the steps, at least one, in order.
	Do   []Step
	Mode Mode
	// Limits are zero if nothing limits the rule: it does nothing at Twilio,
	// and its file sets none.
	Limits Limits
	// Again is how long after an attempt that did not end done the next one
	// starts, while the condition still holds; 0 means never. Attempts is how
	// many attempts there are in all, at least 1.
	Again    time.Duration
	Attempts int
	// Count is nil unless the rule counts over many conferences.
	Count *Count
}

// PerEvent reports whether the rule has one occasion for each event instead of
// one for each stretch where its condition holds. That is so if the condition
// reads event or before, or a participant that only an event can identify.
func (r *Rule) PerEvent() bool { return r.perEvent }

func (r *Rule) aboutEvents(c *condition.Condition) bool {
	return c != nil && (c.Uses("event") || c.Uses("before") || c.Uses("participant") && r.Each == EachConference)
}

// Expression returns the text of the expression at a place of the rule that an ExpressionFault names,
// "" for a place that has several.
func (r *Rule) Expression(in string) string {
	switch {
	case in == "when":
		return r.When.String()
	case in == "unless" && r.Unless != nil:
		return r.Unless.String()
	}
	return ""
}

// AtTwilio reports whether any step calls Twilio.
func (r *Rule) AtTwilio() bool {
	for i := range r.Do { // each fact asks this of each rule, and a Step is large to pass on
		if r.Do[i].Kind.AtTwilio() {
			return true
		}
	}
	return false
}

// Subject is what a rule is evaluated for, one at a time.
type Subject string

// The two subjects.
const (
	EachConference  Subject = "conference"
	EachParticipant Subject = "participant" // live ones, and the one that a leave event is about
)

// Mode is how much a rule may do.
type Mode string

// The three modes.
const (
	Off    Mode = "off"    // not judged
	Shadow Mode = "shadow" // judged, but does nothing: the verdict is "would"
	Live   Mode = "live"
)

// Limits are the brakes of one rule.
type Limits struct {
	// PerMinute is how many actions are admitted in a minute; 0 means no limit.
	PerMinute int
	// TripAfter is how many admissions in a rolling hour trip the rule. From then until an operator
	// resets it, its decisions are "would". 0 means never.
	TripAfter int
}

// Ceiling bounds the actions of all rules together, in each account.
type Ceiling struct {
	// PerMinute is how many actions are admitted in a minute; 0 means no limit.
	PerMinute int
}

// Exempt names what no rule touches, by patterns where * matches any characters.
type Exempt struct {
	// Labels exempt the participants that have one of them, and conferences
	// where such a participant is live.
	Labels []string
	// Names exempt conferences by their friendly names.
	Names []string
}

// QuietHours is a time of day when rules hold back.
type QuietHours struct {
	Location *time.Location
	// From and To are times since midnight. If To is not after From, the hours
	// continue past midnight.
	From, To time.Duration
	Do       Quiet
}

// Quiet is what happens to an action in quiet hours.
type Quiet string

// The two ways to treat an action in quiet hours.
const (
	QuietHold   Quiet = "hold"   // wait until they end, within the action's deadline
	QuietShadow Quiet = "shadow" // the verdict is "would"
)

func (q *QuietHours) equal(p *QuietHours) bool {
	if q == nil || p == nil {
		return q == p
	}
	return q.Location.String() == p.Location.String() && q.From == p.From && q.To == p.To && q.Do == p.Do
}

// At reports whether a moment is in the quiet hours.
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

// Count makes a rule count its matches over many conferences. The rule decides once AtLeast matches
// with the same By came within Within; such a rule only publishes or calls webhooks.
type Count struct {
	By      *condition.Expression
	Within  time.Duration
	AtLeast int
}

// Step is one thing that a rule does.
type Step struct {
	Kind StepKind
	// Line is the step's line in the rule's file.
	Line int
	// Wait is how long a StepWait waits after the step before it ended "done".
	Wait time.Duration
	// Params are the parameters that the file gives, by their names in the file.
	Params map[string]*condition.Expression
	// Data are what a publish or webhook adds to its message.
	Data map[string]*condition.Expression
	// To is the conference or its participants. Participants are the rule's
	// subject, or the live ones that Target selects, each as `participant`.
	To     Subject
	Target *condition.Condition // or nil
	// OnFailure states whether the ladder continues after the step did not end done.
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

// AtTwilio reports whether a step of that kind calls Twilio. The others are
// waits and notifications; a notification is sent late rather than not at all.
func (k StepKind) AtTwilio() bool {
	return k != StepPublish && k != StepWebhook && k != StepWait
}

// OnFailure is what a ladder does after a step that did not end done.
type OnFailure string

// The two values of OnFailure.
const (
	Stop     OnFailure = "stop" // the default
	Continue OnFailure = "continue"
)
