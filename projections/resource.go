package projections

import (
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

// AppendConference appends c as Twilio's Conference resource, in JSON. The
// region is null, because no callback carries it.
//
// The JSON is written by hand for speed: every fact published as news carries
// one.
func AppendConference(b []byte, c *Conference) []byte {
	var end Ending
	if c.End != nil {
		end = *c.End
	}
	b = append(b, `{"account_sid":`...)
	b = events.AppendJSONString(b, c.AccountSid)
	b = append(b, `,"api_version":"`+APIVersion+`","call_sid_ending_conference":`...)
	b = appendTextOrNull(b, end.CallSid)
	b = append(b, `,"date_created":`...)
	b = appendDate(b, c.Created)
	b = append(b, `,"date_updated":`...)
	b = appendDate(b, c.Updated)
	b = append(b, `,"friendly_name":`...)
	b = appendTextOrNull(b, c.FriendlyName.Value)
	b = append(b, `,"reason_conference_ended":`...)
	b = appendTextOrNull(b, end.Reason)
	b = append(b, `,"region":null,"sid":`...)
	b = events.AppendJSONString(b, c.ConferenceSid)
	b = append(b, `,"status":`...)
	b = events.AppendJSONString(b, c.Status())
	b = append(b, `,"subresource_uris":{"participants":"`...)
	b = appendPath(b, c)
	b = append(b, `/Participants.json","recordings":"`...)
	b = appendPath(b, c)
	b = append(b, `/Recordings.json"},"uri":"`...)
	b = appendPath(b, c)
	return append(b, `.json"}`...)
}

// AppendParticipant appends p, a leg of c, as Twilio's Participant resource.
// Its status is "connected" while the leg is in the conference and "complete"
// after. No callback carries the coached leg or the time in a queue: both are
// null.
func AppendParticipant(b []byte, c *Conference, p *Participant) []byte {
	flags := p.Flags.Value
	b = append(b, `{"account_sid":`...)
	b = events.AppendJSONString(b, c.AccountSid)
	b = append(b, `,"call_sid":`...)
	b = events.AppendJSONString(b, p.CallSid)
	b = append(b, `,"call_sid_to_coach":null,"coaching":`...)
	b = strconv.AppendBool(b, flags.Coaching)
	b = append(b, `,"conference_sid":`...)
	b = events.AppendJSONString(b, c.ConferenceSid)
	b = append(b, `,"date_created":`...)
	b = appendDate(b, p.FirstSign())
	b = append(b, `,"date_updated":`...)
	b = appendDate(b, p.updated())
	b = append(b, `,"end_conference_on_exit":`...)
	b = strconv.AppendBool(b, flags.EndConferenceOnExit)
	b = append(b, `,"hold":`...)
	b = strconv.AppendBool(b, flags.Hold)
	b = append(b, `,"label":`...)
	b = appendTextOrNull(b, p.Label.Value)
	b = append(b, `,"muted":`...)
	b = strconv.AppendBool(b, flags.Muted)
	b = append(b, `,"queue_time":null,"start_conference_on_enter":`...)
	b = strconv.AppendBool(b, flags.StartConferenceOnEnter)
	b = append(b, `,"status":"`...)
	b = append(b, participantStatus(c, p)...)
	b = append(b, `","uri":"`...)
	b = appendPath(b, c)
	b = append(b, "/Participants/"...)
	b = append(b, p.CallSid...)
	return append(b, `.json"}`...)
}

// participantStatus has two of Twilio's values: legs that never connected send
// no callbacks of the conference.
func participantStatus(c *Conference, p *Participant) string {
	if c.End == nil && p.Live() {
		return "connected"
	}
	return "complete"
}

// AppendRecording appends r, a recording of c, as Twilio's conference Recording
// resource. It was created when it started and last updated when it ended; no
// callback carries price and encryption.
func AppendRecording(b []byte, c *Conference, r *Recording) []byte {
	sid := r.ResourceSid()
	b = append(b, `{"account_sid":`...)
	b = events.AppendJSONString(b, c.AccountSid)
	b = append(b, `,"api_version":"`+APIVersion+`","call_sid":`...)
	b = appendTextOrNull(b, r.CallSid)
	b = append(b, `,"channels":`...)
	b = appendNumberOrNull(b, r.Channels, r.Channels > 0)
	b = append(b, `,"conference_sid":`...)
	b = events.AppendJSONString(b, c.ConferenceSid)
	b = append(b, `,"date_created":`...)
	b = appendDate(b, r.StartedAt)
	b = append(b, `,"date_updated":`...)
	b = appendDate(b, r.updated())
	b = append(b, `,"duration":`...)
	b = appendTextOrNull(b, r.durationText())
	b = append(b, `,"encryption_details":null,"error_code":`...)
	code, err := strconv.ParseInt(r.ErrorCode, 10, 64)
	b = appendNumberOrNull(b, code, err == nil)
	b = append(b, `,"price":null,"price_unit":null,"sid":`...)
	b = appendTextOrNull(b, sid)
	b = append(b, `,"source":"Conference","start_time":`...)
	b = appendDate(b, r.StartedAt)
	b = append(b, `,"status":`...)
	b = appendTextOrNull(b, r.Status())
	b = append(b, `,"uri":"`...)
	b = appendPath(b, c)
	b = append(b, "/Recordings/"...)
	b = append(b, sid...)
	return append(b, `.json"}`...)
}

// ResourceSid is the SID of the recording as a REST resource. The deprecated
// conference-record-end carries no SID, but its URL ends in it
// (".../Recordings/RE..."); empty if it does not.
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

// appendPath appends the conference's path without its ".json". SIDs need no
// escaping.
func appendPath(b []byte, c *Conference) []byte {
	b = append(b, "/"+APIVersion+"/Accounts/"...)
	b = append(b, c.AccountSid...)
	b = append(b, "/Conferences/"...)
	return append(b, c.ConferenceSid...)
}

func appendDate(b []byte, i Instant) []byte {
	if i == 0 {
		return append(b, "null"...)
	}
	b = append(b, '"')
	b = i.Time().AppendFormat(b, resourceDate)
	return append(b, '"')
}

func appendNumberOrNull(b []byte, n int64, known bool) []byte {
	if !known {
		return append(b, "null"...)
	}
	return strconv.AppendInt(b, n, 10)
}

func appendTextOrNull(b []byte, s string) []byte {
	if s == "" {
		return append(b, "null"...)
	}
	return events.AppendJSONString(b, s)
}
