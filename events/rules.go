package events

import (
	"cmp"
	"strconv"
	"time"
)

// Entries for the evaluation of rules in the lanes. They are in the journal so that
// a second reading leads to the same decisions; Fold skips them.
const (
	// Wake lets a conference be evaluated, because a deadline may be due.
	Wake Kind = "gavel-wake"
	// RulesLoaded names the set of rules that is in force in its lane from here
	// on. It does not belong to a conference.
	RulesLoaded Kind = "gavel-rules-loaded"
	// RuleMatch is one match for a rule with count. It is in the lane of its count
	// and does not belong to a conference.
	RuleMatch Kind = "gavel-match"
	// Exempted exempts a conference from rules because a person requested it. It
	// is published as news.
	Exempted Kind = "gavel-exempt"
	// NameExempted exempts all conferences of a name, also those that do not exist yet. It is in every
	// lane and does not belong to a conference; those that are live get an Exempted of their own.
	NameExempted Kind = "gavel-exempt-name"
	// RuleReset lets a rule act again that was tripped. It is in every lane and does not belong to a
	// conference.
	RuleReset Kind = "gavel-rule-reset"
	// Reread ends a re-read of Twilio after a fact that was too late to act on.
	// The differences found are in the journal before it.
	Reread Kind = "gavel-reread"
)

// OfRules reports whether k is one of these.
func (k Kind) OfRules() bool {
	return k == Wake || k == Exempted || k == Reread || k.OfLane()
}

// OfLane reports whether k is one of these and belongs to a lane and not to a conference.
func (k Kind) OfLane() bool {
	return k == RulesLoaded || k == RuleMatch || k == NameExempted || k == RuleReset
}

const (
	// MaxReason bounds a person's reason, in bytes.
	MaxReason = 256
	// maxVersion and maxMatch bound a set's version and a match, in bytes: the
	// steps of a match hold evaluated parameters.
	maxVersion = 64
	maxMatch   = 64 << 10
	// maxRuleName is the longest name that a rule may have.
	maxRuleName = 64
)

// NewWake returns the entry that lets a conference be evaluated.
func NewWake(key Key, at time.Time) Entry {
	return newOwn(Wake, at, NewULID(), key.AccountSid, key.ConferenceSid)
}

// Engine is the number of the Fold and the Judge of this build. A change of either raises it: each
// lane then begins to be judged again at one place of its journal (ADR 0016).
const Engine = 3

// Load is a set of rules that comes into force.
type Load struct {
	// ID is a ULID, the same in all lanes.
	ID string
	// Version is the set's.
	Version string
	// At is when the entry was made, on our clock.
	At time.Time
	// Engine is the number of the engine that judges from here on, at least 1. In NewRulesLoaded
	// zero stands for this build's.
	Engine int
}

// NewRulesLoaded is the entry of a load, one for each lane.
func NewRulesLoaded(l Load) Entry {
	engine := cmp.Or(l.Engine, Engine)
	if engine == 1 {
		return newOwn(RulesLoaded, l.At, l.ID, l.Version, "") // as the builds before engines had numbers
	}
	return newOwn(RulesLoaded, l.At, l.ID, l.Version, strconv.Itoa(engine))
}

// Load returns the content of a RulesLoaded. The error is a *FormError.
func (e *Event) Load() (Load, error) {
	err := e.Params.check(ownKinds[RulesLoaded], nil)
	return Load{
		ID: e.Params.Get(ownID), Version: e.Params.Get("Version"), At: e.ReceivedAt,
		Engine: max(1, e.Params.number("Engine")),
	}, err
}

// Match is one match that a rule counts.
type Match struct {
	// ID is its decision's.
	ID         string
	AccountSid string
	Rule       string
	// Decision is the decision in the form of package rules, its only reader.
	Decision string
}

// NewMatch is the entry of a match.
func NewMatch(m Match, at time.Time) Entry {
	return newOwn(RuleMatch, at, m.ID, m.AccountSid, m.Rule, m.Decision)
}

