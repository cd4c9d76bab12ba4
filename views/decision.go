package views

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gavel/events"
	"gavel/projections"
	"gavel/rules"
)

// Decisions stores the decisions of rules.
type Decisions interface {
	// List returns at most most decisions, the newest first; an empty account or conference is any.
	List(ctx context.Context, accountSid, conferenceSid string, most int) ([]events.Decided, error)
}

// maxSifted is how many decisions are searched for those that pass a filter.
const maxSifted = 1000

// Decision is a decision of a rule and its outcome.
type Decision struct {
	ID            string            `json:"id"`
	Rule          string            `json:"rule"`
	Version       string            `json:"version" doc:"The set of rules that was in force"`
	AccountSid    string            `json:"account_sid"`
	ConferenceSid string            `json:"conference_sid,omitempty" doc:"Absent if the rule counts over many conferences"`
	FriendlyName  string            `json:"friendly_name,omitempty"`
	CallSid       string            `json:"call_sid,omitempty" doc:"The participant that the step is about"`
	Label         string            `json:"label,omitempty"`
	Do            rules.StepKind    `json:"do,omitempty"`
	Step          int               `json:"step" doc:"Its place in the rule, from 1"`
	Attempt       int               `json:"attempt"`
	Occasion      string            `json:"occasion" doc:"What made the condition hold"`
	AsOf          time.Time         `json:"as_of" doc:"Time of the decision, by the conference's own time on Gavel's clock"`
	Verdict       rules.Verdict     `json:"verdict" enum:"act,would,refused"`
	Reason        rules.Reason      `json:"reason,omitempty" doc:"Why it was refused"`
	Late          bool              `json:"late,omitempty" doc:"The event that led to it was late"`
	Params        map[string]string `json:"params,omitempty"`
	Data          map[string]string `json:"data,omitempty"`
	Answer        *Answer           `json:"answer,omitempty" doc:"Its outcome; absent until there is one"`
	Words         string            `json:"words" doc:"Its outcome, in words"`
}

// DecisionFilter narrows a list of decisions; an empty Rule or Verdict is any.
type DecisionFilter struct {
	Rule    string
	Verdict rules.Verdict
	Limit   int
}

// ListDecisions returns the decisions about the conferences that pass the filter, the newest first.
// A key without a conference is all of its account; an empty key is all.
func (s *Source) ListDecisions(ctx context.Context, keys []events.Key, filter DecisionFilter) ([]Decision, error) {
	found, err := s.decisions(ctx, keys, filter)
	if err != nil {
		return nil, err
	}
	shown, records := make([]Decision, 0, len(found)), s.records()
	for _, d := range found {
		c, err := records(ctx, d)
		if err != nil {
			return nil, err
		}
		shown = append(shown, newDecision(d, c))
	}
	return shown, nil
}

func (s *Source) decisions(ctx context.Context, keys []events.Key, filter DecisionFilter) ([]rules.Decision, error) {
	if s.Decisions == nil {
		return nil, nil
	}
	most := filter.Limit
	if filter.Rule != "" || filter.Verdict != "" {
		most = maxSifted
	}
	var found []rules.Decision
	for _, key := range keys {
		listed, err := s.Decisions.List(ctx, key.AccountSid, key.ConferenceSid, most)
		if err != nil {
			return nil, fmt.Errorf("list decisions: %w", err)
		}
		for _, decided := range listed {
			d, err := rules.ReadDecision(decided.Data)
			if err != nil {
				return nil, fmt.Errorf("decision %s: %w", decided.ID, err)
			}
			if (filter.Rule == "" || d.Rule == filter.Rule) && (filter.Verdict == "" || d.Verdict == filter.Verdict) {
				found = append(found, d)
			}
		}
	}
	slices.SortStableFunc(found, func(a, b rules.Decision) int { return b.AsOf.Compare(a.AsOf) })
	return found[:min(len(found), filter.Limit)], nil
}

// records returns a function that reads the conference of a decision, each once. It
// returns nil if the conference does not exist or was removed.
func (s *Source) records() func(context.Context, rules.Decision) (*projections.Conference, error) {
	read := make(map[events.Key]*projections.Conference)
	return func(ctx context.Context, d rules.Decision) (*projections.Conference, error) {
		key := events.Key{AccountSid: d.AccountSid, ConferenceSid: d.ConferenceSid}
		c, known := read[key]
		if known || key.ConferenceSid == "" {
			return c, nil
		}
		stored, err := s.Reader.Conference(ctx, key)
		if err != nil && !errors.Is(err, projections.ErrNotFound) {
			return nil, fmt.Errorf("read conference: %w", err)
		}
		read[key] = stored.Conference
		return stored.Conference, nil
	}
}

