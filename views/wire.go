package views

import (
	"context"
	"fmt"
	"time"

	"gavel/projections"
	"gavel/rules"
)

// How far back is looked for calls on the wire: by when they were decided, which
// is what an action's time says. What a rule decides is performed within
// rules.MaxAge or not at all, and a call to Twilio has ended within a minute, one
// way or the other.
const (
	wireAge   = rules.MaxAge + time.Minute
	wireDepth = 1000 // decisions
)

// WireAction is an action whose outcome is not known yet.
type WireAction struct {
	Action
	AccountSid    string `json:"account_sid"`
	ConferenceSid string `json:"conference_sid"`
	FriendlyName  string `json:"friendly_name"`
}

// OnTheWire returns what rules have begun to ask of Twilio: the actions that have an
// intent and no outcome, found through the decisions that led to them.
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

// pending returns the action of a decision while Twilio may be at it.
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
