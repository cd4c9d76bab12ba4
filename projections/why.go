package projections

import (
	"fmt"
	"strings"
	"time"
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
	who, after := EndedBy(c), lasted(c)
	switch c.End.Reason {
	case EndedViaAPI:
		return "Ended by an API call" + after + "."
	case EndedByExitLeft:
		return fmt.Sprintf("Ended because %s hung up%s, and that leg had endConferenceOnExit.", who, after)
	case EndedByExitKicked:
		return fmt.Sprintf("Ended because %s was removed%s, and that leg had endConferenceOnExit.", who, after)
	case EndedByLastLeft:
		return fmt.Sprintf("Ended because the last participant, %s, hung up%s.", who, after)
	case EndedByLastKicked:
		return fmt.Sprintf("Ended because the last participant, %s, was removed%s.", who, after)
	case "":
		return "Ended" + after + "; Twilio gave no reason."
	}
	return fmt.Sprintf("Ended%s: %s, by %s.", after, strings.ReplaceAll(c.End.Reason, "-", " "), who)
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

// EndedBy names who ended the conference: the label of the leg, its CallSid
// where it has none, or "an API call". Empty while it goes on.
func EndedBy(c *Conference) string {
	switch {
	case c.End == nil:
		return ""
	case c.End.Reason == EndedViaAPI:
		return "an API call"
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
