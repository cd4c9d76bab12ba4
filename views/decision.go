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
	// Before returns at most most decisions about key that were stored before a sequence of their
	// stream, the newest first; an empty account or conference is any, and a sequence of 0 is behind
	// all. down is the sequence down to which it read, 0 if no decision is left.
	Before(ctx context.Context, key events.Key, before uint64, most int) (list []events.Decided, down uint64, err error)
	// Outcome returns how a decision about no conference ended, and false if that is not recorded.
	Outcome(ctx context.Context, key events.Key, id string) (events.Outcome, bool, error)
}

// maxSifted is how many decisions one page searches for those that pass a filter.
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
	Position      string            `json:"position" doc:"The place of its entry in the journal"`
}

// Announces returns what an announcement plays: its text, or the address of a file or of TwiML. It is
// empty for other steps.
func (d *Decision) Announces() string {
	if d.Do != rules.StepAnnounce {
		return ""
	}
	return cmp.Or(d.Params["say"], d.Params["file"], d.Params["url"])
}

// DecisionFilter narrows a list of decisions; an empty Rule or Verdict is any.
type DecisionFilter struct {
	Rule    string
	Verdict rules.Verdict
	// Since leaves out decisions as of an earlier time; zero leaves out none.
	Since time.Time
	// Before is Next of the page before, 0 for the first.
	Before uint64
	Limit  int
}

// sifts reports whether a page may have to search more decisions than it shows.
func (f *DecisionFilter) sifts() bool { return f.Rule != "" || f.Verdict != "" || !f.Since.IsZero() }

func (f *DecisionFilter) passes(d *rules.Decision) bool {
	return (f.Rule == "" || d.Rule == f.Rule) && (f.Verdict == "" || d.Verdict == f.Verdict) && !d.AsOf.Before(f.Since)
}

// clockMargin is how far the clock of NATS, which dates the storing of a decision, may be behind
// Gavel's, which dates the decision.
const clockMargin = 10 * time.Minute

// before reports whether a decision, and with it all that were stored earlier, are from before Since.
func (f *DecisionFilter) before(d *events.Decided) bool {
	return !f.Since.IsZero() && d.StoredAt.Before(f.Since.Add(-clockMargin))
}

// DecisionPage is a page of decisions, the last stored first.
type DecisionPage struct {
	Decisions []Decision
	// Next is Before of the next page, 0 on the last page. A page with a filter may have fewer
	// decisions than Limit, also none, and still have a next one.
	Next uint64
}

// ListDecisions returns the decisions about the conferences that pass the filter, the last stored
// first. A key without a conference is all of its account; an empty key is all.
func (s *Source) ListDecisions(ctx context.Context, keys []events.Key, filter DecisionFilter) (page DecisionPage, err error) {
	found, next, err := s.decisions(ctx, keys, filter)
	if err != nil {
		return page, err
	}
	page = DecisionPage{make([]Decision, 0, len(found)), next}
	records := s.records()
	for _, d := range found {
		c, err := records(ctx, d.Decision)
		if err != nil {
			return page, err
		}
		v := newDecision(d.Decision, c)
		v.Position = d.position.String()
		if err := s.addOutcome(ctx, &v); err != nil {
			return page, err
		}
		page.Decisions = append(page.Decisions, v)
	}
	return page, nil
}

// addOutcome adds the outcome of a decision about no conference.
func (s *Source) addOutcome(ctx context.Context, v *Decision) error {
	if v.ConferenceSid != "" || v.Verdict != rules.Act {
		return nil
	}
	o, recorded, err := s.Decisions.Outcome(ctx, events.Key{AccountSid: v.AccountSid}, v.ID)
	if err != nil || !recorded {
		return err
	}
	v.Answer = newAnswer(&projections.ActionResult{Result: o.Result, Status: o.Status, Code: o.Code, Why: o.Why, At: projections.At(o.At)})
	v.Words = o.Words(v.Do.Action())
	return nil
}

// storedDecision is a decision, its place in the stream, and that of its entry in the journal.
type storedDecision struct {
	rules.Decision
	at       uint64
	position events.Position
}

// decisions returns a page of those that pass the filter, and the place where the next one begins,
// 0 if nothing follows. Each key's decisions are searched down to some place; what is before the
// highest of these places belongs to a later page, because another key may have more there.
func (s *Source) decisions(ctx context.Context, keys []events.Key, filter DecisionFilter) (found []storedDecision, next uint64, err error) {
	if s.Decisions == nil {
		return nil, 0, nil
	}
	for _, key := range keys {
		more, down, err := s.sift(ctx, key, filter)
		if err != nil {
			return nil, 0, err
		}
		found, next = append(found, more...), max(next, down)
	}
	found = slices.DeleteFunc(found, func(d storedDecision) bool { return d.at < next })
	slices.SortFunc(found, func(a, b storedDecision) int { return cmp.Compare(b.at, a.at) })
	if len(found) > filter.Limit {
		found = found[:filter.Limit]
		next = found[filter.Limit-1].at
	}
	return found, next, nil
}

// sift returns the decisions of one key that pass the filter, and down to which sequence it searched;
// 0 means all.
func (s *Source) sift(ctx context.Context, key events.Key, filter DecisionFilter) (found []storedDecision, down uint64, err error) {
	most := filter.Limit + 1 // one more shows that a page follows
	if filter.sifts() {
		most = maxSifted
	}
	listed, down, err := s.Decisions.Before(ctx, key, filter.Before, most)
	if err != nil {
		return nil, 0, fmt.Errorf("list decisions: %w", err)
	}
	for i := range listed {
		if filter.before(&listed[i]) {
			return found, 0, nil
		}
		d, err := rules.ReadDecision(listed[i].Data)
		if err != nil {
			return nil, 0, fmt.Errorf("decision %s: %w", listed[i].ID, err)
		}
		if filter.passes(&d) {
			found = append(found, storedDecision{d, listed[i].Sequence, listed[i].Position})
		}
	}
	return found, down, nil
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
	decided, _, err := s.Decisions.Before(ctx, events.Key{}, 0, wireDepth)
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
