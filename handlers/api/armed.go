package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"gavel/projections"
	"gavel/rules"
)

// Deadline is a moment at which a rule goes on by itself.
type Deadline struct {
	AccountSid    string    `json:"account_sid"`
	ConferenceSid string    `json:"conference_sid"`
	FriendlyName  string    `json:"friendly_name"`
	Rule          string    `json:"rule,omitempty" doc:"Absent at the end of an exemption from all rules"`
	CallSid       string    `json:"call_sid,omitempty" doc:"The participant that the rule looks at"`
	Label         string    `json:"label,omitempty"`
	Due           time.Time `json:"due" doc:"On Gavel's clock; past where the conference is about to be judged"`
	InSeconds     float64   `json:"in_seconds" doc:"How long until then; negative when overdue"`
	Waits         Wait      `json:"waits_for" enum:"for,step,again,quiet-hours,time,exemption" doc:"What it is until then: the rule's for runs; a wait between steps; the next attempt; the end of quiet hours; time alone may turn the condition; an exemption"`
	Step          int       `json:"step,omitempty" doc:"The last step done or waited at, from 1"`
	Steps         int       `json:"steps,omitempty" doc:"How many steps the rule has"`
}

// Wait is what a rule waits for.
type Wait string

// What rules wait for.
const (
	WaitFor       Wait = "for"         // the condition holds, for not long enough yet
	WaitStep      Wait = "step"        // a wait between two steps
	WaitAgain     Wait = "again"       // the next attempt
	WaitQuiet     Wait = "quiet-hours" // their end
	WaitTime      Wait = "time"        // time alone may turn the condition
	WaitExemption Wait = "exemption"   // its end
)

// waits are the phases of a stretch that pass by themselves.
var waits = map[rules.Phase]Wait{
	rules.Running: WaitFor, rules.Waiting: WaitStep, rules.Resting: WaitAgain, rules.Held: WaitQuiet,
}

// DeadlineList is deadlines, the earliest first.
type DeadlineList struct {
	Deadlines []Deadline `json:"deadlines"`
}

type armedInput struct {
	Account string `query:"account" doc:"One AccountSid; without it all that the key may see"`
	Limit   int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

func (a *API) addArmed(h huma.API) {
	huma.Register(h, huma.Operation{
		OperationID: "list-armed", Method: http.MethodGet, Path: Prefix + "armed",
		Summary: "The deadlines of rules that run down now, earliest first",
	}, a.listArmed)
}

func (a *API) listArmed(ctx context.Context, in *armedInput) (*answer[DeadlineList], error) {
	accounts, err := a.scope(ctx, in.Account)
	if err != nil {
		return nil, a.problem(err)
	}
	body := DeadlineList{Deadlines: []Deadline{}}
	for _, account := range accounts {
		armed, err := a.armed(ctx, account, in.Limit)
		if err != nil {
			return nil, a.problem(err)
		}
		body.Deadlines = append(body.Deadlines, armed...)
	}
	slices.SortStableFunc(body.Deadlines, func(a, b Deadline) int { return a.Due.Compare(b.Due) })
	body.Deadlines = body.Deadlines[:min(len(body.Deadlines), in.Limit)]
	return &answer[DeadlineList]{body}, nil
}

// armed are the deadlines of an account's most pressing conferences. The first
// so many deadlines are all in the first so many conferences.
func (a *API) armed(ctx context.Context, account string, most int) ([]Deadline, error) {
	conferences, err := a.Reader.Armed(ctx, account, most)
	if err != nil {
		return nil, fmt.Errorf("list armed conferences: %w", err)
	}
	var all []Deadline
	for _, due := range conferences {
		stored, err := a.Reader.Conference(ctx, due.Key)
		if errors.Is(err, projections.ErrNotFound) {
			continue // it was forgotten in between
		}
		if err != nil {
			return nil, fmt.Errorf("read conference: %w", err)
		}
		armed, err := deadlines(stored, a.Now())
		if err != nil {
			return nil, err
		}
		all = append(all, armed...)
	}
	return all, nil
}

// deadlines are those of one conference.
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

// of says whose deadline it is, and how far away.
func (d Deadline) of(c *projections.Conference, now time.Time) Deadline {
	d.AccountSid, d.ConferenceSid, d.FriendlyName = c.AccountSid, c.ConferenceSid, c.FriendlyName.Value
	if p := c.Participant(d.CallSid); p != nil {
		d.Label = p.Label.Value
	}
	d.InSeconds = d.Due.Sub(now).Seconds()
	return d
}

// scope are the accounts to ask about where an empty one means all: what the
// key may see, of what was asked for.
func (a *API) scope(ctx context.Context, only string) ([]string, error) {
	if only == "" && identity(ctx).All() {
		return []string{""}, nil
	}
	return a.accounts(ctx, only)
}