// Match returns the content of a RuleMatch. The error is a *FormError.
func (e *Event) Match() (Match, error) {
	p := e.Params
	m := Match{ID: p.Get(ownID), AccountSid: p.sid(accountParam.name), Rule: p.Get("Rule"), Decision: p.Get("Match")}
	return m, p.check(ownKinds[RuleMatch], nil)
}

// Exemption exempts one conference from rules until a time.
type Exemption struct {
	// ID is a ULID.
	ID  string
	Key Key
	// Name is the name of the conferences that a NameExempted is about; its Key has only the account.
	Name string
	// Rule is the one rule that does not apply, or "" for all.
	Rule string
	// Until is in whole seconds; a time that has passed lifts the exemption before it.
	Until time.Time
	// Reason is the person's. It may hold names: it is not for logs.
	Reason string
	Actor  Actor
	// At is when it was requested, on our clock.
	At time.Time
}

// NewExempted is the entry of an exemption.
func NewExempted(x Exemption) Entry {
	return newOwn(Exempted, x.At, x.ID, x.Key.AccountSid, x.Key.ConferenceSid, x.Rule, wholeSeconds(x.Until), x.Reason,
		x.Actor.Sid, x.Actor.Name, x.Actor.Rule)
}

// Exemption returns the content of an Exempted. The error is a *FormError.
func (e *Event) Exemption() (Exemption, error) {
	p := e.Params
	x := Exemption{
		ID: p.Get(ownID), Key: p.key(), Rule: p.Get("Rule"), Until: p.moment("Until"), Reason: p.Get("Reason"),
		Actor: p.actor(), At: e.ReceivedAt,
	}
	return x, p.check(ownKinds[Exempted], nil)
}

// NewNameExempted is the entry of an exemption of all conferences of a name, one for each lane.
func NewNameExempted(x Exemption) Entry {
	return newOwn(NameExempted, x.At, x.ID, x.Key.AccountSid, x.Name, x.Rule, wholeSeconds(x.Until), x.Reason,
		x.Actor.Sid, x.Actor.Name, x.Actor.Rule)
}

// NameExemption returns the content of a NameExempted. The error is a *FormError.
func (e *Event) NameExemption() (Exemption, error) {
	p := e.Params
	x := Exemption{
		ID: p.Get(ownID), Key: Key{AccountSid: p.sid(accountParam.name)}, Name: p.Get(parameters[pFriendlyName].name),
		Rule: p.Get("Rule"), Until: p.moment("Until"), Reason: p.Get("Reason"), Actor: p.actor(), At: e.ReceivedAt,
	}
	return x, p.check(ownKinds[NameExempted], nil)
}

// Reset lets a tripped rule act again.
type Reset struct {
	// ID is a ULID, the same in all lanes.
	ID   string
	Rule string
	// Reason is the person's, as in Exemption.
	Reason string
	Actor  Actor
	// At is when it was requested, on our clock.
	At time.Time
}

// NewRuleReset is the entry of a reset, one for each lane.
func NewRuleReset(r Reset) Entry {
	return newOwn(RuleReset, r.At, r.ID, r.Rule, r.Reason, r.Actor.Sid, r.Actor.Name, r.Actor.Rule)
}

// Reset returns the content of a RuleReset. The error is a *FormError.
func (e *Event) Reset() (Reset, error) {
	p := e.Params
	r := Reset{ID: p.Get(ownID), Rule: p.Get("Rule"), Reason: p.Get("Reason"), Actor: p.actor(), At: e.ReceivedAt}
	return r, p.check(ownKinds[RuleReset], nil)
}

// NewReread returns the entry that ends a re-read of Twilio.
func NewReread(key Key, at time.Time) Entry {
	return newOwn(Reread, at, NewULID(), key.AccountSid, key.ConferenceSid)
}
