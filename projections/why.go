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

// Why says in one sentence how the conference stands or why it ended, and who
// did it.
func Why(c *Conference) string {
	if c.End == nil {
		return whyOpen(c)
	}
	after, leg := lasted(c), endingLeg(c)
	if c.End.Healed {
		return "Ended" + c.byOurs() + "; Gavel missed the callback and learned it from Twilio."
	}
	switch c.End.Reason {
	case EndedViaAPI:
		return "Ended" + after + " via the API" + c.byWhom() + "."
	case EndedByExitLeft:
		return fmt.Sprintf("Ended because %s hung up%s, and that leg had endConferenceOnExit.", leg, after)
	case EndedByExitKicked:
		return fmt.Sprintf("Ended because %s was removed%s%s, and that leg had endConferenceOnExit.", leg, after, c.byWhom())
	case EndedByLastLeft:
		return fmt.Sprintf("Ended because the last participant, %s, hung up%s.", leg, after)
	case EndedByLastKicked:
		return fmt.Sprintf("Ended because the last participant, %s, was removed%s%s.", leg, after, c.byWhom())
	case "":
		return "Ended" + after + "; Twilio gave no reason."
	}
	return fmt.Sprintf("Ended%s: %s, by %s.", after, strings.ReplaceAll(c.End.Reason, "-", " "), leg)
}

func whyOpen(c *Conference) string {
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

// EndedBy names who ended the conference: whoever asked Gavel to, where that is
// how it ended, else the label of the leg, its CallSid where it has none, "an
// API call", or "nobody knows whom" where the callback was missed. Empty while it
// goes on.
func EndedBy(c *Conference) string {
	if c.End == nil {
		return ""
	}
	switch by := c.cause(); {
	case by.sure:
		return by.name()
	case by.action != nil:
		return "probably " + by.name()
	case c.End.Reason == EndedViaAPI:
		return "an API call"
	case c.End.Healed:
		return "nobody knows whom"
	}
	return endingLeg(c)
}

// endingLeg names the leg that ended the conference: its label, its CallSid
// where it has none.
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

// lasted is " after 3m12s", from the start, else from the creation; empty
// where neither is known to lie before the end.
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

// Twilio tells the reason of an end, but not who asked for it. What was asked
// of Gavel at that time does; the two stand on different clocks.
const (
	// clockDifference is how far, in seconds, Twilio's clock may be behind
	// ours: hosts that keep time by NTP are within one, and Twilio's stamps are
	// whole seconds.
	clockDifference Instant = 5
	// effectWithin is how long after the asking, in seconds, an action may take
	// effect: four times the 15 s for which Twilio itself waits for an answer
	// at most, for a request can wait in queues on its way.
	effectWithin Instant = 60
)

// cause is the action that ended a conference, if it is one of ours.
type cause struct {
	action *ActionRecord
	// sure: Twilio said that it did so. Else nobody knows.
	sure bool
}

// cause returns the earliest of the actions that Twilio carried out and that
// can have ended the conference, else the earliest whose outcome nobody knows.
func (c *Conference) cause() (found cause) {
	for _, a := range c.Actions {
		if !c.canHaveEnded(a) {
			continue
		}
		sure := a.Outcome != nil && a.Outcome.Result == events.Done
		earlier := found.action == nil || a.At < found.action.At
		if sure && !found.sure || sure == found.sure && earlier {
			found = cause{a, sure}
		}
	}
	return found
}

// canHaveEnded reports whether the action is what Twilio gives as the reason,
// asked for at that time, and was not refused. Of an end that was missed neither
// is known, but that it came before Twilio was asked.
func (c *Conference) canHaveEnded(a *ActionRecord) bool {
	refused := a.Outcome != nil && a.Outcome.Result != events.Done && a.Outcome.Result != events.Unknown
	if c.End.Healed {
		return !refused && a.Do == events.DoEnd && a.At <= c.End.At
	}
	if refused || c.End.At < a.At-clockDifference || c.End.At > a.At+effectWithin {
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

// byWhom is " by kate (SK...)", ", probably by kate (SK...)", or that it was none
// of ours, where the record knows them all.
func (c *Conference) byWhom() string {
	if ours := c.byOurs(); ours != "" || len(c.Actions) >= MaxActions {
		return ours
	}
	return ", not through Gavel"
}

// byOurs is byWhom, or empty where it was none of ours.
func (c *Conference) byOurs() string {
	switch by := c.cause(); {
	case by.sure:
		return " by " + by.action.Actor.String()
	case by.action != nil:
		return ", probably by " + by.action.Actor.String()
	}
	return ""
}

// name is what the actor is called, or the SID of a nameless one.
func (by cause) name() string {
	actor := by.action.Actor
	if actor.Rule != "" {
		return actor.String()
	}
	return cmp.Or(actor.Name, actor.Sid)
}
