package projections

import (
	"cmp"
	"strconv"
	"strings"

	"gavel/events"
)

// APIVersion is the version of Twilio's REST API whose shapes the Append
// functions write, and the first element of its paths.
const APIVersion = "2010-04-01"

// resourceDate is the RFC 2822 form of Twilio's dates; the day has two digits
// (Twilio, REST API: Conference resource, date_created).
const resourceDate = "Mon, 02 Jan 2006 15:04:05 -0700"

// AppendConference appends c as Twilio's Conference resource, in JSON. The region is null until it was
// fetched from Twilio after the end, because no callback carries it.
//
// The JSON is written by hand for speed: every fact published as news carries one.
func AppendConference(b []byte, c *Conference) []byte {
	return appendConference(b, c, c.ShownStatus(), c.Ended())
}

// AppendStated is AppendConference for news. An end that is only inferred is no news, because a
// later callback can still show that the conference goes on.
func AppendStated(b []byte, c *Conference) []byte {
	status := c.StatedStatus()
	if status == StatusInit && len(c.Live()) > 0 {
		status = StatusInProgress
	}
	var ended *Ending
	if c.End != nil {
		ended = c.Ended()
	}
	return appendConference(b, c, status, ended)
}

func appendConference(b []byte, c *Conference, status string, ended *Ending) []byte {
	end := *cmp.Or(ended, new(Ending))
	return resource(b).
		text(`{"account_sid":`, c.AccountSid).
		textOrNull(`,"api_version":"`+APIVersion+`","call_sid_ending_conference":`, end.CallSid).
		date(`,"date_created":`, c.Created).
		date(`,"date_updated":`, c.Updated).
		textOrNull(`,"friendly_name":`, c.FriendlyName.Value).
		textOrNull(`,"reason_conference_ended":`, end.Reason).
		textOrNull(`,"region":`, c.Region()).
		text(`,"sid":`, c.ConferenceSid).
		text(`,"status":`, status).
		path(`,"subresource_uris":{"participants":"`, c, `/Participants.json`).
		path(`","recordings":"`, c, `/Recordings.json`).
		path(`"},"uri":"`, c, `.json"}`)
}

// AppendParticipant appends p, a leg of c, as Twilio's Participant resource. Its status is
// "connected" while the leg is in the conference and "complete" after. The time in a queue is null:
// no callback carries it.
func AppendParticipant(b []byte, c *Conference, p *Participant) []byte {
	return appendParticipant(b, c, p, participantStatus(c, p))
}

// AppendDialled appends a leg that is being dialled, with the status that Twilio answered.
func AppendDialled(b []byte, c *Conference, l *Dialled) []byte {
	return appendParticipant(b, c, l.Leg(), l.Status)
}

func appendParticipant(b []byte, c *Conference, p *Participant, status string) []byte {
	flags := p.Flags.Value
	return resource(b).
		text(`{"account_sid":`, c.AccountSid).
		text(`,"call_sid":`, p.CallSid).
		textOrNull(`,"call_sid_to_coach":`, p.Coached()).
		flag(`,"coaching":`, flags.Coaching).
		text(`,"conference_sid":`, c.ConferenceSid).
		date(`,"date_created":`, p.FirstSign()).
		date(`,"date_updated":`, p.updated()).
		flag(`,"end_conference_on_exit":`, flags.EndConferenceOnExit).
		flag(`,"hold":`, flags.Hold).
		textOrNull(`,"label":`, p.Label.Value).
		flag(`,"muted":`, flags.Muted).
		flag(`,"queue_time":null,"start_conference_on_enter":`, flags.StartConferenceOnEnter).
		text(`,"status":`, status).
		path(`,"uri":"`, c, "/Participants/", p.CallSid, `.json"}`)
}

// participantStatus has two of Twilio's values: legs that never connected send
// no callbacks of the conference.
func participantStatus(c *Conference, p *Participant) string {
	if c.End == nil && p.Live() && !c.EndInferred() {
		return "connected"
	}
	return "complete"
}

// AppendRecording appends r, a recording of c, as Twilio's conference Recording resource. It was
// created when it started and last updated when it ended; no callback carries price and encryption.
func AppendRecording(b []byte, c *Conference, r *Recording) []byte {
	sid := r.ResourceSid()
	code, err := strconv.ParseInt(r.ErrorCode, 10, 64)
	return resource(b).
		text(`{"account_sid":`, c.AccountSid).
		textOrNull(`,"api_version":"`+APIVersion+`","call_sid":`, r.CallSid).
		numberOrNull(`,"channels":`, r.Channels, r.Channels > 0).
		text(`,"conference_sid":`, c.ConferenceSid).
		date(`,"date_created":`, r.StartedAt).
		date(`,"date_updated":`, r.updated()).
		textOrNull(`,"duration":`, r.durationText()).
		numberOrNull(`,"encryption_details":null,"error_code":`, code, err == nil).
		textOrNull(`,"price":null,"price_unit":null,"sid":`, sid).
		text(`,"source":`, cmp.Or(r.Source, "Conference")).
		date(`,"start_time":`, r.StartedAt).
		textOrNull(`,"status":`, r.Status()).
		path(`,"uri":"`, c, "/Recordings/", sid, `.json"}`)
}

// ResourceSid is the SID of the recording as a REST resource. The deprecated conference-record-end
// carries no SID, but its URL ends in it (".../Recordings/RE..."); empty if it does not.
func (r *Recording) ResourceSid() string {
	if r.Sid != "" {
		return r.Sid
	}
	sid := r.URL[strings.LastIndexByte(r.URL, '/')+1:]
	if !events.IsSid("RE", sid) {
		return ""
	}
	return events.CanonicalSid(sid)
}

// updated is the recording's end, or its start while the duration is not known.
func (r *Recording) updated() Instant {
	if r.StartedAt == 0 {
		return 0
	}
	return r.StartedAt + Instant(max(0, r.Duration))
}

// durationText is in seconds, which Twilio's resource has as a string; empty
// until a callback states it.
func (r *Recording) durationText() string {
	if r.Duration < 0 {
		return ""
	}
	return strconv.FormatInt(r.Duration, 10)
}

// resource is a resource that is being written. The first argument of each
// method is the JSON in front of the value.
type resource []byte

func (b resource) text(before, s string) resource {
	return events.AppendJSONString(append(b, before...), s)
}

func (b resource) flag(before string, on bool) resource {
	return strconv.AppendBool(append(b, before...), on)
}

func (b resource) textOrNull(before, s string) resource {
	if s == "" {
		return append(append(b, before...), "null"...)
	}
	return b.text(before, s)
}

func (b resource) numberOrNull(before string, n int64, known bool) resource {
	if b = append(b, before...); !known {
		return append(b, "null"...)
	}
	return strconv.AppendInt(b, n, 10)
}

// date is in a form without characters that JSON escapes; null if unknown.
func (b resource) date(before string, i Instant) resource {
	if b = append(b, before...); i == 0 {
		return append(b, "null"...)
	}
	return append(i.Time().AppendFormat(append(b, '"'), resourceDate), '"')
}

// path is the conference's path without its ".json", and what follows it. SIDs need no escaping.
func (b resource) path(before string, c *Conference, after ...string) resource {
	b = append(append(b, before...), "/"+APIVersion+"/Accounts/"...)
	b = append(append(b, c.AccountSid...), "/Conferences/"...)
	b = append(b, c.ConferenceSid...)
	for _, text := range after {
		b = append(b, text...)
	}
	return b
}
