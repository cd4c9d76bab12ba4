package views

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gavel/projections"
	"gavel/rules"
)

// Deadline is a moment at which a rule continues without an event.
type Deadline struct {
	AccountSid    string    `json:"account_sid"`
	ConferenceSid string    `json:"conference_sid"`
	FriendlyName  string    `json:"friendly_name"`
	Rule          string    `json:"rule,omitempty" doc:"Absent at the end of an exemption from all rules"`
	CallSid       string    `json:"call_sid,omitempty" doc:"The participant that the rule evaluates"`
	Label         string    `json:"label,omitempty"`
	Due           time.Time `json:"due" doc:"On Gavel's clock; in the past if the evaluation is due"`
	InSeconds     float64   `json:"in_seconds" doc:"Seconds until then; negative if overdue"`
	Waits         Wait      `json:"waits_for" enum:"for,step,again,quiet-hours,rules,time,exemption" doc:"What the rule waits for: the end of its for; a wait between steps; the next attempt; the end of quiet hours; the rules that the performer has met; a time that may change the condition; the end of an exemption"`
	Step          int       `json:"step,omitempty" doc:"The last step that was done or that waits, from 1"`
	Steps         int       `json:"steps,omitempty" doc:"Number of steps of the rule"`
}

// Wait is what a rule waits for.
type Wait string

// What rules wait for.
const (
	WaitFor       Wait = "for"         // the condition holds, but not yet for long enough
	WaitStep      Wait = "step"        // a wait between two steps
	WaitAgain     Wait = "again"       // the next attempt
	WaitQuiet     Wait = "quiet-hours" // their end
	WaitRules     Wait = "rules"       // the lane gets the rules that the performer found in force
	WaitTime      Wait = "time"        // time alone may change the condition
	WaitExemption Wait = "exemption"   // its end
)

// waits are the phases of a stretch that end without an event.
var waits = map[rules.Phase]Wait{
	rules.Running: WaitFor, rules.Waiting: WaitStep, rules.Resting: WaitAgain, rules.Held: WaitQuiet,
	rules.Reloading: WaitRules,
}

// Deadlines returns at most most pending deadlines in the accounts, the earliest
// first. An empty account is all.
func (s *Source) Deadlines(ctx context.Context, accounts []string, most int) ([]Deadline, error) {
	all := []Deadline{}
	for _, account := range accounts {
		armed, err := s.armed(ctx, account, most)
		if err != nil {
			return nil, err
		}
		all = append(all, armed...)
	}
	slices.SortStableFunc(all, func(a, b Deadline) int { return a.Due.Compare(b.Due) })
	return all[:min(len(all), most)], nil
}

// armed returns the deadlines of an account's conferences that are due first. The
// first most deadlines are all in the first most conferences.
func (s *Source) armed(ctx context.Context, account string, most int) ([]Deadline, error) {
	conferences, err := s.Reader.Armed(ctx, account, most)
	if err != nil {
		return nil, fmt.Errorf("list armed conferences: %w", err)
	}
	var all []Deadline
	for _, due := range conferences {
		stored, err := s.Reader.Conference(ctx, due.Key)
		if errors.Is(err, projections.ErrNotFound) {
			continue // it was removed in between
		}
		if err != nil {
			return nil, fmt.Errorf("read conference: %w", err)
		}
		armed, err := deadlines(stored, s.Now())
		if err != nil {
			return nil, err
		}
		all = append(all, armed...)
	}
	return all, nil
}

// deadlines returns those of one conference.
func deadlines(stored projections.Stored, now time.Time) (all []Deadline, err error) {
	if stored.Conference == nil || len(stored.Rules) == 0 {
		return nil, nil
	}
	state, err := rules.DecodeState(stored.Rules)
	if err != nil {
		return nil, err
	}
	add := func(d Deadline) {
		if !d.Due.IsZero() {
			all = append(all, d.of(stored.Conference, now))
		}
	}
	for _, s := range state.Stretches {
		if !s.Parked.IsZero() {
			continue
		}
		add(Deadline{Rule: s.Rule, CallSid: s.CallSid, Due: s.Due, Waits: waits[s.Phase], Step: s.Step, Steps: s.Of})
	}
	for _, f := range state.Flips {
		add(Deadline{Rule: f.Rule, CallSid: f.CallSid, Due: f.Due, Waits: WaitTime})
	}
	for _, e := range state.Exemptions {
		add(Deadline{Rule: e.Rule, Due: e.Until, Waits: WaitExemption})
	}
	return all, nil
}

// of fills in the conference, and the time until the deadline.
func (d Deadline) of(c *projections.Conference, now time.Time) Deadline {
	d.AccountSid, d.ConferenceSid, d.FriendlyName = c.AccountSid, c.ConferenceSid, c.FriendlyName.Value
	if p := c.Participant(d.CallSid); p != nil {
		d.Label = p.Label.Value
	}
	d.InSeconds = d.Due.Sub(now).Seconds()
	return d
}
