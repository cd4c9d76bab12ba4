package rules

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"

	"gavel/rules/condition"
)

// Verdict is what Judge made of one step of a rule.
type Verdict string

// The verdicts.
const (
	// Act: the performer is to do it.
	Act Verdict = "act"
	// Would: it would be done, were the rule live.
	Would Verdict = "would"
	// Refused: it is not done; the decision's Reason says why.
	Refused Verdict = "refused"
	// Match: one of the many that a rule with count waits for. It goes to the
	// lane of its count and is nothing for the performer.
	Match Verdict = "match"
)

// Reason is why a decision was refused.
type Reason string

// The reasons of a refusal.
const (
	// Stale: the fact behind it came too late, or from the future, to act on it
	// unseen. Twilio is to be asked again.
	Stale Reason = "stale"
	// RuleChanged: the rule was changed or taken away while its ladder ran.
	RuleChanged Reason = "rule-changed"
	// Exempted: a person exempted the conference while the ladder ran.
	Exempted Reason = "exempted"
	// HeldBack: the rule is quiet at this time of day, and the event that it is
	// about does not last until it speaks again.
	HeldBack Reason = "quiet-hours"
	// Unevaluated: one of the step's parameters, or its target, cannot be
	// evaluated on this conference.
	Unevaluated Reason = "parameters"
)

// Decision says that a step of a rule is to be taken, or that it is not, and
// why. It is data: whoever performs it needs nothing else of the rule.
type Decision struct {
	// ID is the same whenever and wherever the same decision is taken.
	ID string `json:"id"`
	// Rule is the rule's name, Version that of the set in force.
	Rule          string `json:"rule"`
	Version       string `json:"version"`
	AccountSid    string `json:"account_sid"`
	ConferenceSid string `json:"conference_sid,omitempty"` // "" for a count over many
	// CallSid is the leg that the step is about, "" for the conference as a
	// whole. Subject is the leg that the rule looked at, where it looks at each.
	CallSid string `json:"call_sid,omitempty"`
	Subject string `json:"subject,omitempty"`
	// Occasion names the stretch in which the condition holds, Attempt counts
	// from 1 within it, Step is the place in the rule's list, from 1.
	Occasion string   `json:"occasion"`
	Attempt  int      `json:"attempt"`
	Step     int      `json:"step"`
	Do       StepKind `json:"do,omitempty"`
	// AsOf is the conference's own time at which it was taken.
	AsOf    time.Time `json:"as_of"`
	Verdict Verdict   `json:"verdict"`
	Reason  Reason    `json:"reason,omitempty"`
	// Late: the fact behind it was stale. Only what tells people goes out so.
	Late bool `json:"late,omitempty"`
	// Params and Data are the step's own, evaluated. They may hold names and
	// numbers of people: they are not for logs.
	Params map[string]string `json:"params,omitempty"`
	Data   map[string]string `json:"data,omitempty"`
	// Kept is what the rule's conditions read of the event that led to a step at
	// Twilio, so that they can be evaluated again before it is taken; nil where
	// the rule is about no single event. It is not for logs either.
	Kept condition.Kept `json:"kept,omitempty"`
	// By is what a Match is counted by, Then what follows if it is the one that
	// makes the number full.
	By   string     `json:"by,omitempty"`
	Then []Decision `json:"then,omitempty"`
}

// decisionIDBytes is how much of the hash is kept: 128 bits, of which nobody
// meets two alike.
const decisionIDBytes = 16

// id is the hash of what tells decisions apart, each part behind its length, so
// that no two run together. The version is no part of it: a reload must not do
// again what was decided before.
func (d *Decision) id() string {
	h := sha256.New()
	for _, part := range []string{d.Rule, d.AccountSid, orDash(d.ConferenceSid), d.leg(), d.Occasion} {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
		h.Write([]byte(part))
	}
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(d.Attempt)))
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(d.Step)))
	return hex.EncodeToString(h.Sum(nil)[:decisionIDBytes])
}

// leg is the subject, the target, or both where they differ: one step of a rule
// about one leg may do something to several others.
func (d *Decision) leg() string {
	switch {
	case d.CallSid == "" || d.CallSid == d.Subject:
		return orDash(d.Subject)
	case d.Subject == "":
		return d.CallSid
	}
	return d.Subject + ">" + d.CallSid
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