func newDecision(d rules.Decision, c *projections.Conference) Decision {
	v := Decision{
		ID: d.ID, Rule: d.Rule, Version: d.Version,
		AccountSid: d.AccountSid, ConferenceSid: d.ConferenceSid, CallSid: cmp.Or(d.CallSid, d.Subject),
		Do: d.Do, Step: d.Step, Attempt: d.Attempt, Occasion: d.Occasion, AsOf: d.AsOf,
		Verdict: d.Verdict, Reason: d.Reason, Late: d.Late, Params: d.Params, Data: d.Data,
		Words: verdictWords(d),
	}
	if c == nil {
		return v
	}
	v.FriendlyName = c.FriendlyName.Value
	if p := c.Participant(v.CallSid); p != nil {
		v.Label = p.Label.Value
	}
	if action := actionOf(c, d.ID); action != nil && action.Outcome != nil {
		o := action.Outcome
		v.Answer = newAnswer(o)
		v.Words = o.Words(action.Do)
	}
	return v
}

// actionOf returns the action of a decision, which has the same id, or nil.
func actionOf(c *projections.Conference, id string) *projections.ActionRecord {
	for _, action := range c.Actions {
		if action.ID == id {
			return action
		}
	}
	return nil
}

// refusals are the reasons of refusals in words.
var refusals = map[rules.Reason]string{
	rules.Stale:       "what led to it came too late to act on unseen",
	rules.RuleChanged: "the rule was changed while it ran",
	rules.Exempted:    "a person exempted the conference",
	rules.HeldBack:    "it was in quiet hours",
	rules.Unevaluated: "its parameters cannot be evaluated",
}

// verdictWords describes a decision without an outcome.
func verdictWords(d rules.Decision) string {
	switch d.Verdict {
	case rules.Act:
		return "no outcome is known yet"
	case rules.Would:
		return "nothing was done: the rule only says what it would do"
	}
	return "nothing was done: " + cmp.Or(refusals[d.Reason], string(d.Reason))
}

// Bounds of the search for calls on the wire. The age is that of the decision, which
// is also the time of its action. A decision is performed within rules.MaxAge or
// not at all, and a call to Twilio ends within a minute.
const (
	wireAge   = rules.MaxAge + time.Minute
	wireDepth = 1000 // decisions
)

// WireAction is an action without an outcome yet.
type WireAction struct {
	Action
	AccountSid    string `json:"account_sid"`
	ConferenceSid string `json:"conference_sid"`
	FriendlyName  string `json:"friendly_name"`
}

// OnTheWire returns the requests of rules to Twilio that may still happen: actions
// with an intent and without an outcome. It finds them through their decisions.
func (s *Source) OnTheWire(ctx context.Context) ([]WireAction, error) {
	if s.Decisions == nil {
		return nil, nil
	}
	decided, err := s.Decisions.List(ctx, "", "", wireDepth)
	if err != nil {
		return nil, fmt.Errorf("list decisions: %w", err)
	}
	var wire []WireAction
	now, records := s.Now(), s.records()
	for _, one := range decided {
		d, err := rules.ReadDecision(one.Data)
		if err != nil {
			return nil, err
		}
		if d.Verdict != rules.Act || !d.Do.AtTwilio() || now.Sub(d.AsOf) > wireAge {
			continue
		}
		c, err := records(ctx, d)
		if err != nil {
			return nil, err
		}
		if action := pending(c, d.ID, now); action != nil {
			wire = append(wire, WireAction{newAction(action), c.AccountSid, c.ConferenceSid, c.FriendlyName.Value})
		}
	}
	return wire, nil
}

// pending returns the action of a decision if Twilio may still carry it out, or nil.
func pending(c *projections.Conference, id string, now time.Time) *projections.ActionRecord {
	if c == nil {
		return nil
	}
	action := actionOf(c, id)
	if action == nil || !action.Intent || action.Outcome != nil || now.Sub(action.At.Time()) > wireAge {
		return nil
	}
	return action
}
