package events

import (
	"strings"
	"time"
)

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

// Parameters of these entries.
const (
	ruleVersion = "Version"
	ruleName    = "Rule"
	ruleMatch   = "Match"
	ruleUntil   = "Until"
	ruleReason  = "Reason"
)

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
func NewWake(key Key, at time.Time) Entry { return newOwnForm(Wake, NewULID(), key).entry(at) }

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
func NewRulesLoaded(l Load) Entry {
	f := newOwnForm(RulesLoaded, l.ID, Key{})
	f.add(ruleVersion, l.Version)
	return f.entry(l.At)
}

// Load returns what a RulesLoaded says. The error is a *FormError.
func (e *Event) Load() (Load, error) {
	r := ownReader{params: e.Params}
	l := Load{ID: r.id(), Version: r.fixed(ruleVersion, maxVersion), At: e.ReceivedAt}
	if l.Version == "" {
		r.fail(ruleVersion, "is missing")
	}
	return l, r.err
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
	f := newOwnForm(RuleMatch, m.ID, Key{AccountSid: m.AccountSid})
	f.add(ruleName, m.Rule)
	f.add(ruleMatch, m.Decision)
	return f.entry(at)
}

// Match returns what a RuleMatch says. The error is a *FormError.
func (e *Event) Match() (Match, error) {
	r := ownReader{params: e.Params}
	m := Match{ID: r.actionID(), AccountSid: r.sid(pAccountSid), Rule: r.ruleName(ruleName), Decision: r.text(ruleMatch, maxMatch)}
	return m, r.err
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
	f := newOwnForm(Exempted, x.ID, x.Key)
	f.add(ruleName, x.Rule)
	f.add(ruleUntil, wholeSeconds(x.Until))
	f.add(ruleReason, printable(x.Reason, MaxReason))
	f.add(actionActorSid, x.Actor.Sid)
	f.add(actionActorName, printable(x.Actor.Name, MaxActorName))
	return f.entry(x.At)
}

// Exemption returns what an Exempted says. The error is a *FormError.
func (e *Event) Exemption() (Exemption, error) {
	r := ownReader{params: e.Params}
	x := Exemption{
		ID: r.id(), Key: r.key(), Until: r.moment(ruleUntil), Reason: r.text(ruleReason, MaxReason),
		Actor: r.actor(), At: e.ReceivedAt,
	}
	if r.params.Get(ruleName) != "" {
		x.Rule = r.ruleName(ruleName)
	}
	return x, r.err
}

// NewReread is the entry that closes a re-read of Twilio.
func NewReread(key Key, at time.Time) Entry { return newOwnForm(Reread, NewULID(), key).entry(at) }

// readOfRules fills the event from one of these entries.
func (e *Event) readOfRules() error {
	var err error
	switch e.Kind {
	case RulesLoaded:
		_, err = e.Load()
	case RuleMatch:
		var m Match
		m, err = e.Match()
		e.AccountSid = m.AccountSid
	case Exempted:
		_, err = e.Exemption()
	}
	if err != nil {
		return err
	}
	r := ownReader{params: e.Params}
	if e.Kind != RulesLoaded && e.Kind != RuleMatch {
		key := r.key()
		e.AccountSid, e.ConferenceSid = key.AccountSid, key.ConferenceSid
	}
	e.ID = strings.TrimPrefix(string(e.Kind), ownPrefix) + "-" + r.params.Get(ownID)
	if r.actionID(); r.err != nil {
		return r.err
	}
	return nil
}

// key reads a conference.
func (r *ownReader) key() Key { return Key{r.sid(pAccountSid), r.sid(pConferenceSid)} }

// ruleName reads a rule's name, which has to be there.
func (r *ownReader) ruleName(field string) string {
	v := r.text(field, maxRuleName)
	for i := range len(v) {
		if c := v[i]; !isLowerOrDigit(c) && (c != '-' || i == 0) {
			r.fail(field, "is no name of a rule")
			return ""
		}
	}
	if v == "" {
		r.fail(field, "is missing")
	}
	return v
}
