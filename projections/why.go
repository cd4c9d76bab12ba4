package projections

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"gavel/events"
)

// The values of ReasonConferenceEnded (Twilio, TwiML Voice: <Conference>,
// statusCallback parameters).
const (
	EndedViaAPI       = "conference-ended-via-api"
	EndedByExitLeft   = "participant-with-end-conference-on-exit-left"
	EndedByExitKicked = "participant-with-end-conference-on-exit-kicked"
	EndedByLastLeft   = "last-participant-left"
	EndedByLastKicked = "last-participant-kicked"
)

// Why returns one sentence: the state of the conference, or why it ended and who ended it.
func Why(c *Conference) string {
	if c.End == nil {
		return whyOpen(c)
	}
	c = c.withReason()
	after, leg := lasted(c), endingLeg(c)
	if c.End.Healed {
		return "Ended" + c.byOwnActor() + "; Gavel missed the callback and learned it from Twilio."
	}
	switch c.End.Reason {
	case EndedViaAPI:
		return "Ended" + after + " via the API" + c.byActor() + "."
	case EndedByExitLeft:
		return fmt.Sprintf("Ended because %s hung up%s, and that leg had endConferenceOnExit.", leg, after)
	case EndedByExitKicked:
		return fmt.Sprintf("Ended because %s was removed%s%s, and that leg had endConferenceOnExit.", leg, after, c.byActor())
	case EndedByLastLeft:
		return fmt.Sprintf("Ended because the last participant, %s, hung up%s.", leg, after)
	case EndedByLastKicked:
		return fmt.Sprintf("Ended because the last participant, %s, was removed%s%s.", leg, after, c.byActor())
	case "":
		return "Ended" + after + "; Twilio gave no reason."
	}
	return fmt.Sprintf("Ended%s: %s, by %s.", after, strings.ReplaceAll(c.End.Reason, "-", " "), leg)
}

// whyOpen returns Why's sentence for a conference that has not ended.
func whyOpen(c *Conference) string {
	if c.EndInferred() {
		return "Must have ended: all participants have left; Gavel did not receive its end."
	}
	live := len(c.Live())
	legs := fmt.Sprintf("%d participants", live)
	if live == 1 {
		legs = "1 participant"
	}
	if c.Status() == StatusInit {
		return "Waiting to start, with " + legs + "."
	}
	return "In progress, with " + legs + "."
}

// EndedBy names who ended the conference: the actor of the action through Gavel that ended it, else
// the label of the leg, its CallSid if it has no label, "an API call", or "nobody knows whom" if
// the callback was missed. Empty while the conference goes on. These texts are part of /v1
// (ended_by): they change only with its version.
func EndedBy(c *Conference) string {
	if c.End == nil {
		return ""
	}
	c = c.withReason()
	switch by := c.cause(); {
	case by.confirmed:
		return by.name()
	case by.action != nil:
		return "probably " + by.name()
	case c.End.Reason == EndedViaAPI:
		return "an API call"
	case c.End.Healed && c.End.CallSid == "":
		return "nobody knows whom"
	}
	return endingLeg(c)
}

// endingLeg names the leg that ended the conference: its label, or its CallSid if it has none.
func endingLeg(c *Conference) string {
	switch {
	case c.End.Label != "":
		return c.End.Label
	case c.End.CallSid == "":
		return "a leg that Twilio did not name"
	}
	if p := c.Participant(c.End.CallSid); p != nil && p.Label.Value != "" {
		return p.Label.Value
	}
	return c.End.CallSid
}

// lasted is " after 3m12s", from the start or else from the creation; empty if
// neither is before the end.
func lasted(c *Conference) string {
	from := c.Created
	if c.Start != nil {
		from = c.Start.At
	}
	if from == 0 || c.End.At <= from {
		return ""
	}
	return " after " + (time.Duration(c.End.At-from) * time.Second).String()
}

// Twilio states the reason of an end, but not which client requested it.
// Gavel's own requests at that time do; the two times are on different clocks.
const (
	// clockDifference is how far, in seconds, Twilio's clock may be behind ours: hosts synchronized
	// by NTP are within one second, and Twilio's timestamps are whole seconds.
	clockDifference Instant = 5
	// effectWithin is how long after its request, in seconds, an action may
	// take effect: four times the 15 s that Twilio itself waits for an answer
	// at most, because a request can wait in queues on its way.
	effectWithin Instant = 60
)

// cause is the action that ended a conference, if it went through Gavel.
type cause struct {
	action *ActionRecord
	// confirmed: Twilio answered that it carried out the action. Otherwise the outcome is unknown.
	confirmed bool
}

// cause returns the earliest action that Twilio carried out and that can have
// ended the conference, else the earliest such action with an unknown outcome.
func (c *Conference) cause() (found cause) {
	for _, a := range c.Actions {
		if !c.canHaveEnded(a) {
			continue
		}
		confirmed := a.Outcome != nil && a.Outcome.Result == events.Done
		earlier := found.action == nil || a.At < found.action.At
		if confirmed && !found.confirmed || confirmed == found.confirmed && earlier {
			found = cause{a, confirmed}
		}
	}
	return found
}

// canHaveEnded reports whether the action matches Twilio's reason, was requested at that time, and
// was sent and not refused. If the end was missed, its reason and time are unknown, except that it came
// before the REST API answered.
func (c *Conference) canHaveEnded(a *ActionRecord) bool {
	if c.End.Healed {
		return a.sent() && a.Do == events.DoEnd && a.At <= c.End.At && (c.End.Reason == "" || c.End.Reason == EndedViaAPI)
	}
	if !a.sent() || c.End.At < a.At-clockDifference || c.End.At > a.At+effectWithin {
		return false
	}
	switch c.End.Reason {
	case EndedViaAPI:
		return a.Do == events.DoEnd
	case EndedByExitKicked, EndedByLastKicked:
		return a.Do == events.DoKick && (c.End.CallSid == "" || c.End.CallSid == a.CallSid) && !c.cameBack(a)
	}
	return false
}

// cameBack reports whether the leg joined again after the action.
func (c *Conference) cameBack(a *ActionRecord) bool {
	p := c.Participant(a.CallSid)
	if p == nil {
		return false
	}
	spans := c.Intervals(p)
	return len(spans) > 0 && spans[len(spans)-1].From > a.At+clockDifference
}

// byActor is " by kate (SK...)", ", probably by kate (SK...)", or ", not
// through Gavel" if the record has all of the actions and none fits.
func (c *Conference) byActor() string {
	if ours := c.byOwnActor(); ours != "" || len(c.Actions) >= MaxActions {
		return ours
	}
	if r := c.evidence(); r != nil {
		return ", not through Gavel but by " + r.Words()
	}
	return ", not through Gavel"
}

// byOwnActor is byActor, or empty if no action of ours fits.
func (c *Conference) byOwnActor() string {
	switch by := c.cause(); {
	case by.confirmed:
		return " by " + by.action.Actor.String()
	case by.action != nil:
		return ", probably by " + by.action.Actor.String()
	}
	return ""
}

// name is the actor's name, or its SID if it has none.
func (by cause) name() string {
	actor := by.action.Actor
	if actor.Rule != "" {
		return actor.String()
	}
	return cmp.Or(actor.Name, actor.Sid)
}
