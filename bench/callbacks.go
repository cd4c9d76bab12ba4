package main

import (
	"fmt"
	"net/url"
	"strconv"
	"time"

	"gavel/events"
	"gavel/internal/twilio/twiliofake"
)

// The bench has one account. The signed URL has its own host name, so the same
// signed requests fit servers on any port.
const (
	accountSid = "AC5b9f5d2c8e6a47b1930c4d7e8f6a1b2c"
	authToken  = "1f2e3d4c5b6a79880716253443526170"
	publicURL  = "https://gavel.example"
	doorPath   = "/twilio/conference"
)

const (
	// liveConferences are active in turn, so a batch of the projector, which is 640 entries when
	// groups hold ten, never holds two entries of one conference.
	liveConferences = 1000
	// conferenceEvents is how many events a conference has before a new one
	// replaces it; 1 M events are 20,000 conferences.
	conferenceEvents = 50
	legs             = 4
	// turnLasts is the time between two callbacks of one conference, by their
	// timestamps. A conference lasts about four minutes, which is long enough
	// for rules with deadlines to decide something.
	turnLasts = 5 * time.Second
	// deliveryTime is the delay between a callback's Timestamp and its receipt,
	// in a journal that the bench makes.
	deliveryTime = 300 * time.Millisecond
)

// script is the course of one conference: all legs join, each leg changes ten
// times, all legs leave.
var script = func() (s [conferenceEvents]step) {
	changes := [...]events.Kind{
		events.ParticipantMute, events.ParticipantUnmute,
		events.ParticipantHold, events.ParticipantUnhold, events.ParticipantModify,
	}
	opening := []step{
		{events.ParticipantJoin, 0},
		{events.ParticipantJoin, 1},
		{events.ConferenceStart, 0},
		{events.ParticipantJoin, 2},
		{events.ParticipantJoin, 3},
	}
	const closing = conferenceEvents - legs - 1
	n := copy(s[:], opening)
	for i := 0; n < closing; i, n = i+1, n+1 {
		s[n] = step{changes[i/legs%len(changes)], i % legs}
	}
	for leg := range legs {
		s[closing+leg] = step{events.ParticipantLeave, leg}
	}
	s[conferenceEvents-1] = step{events.ConferenceEnd, legs - 1}
	return s
}()

type step struct {
	kind events.Kind
	leg  int
}

// callback is one callback as Twilio would send it.
type callback struct {
	conferenceSid string
	params        events.Params
}

// callbackAt returns the nth callback of a load without an end, in which 1,000
// conferences are live at any time.
func callbackAt(n int, began time.Time) callback {
	slot, turn := n%liveConferences, n/liveConferences
	conference := slot + turn/conferenceEvents*liveConferences
	sequence := turn % conferenceEvents
	name := "Support queue 7 (billing, English), ticket " + strconv.Itoa(conference)
	return newCallback(conference, sequence, script[sequence], name, eventTime(n, began))
}

// newCallback returns the callback of a conference at one step, under a name.
func newCallback(conference, sequence int, s step, name string, at time.Time) callback {
	c := callback{conferenceSid: sid("CF", conference)}
	c.params = events.Params{
		{Name: "AccountSid", Value: accountSid},
		{Name: "ConferenceSid", Value: c.conferenceSid},
		{Name: "FriendlyName", Value: name},
		{Name: "SequenceNumber", Value: strconv.Itoa(sequence)},
		{Name: "Timestamp", Value: at.UTC().Format(time.RFC1123Z)},
		{Name: "StatusCallbackEvent", Value: string(s.kind)},
	}
	switch s.kind {
	case events.ConferenceStart:
	case events.ConferenceEnd:
		c.params = append(c.params, ending(conference, s.leg)...)
	default:
		c.params = append(c.params, participant(conference, s)...)
	}
	return c
}

// eventTime returns the event time that the nth callback states.
func eventTime(n int, began time.Time) time.Time {
	return began.Truncate(time.Second).Add(time.Duration(n/liveConferences) * turnLasts)
}

// participant returns the parameters that a participant's callback adds, including the three of a
// TaskRouter conference: sixteen parameters in about 620 bytes.
func participant(conference int, s step) events.Params {
	p := events.Params{
		{Name: "CallSid", Value: sid("CA", conference*legs+s.leg)},
		{Name: "ParticipantLabel", Value: label(s.leg)},
		{Name: "Muted", Value: strconv.FormatBool(s.kind == events.ParticipantMute)},
		{Name: "Hold", Value: strconv.FormatBool(s.kind == events.ParticipantHold)},
		{Name: "Coaching", Value: "false"},
		{Name: "EndConferenceOnExit", Value: strconv.FormatBool(s.leg == legs-1)},
		{Name: "StartConferenceOnEnter", Value: "true"},
		{Name: "CustomerCallSid", Value: sid("CA", conference*legs)},
		{Name: "TaskSid", Value: sid("WT", conference)},
		{Name: "EndConferenceOnCustomerExit", Value: "true"},
	}
	if s.kind != events.ParticipantLeave {
		return p
	}
	return append(p,
		events.Param{Name: "ReasonParticipantLeft", Value: "participant_hung_up"},
		events.Param{Name: "ParticipantCallStatus", Value: "completed"})
}

func label(leg int) string { return "agent|" + sid("WK", leg) + "|seat 4" }

func ending(conference, leg int) events.Params {
	call := sid("CA", conference*legs+leg)
	return events.Params{
		{Name: "CallSidEndingConference", Value: call},
		{Name: "ParticipantLabelEndingConference", Value: "agent|" + sid("WK", leg)},
		{Name: "ReasonConferenceEnded", Value: "participant-with-end-conference-on-exit-left"},
		{Name: "Reason", Value: "Participant " + call + " with endConferenceOnExit left the conference"},
	}
}

// sid returns the nth SID of a kind; its digits are spread as Twilio's are.
func sid(prefix string, n int) string {
	spread := (uint64(n) + 1) * 0x9e3779b97f4a7c15
	return fmt.Sprintf("%s%016x%016x", prefix, spread, spread*0xbf58476d1ce4e5b9)
}

// entry returns the callback as the door appends it to the journal.
func (c callback) entry(received time.Time) events.Entry {
	return events.Entry{Source: events.SourceCallback, ReceivedAt: received, Form: c.params.Encode()}
}

// request returns the signed callback as an HTTP request.
func (c callback) request(n int) []byte {
	values := make(url.Values, len(c.params))
	for _, p := range c.params {
		values.Add(p.Name, p.Value)
	}
	body := c.params.Encode()
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\n"+
		"Host: gavel.example\r\n"+
		"User-Agent: TwilioProxy/1.1\r\n"+
		"Accept: */*\r\n"+
		"Content-Type: application/x-www-form-urlencoded; charset=UTF-8\r\n"+
		"I-Twilio-Idempotency-Token: %08x-0000-4000-8000-000000000000\r\n"+
		"X-Twilio-Signature: %s\r\n"+
		"Content-Length: %d\r\n\r\n%s",
		doorPath, n, twiliofake.Signature(authToken, publicURL+doorPath, values), len(body), body)
}
