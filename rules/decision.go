package rules

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"gavel/events"
	"gavel/rules/condition"
)

// Verdict is what Judge decided about one step of a rule.
type Verdict string

// The verdicts.
const (
	// Act: the performer performs the step.
	Act Verdict = "act"
	// Would: the step would be performed if the rule were live.
	Would Verdict = "would"
	// Refused: the step is not performed; the decision's Reason is why.
	Refused Verdict = "refused"
	// Match: one of the many matches that a rule with count waits for. It goes
	// to the lane of its count; the performer ignores it.
	Match Verdict = "match"
)

// Reason is why a decision was refused.
type Reason string

// The reasons of a refusal.
const (
	// Stale: the fact behind the decision arrived too late, or has a time in the future, so the
	// conference has to be fetched from Twilio before a rule may act on it.
	Stale Reason = "stale"
	// RuleChanged: the rule was changed or removed while its ladder ran.
	RuleChanged Reason = "rule-changed"
	// EngineChanged: Gavel was upgraded while the ladder ran.
	EngineChanged Reason = "engine-changed"
	// Exempted: a person exempted the conference while the ladder ran.
	Exempted Reason = "exempted"
	// HeldBack: it is quiet hours, and the event that the rule is about cannot
	// be acted on after they end.
	HeldBack Reason = "quiet-hours"
	// Unevaluated: a parameter of the step, or its target, cannot be evaluated on this conference.
	Unevaluated Reason = "parameters"
)

// Decision states that a step of a rule is to be performed, or that it is not,
// and why. It is data: its performer needs nothing else of the rule.
type Decision struct {
	// ID is the same whenever and wherever the same decision is made.
	ID string `json:"id"`
	// Rule is the rule's name; Version is that of the set in force.
	Rule          string `json:"rule"`
	Version       string `json:"version"`
	AccountSid    string `json:"account_sid"`
	ConferenceSid string `json:"conference_sid,omitempty"` // "" for a count over many
	// CallSid is the leg that the step acts on, "" for the conference as a whole. Subject is the
	// leg that the rule was judged for, if it is a rule for each participant.
	CallSid string `json:"call_sid,omitempty"`
	Subject string `json:"subject,omitempty"`
	// Occasion names the stretch where the condition holds, Attempt counts
	// from 1 within it, and Step is the place in the rule's list, from 1.
	Occasion string   `json:"occasion"`
	Attempt  int      `json:"attempt"`
	Step     int      `json:"step"`
	Do       StepKind `json:"do,omitempty"`
	// AsOf is the conference's own time when the decision was made.
	AsOf    time.Time `json:"as_of"`
	Verdict Verdict   `json:"verdict"`
	Reason  Reason    `json:"reason,omitempty"`
	// Late: the fact behind the decision was stale. Only notifications are sent then.
	Late bool `json:"late,omitempty"`
	// Params and Data are the step's own, evaluated. They may contain names and
	// phone numbers of people, so they must not be logged.
	Params map[string]string `json:"params,omitempty"`
	Data   map[string]string `json:"data,omitempty"`
	// Kept is what the rule's conditions read of the event that led to a step at Twilio, so that
	// they can be evaluated again before the step is performed; nil if the rule is not about single
	// events. It must not be logged either.
	Kept condition.Kept `json:"kept,omitempty"`
	// By is the value that a Match is counted by. Then are the decisions that
	// follow if this match completes the count.
	By   string     `json:"by,omitempty"`
	Then []Decision `json:"then,omitempty"`
	// Redriven is the person who redrove the decision, nil if it is the rule's own. The journal
	// names that person, and not the rule, as the actor of what follows. Rules never set it.
	Redriven *events.Actor `json:"redriven,omitempty"`
}

// ReadDecision decodes a decision from the JSON that is stored and sent. The error wraps
// events.ErrMalformed and quotes nothing, because parameters may contain names.
func ReadDecision(data []byte) (d Decision, err error) {
	if err := json.Unmarshal(data, &d); err != nil {
		return d, fmt.Errorf("read decision: %w", events.ErrMalformed)
	}
	return d, nil
}

// decisionIDBytes is how much of the hash the id has: 128 bits, so that two ids
// never collide in practice.
const decisionIDBytes = 16

// id is the hash of what distinguishes decisions. Each part follows its length, so that parts
// cannot run together. The version is not included: a reload must not repeat an earlier decision.
func (d *Decision) id() string {
	room := [512]byte{}
	text := room[:0]
	for _, part := range [...]string{d.Rule, d.AccountSid, cmp.Or(d.ConferenceSid, "-"), d.leg(), d.Occasion} {
		text = binary.BigEndian.AppendUint32(text, uint32(len(part)))
		text = append(text, part...)
	}
	text = binary.BigEndian.AppendUint32(text, uint32(d.Attempt))
	text = binary.BigEndian.AppendUint32(text, uint32(d.Step))
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:decisionIDBytes])
}

// leg is the subject, the target, or both if they differ: one step of a rule
// for one leg may act on several others.
func (d *Decision) leg() string {
	switch {
	case d.CallSid == "" || d.CallSid == d.Subject:
		return cmp.Or(d.Subject, "-")
	case d.Subject == "":
		return d.CallSid
	}
	return d.Subject + ">" + d.CallSid
}
