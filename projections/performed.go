package projections

import (
	"cmp"
	"slices"
	"strings"

	"gavel/events"
)

// Performed is something that was done to a conference through Twilio's API, or that may have been.
type Performed struct {
	// ID is that of the action, or the eventSid of the API request that Event Streams reported.
	ID string
	Do events.Do
	// CallSid and RecordingSid name the target, or are empty.
	CallSid, RecordingSid string
	By                    Doer
	// At is when Gavel sent the request, on Gavel's clock; of a request from outside, Twilio's time of it.
	At Instant
	// Result is events.Done, events.Unknown, or empty until the answer is known.
	Result events.Result
}

// Doer is who did something to a conference.
type Doer struct {
	Kind DoerKind
	// Name is that of the rule or the API key, or the label of the leg; Sid is that of the API key, the
	// account or the leg. Either may be empty, and both may hold what must not be logged.
	Name, Sid string
	// Confirmed: Twilio's answer, or its own report, shows it. Otherwise the answer is missing.
	Confirmed bool
}

// DoerKind is the kind of a Doer.
type DoerKind string

// All kinds of doers.
const (
	ByRule        DoerKind = "rule"        // one of Gavel's rules
	ByUser        DoerKind = "user"        // a client of Gavel's API
	ByAPI         DoerKind = "api"         // a client of Twilio's API, not through Gavel
	ByParticipant DoerKind = "participant" // a leg that hung up
	ByUnknown     DoerKind = "unknown"     // Twilio did not report it, or the record is full
)

// Ender returns who ended the conference, by the callbacks and summaries that were folded; the zero
// value while it goes on. EndedBy has the same in words, and reads also what was fetched.
func (c *Conference) Ender() Doer {
	if c.End == nil {
		return Doer{}
	}
	if by := c.cause(); by.action != nil {
		return by.action.doer(by.confirmed)
	}
	switch c.End.Reason {
	case EndedViaAPI, EndedByExitKicked, EndedByLastKicked:
		if len(c.Actions) < MaxActions {
			return Doer{Kind: ByAPI, Confirmed: true}
		}
	case EndedByExitLeft, EndedByLastLeft:
		return Doer{Kind: ByParticipant, Name: c.End.Label, Sid: c.End.CallSid, Confirmed: true}
	}
	return Doer{Kind: ByUnknown}
}

// doer is the rule or the client that requested the action.
func (a *ActionRecord) doer(confirmed bool) Doer {
	if a.Actor.Rule != "" {
		return Doer{Kind: ByRule, Name: a.Actor.Rule, Confirmed: confirmed}
	}
	return Doer{Kind: ByUser, Name: a.Actor.Name, Sid: a.Actor.Sid, Confirmed: confirmed}
}

// Performed returns what was done to the conference at Twilio, or may have been, by the time of the
// request: actions through Gavel, and API requests from outside if Event Streams reports them. It
// leaves out notifications, and what Twilio refused or Gavel did not send.
func (c *Conference) Performed() []Performed {
	all := make([]Performed, 0, len(c.Actions)+len(c.Requests))
	for _, a := range c.Actions {
		if a.sent() && a.Do != events.DoPublish && a.Do != events.DoWebhook {
			p := Performed{ID: a.ID, Do: a.Do, CallSid: a.CallSid, RecordingSid: a.RecordingSid, At: a.At}
			if a.Outcome != nil {
				p.Result = a.Outcome.Result
			}
			p.By = a.doer(p.Result == events.Done)
			all = append(all, p)
		}
	}
	own := all
	claimed := make([]bool, len(own))
	for _, r := range slices.SortedStableFunc(slices.Values(c.Requests), func(a, b *APIRequest) int { return cmp.Compare(a.At, b.At) }) {
		if r.refused() {
			continue
		}
		p := Performed{ID: r.ID, Do: r.do(), CallSid: r.CallSid, At: r.At, By: Doer{Kind: ByAPI, Confirmed: true}, Result: events.Done}
		if i := p.own(own, claimed); i >= 0 {
			claimed[i] = true
			continue
		}
		all = append(all, p)
	}
	slices.SortStableFunc(all, func(a, b Performed) int { return cmp.Or(cmp.Compare(a.At, b.At), strings.Compare(a.ID, b.ID)) })
	return all
}

// sent reports whether Twilio may have carried out the action. One that was done already when Gavel
// looked was never sent.
func (a *ActionRecord) sent() bool {
	o := a.Outcome
	return o == nil || o.Result == events.Unknown || o.Result == events.Done && (a.Intent || o.Why != alreadyDone)
}

// alreadyDone is the reason of an outcome that Twilio's state showed before anything was sent, if the
// action has no intent.
const alreadyDone = "already"

// refused reports whether Twilio refused the request.
func (r *APIRequest) refused() bool { return r.Status >= 300 }

// do is what the request did. Twilio's Conference resource can be updated in two ways: its Status, and
// what is announced (Twilio, Conference resource: update).
func (r *APIRequest) do() events.Do {
	switch r.Kind {
	case events.APIParticipantCreated:
		return events.DoAddParticipant
	case events.APIParticipantModified:
		return events.DoUpdateParticipant
	case events.APIParticipantDeleted:
		return events.DoKick
	}
	if r.ends() {
		return events.DoEnd
	}
	return events.DoAnnounce
}

func (r *APIRequest) ends() bool {
	return slices.Contains(strings.Split(r.Asked, "&"), "Status=completed")
}

// own returns the first action through Gavel that can be the request and that no other request is, or -1.
func (p *Performed) own(actions []Performed, claimed []bool) int {
	for i := range actions {
		if !claimed[i] && p.repeats(&actions[i]) {
			return i
		}
	}
	return -1
}

// repeats reports whether an action through Gavel can be the request that Event Streams reported as p.
func (p *Performed) repeats(own *Performed) bool {
	do := own.Do
	if do == events.DoAnnounce && own.CallSid != "" {
		do = events.DoUpdateParticipant // Twilio announces to a leg by an update of it
	}
	leg := own.CallSid == p.CallSid || do == events.DoAddParticipant && own.CallSid == ""
	return do == p.Do && leg && own.At-clockDifference <= p.At && p.At <= own.At+effectWithin
}

// WithoutAction returns the record without the action of that id.
func (c *Conference) WithoutAction(id string) *Conference {
	i, there := slices.BinarySearchFunc(c.Actions, id, func(a *ActionRecord, id string) int { return strings.Compare(a.ID, id) })
	if !there {
		return c
	}
	without := *c
	without.Actions = slices.Delete(slices.Clone(c.Actions), i, i+1)
	return &without
}
