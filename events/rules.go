package events

import "time"

// Entries by which the lanes judge rules. They are in the journal so that
// whoever reads it again decides alike; Fold knows none of them.
const (
	// Wake says that a conference is to be judged: a deadline may be due.
	Wake Kind = "gavel-wake"
	// RulesLoaded says which set of rules is in force in its lane from here on.
	// It is of no conference.
	RulesLoaded Kind = "gavel-rules-loaded"
	// RuleMatch is one of the many that a rule with count waits for. It lies in
	// the lane of its count and is of no conference.
	RuleMatch Kind = "gavel-match"
	// Exempted keeps rules off a conference because a person said so. It is
	// told as news.
	Exempted Kind = "gavel-exempt"
	// Reread closes the asking of Twilio after something came too late to act
	// on: what was found differs was told before it.
	Reread Kind = "gavel-reread"
)

// OfRules reports whether k is one of these.
func (k Kind) OfRules() bool {
	switch k {
	case Wake, RulesLoaded, RuleMatch, Exempted, Reread:
		return true
	}
	return false
}

const (
	// MaxReason bounds what a person gives as a reason, in bytes.
	MaxReason = 256
	// maxVersion and maxMatch bound a set's version and a match, in bytes: the
	// steps that follow from a match hold evaluated parameters.
	maxVersion = 64
	maxMatch   = 64 << 10
	// maxRuleName is the longest name that a rule may have.
	maxRuleName = 64
)

// NewWake is the entry that wakes a conference.
func NewWake(key Key, at time.Time) Entry {
	return newOwn(Wake, at, NewULID(), key.AccountSid, key.ConferenceSid)
}

// Load is a set of rules coming into force.
type Load struct {
	// ID is a ULID, the same in all lanes.
	ID string
	// Version is the set's.
	Version string
	// At is when the entry was made, on our clock.
	At time.Time
}

// NewRulesLoaded is the entry of a load, one for each lane.
func NewRulesLoaded(l Load) Entry { return newOwn(RulesLoaded, l.At, l.ID, l.Version) }

// Load returns what a RulesLoaded says. The error is a *FormError.
func (e *Event) Load() (Load, error) {
	err := e.Params.check(ownKinds[RulesLoaded], nil)
	return Load{ID: e.Params.Get(ownID), Version: e.Params.Get("Version"), At: e.ReceivedAt}, err
}

// Match is one more of what a rule counts.
type Match struct {
	// ID is its decision's.
	ID         string
	AccountSid string
	Rule       string
	// Decision is the decision as rules wrote it; nobody else reads it.
	Decision string
}

// NewMatch is the entry of a match.
func NewMatch(m Match, at time.Time) Entry {
	return newOwn(RuleMatch, at, m.ID, m.AccountSid, m.Rule, m.Decision)
}

// Match returns what a RuleMatch says. The error is a *FormError.
func (e *Event) Match() (Match, error) {
	p := e.Params
	m := Match{ID: p.Get(ownID), AccountSid: p.sid(accountParam.name), Rule: p.Get("Rule"), Decision: p.Get("Match")}
	return m, p.check(ownKinds[RuleMatch], nil)
}

// Exemption keeps rules off one conference until a moment.
type Exemption struct {
	// ID is a ULID.
	ID  string
	Key Key
	// Rule is the one rule that is kept off, or "" for all.
	Rule string
	// Until is in whole seconds; one that has passed lifts the exemption before.
	Until time.Time
	// Reason is what the person gave. It may hold names: it is not for logs.
	Reason string
	Actor  Actor
	// At is when it was said, on our clock.
	At time.Time
}

// NewExempted is the entry of an exemption.
func NewExempted(x Exemption) Entry {
	return newOwn(Exempted, x.At, x.ID, x.Key.AccountSid, x.Key.ConferenceSid, x.Rule, wholeSeconds(x.Until), x.Reason,
		x.Actor.Sid, x.Actor.Name, x.Actor.Rule)
}

// Exemption returns what an Exempted says. The error is a *FormError.
func (e *Event) Exemption() (Exemption, error) {
	p := e.Params
	x := Exemption{
		ID: p.Get(ownID), Key: p.key(), Rule: p.Get("Rule"), Until: p.moment("Until"), Reason: p.Get("Reason"),
		Actor: p.actor(), At: e.ReceivedAt,
	}
	return x, p.check(ownKinds[Exempted], nil)
}

// NewReread is the entry that closes a re-read of Twilio.
func NewReread(key Key, at time.Time) Entry {
	return newOwn(Reread, at, NewULID(), key.AccountSid, key.ConferenceSid)
}
