package events

import "strings"

// form is the form that Twilio fixes for a parameter's value.
type form uint8

const (
	formText   form = iota // anything
	formSid                // two letters and 32 hex digits, or empty
	formDigits             // 1..10 digits, at most 2^31-1, or empty
	formBool               // exactly true or false
	formWord               // a value of an enumeration: [a-z0-9_-]{1,64}, or empty
	formName               // a CamelCase value: [A-Za-z0-9]{1,64}, or empty
	formEvent              // the name of an event
	formURL                // an address, or empty
)

// parameter is a parameter that Twilio documents (TwiML Voice: <Conference>, tables
// of statusCallback and recordingStatusCallback).
type parameter struct {
	name string
	form form
	// prefix starts a value: a SID's two letters, an address's scheme.
	prefix string
	// values are the known names of events, and the statuses that name kinds. New ones are legal.
	values []string
	// distinct marks a text whose name no other text would hold by chance.
	distinct bool
}

// Places in parameters, and bits in a set of them.
const (
	pAccountSid = iota
	pConferenceSid
	pFriendlyName
	pSequenceNumber
	pTimestamp
	pStatusCallbackEvent
	pCallSid
	pMuted
	pHold
	pCoaching
	pEndConferenceOnExit
	pStartConferenceOnEnter
	pParticipantLabel
	pCallSidEndingConference
	pParticipantLabelEndingConference
	pReasonConferenceEnded
	pReason
	pReasonAnnouncementFailed
	pAnnounceURL
	pParticipantCallStatus
	pReasonParticipantLeft
	pEventName
	pDuration
	pRecordingFileSize
	pRecordingSid
	pRecordingURL
	pRecordingStatus
	pRecordingDuration
	pRecordingChannels
	pRecordingStartTime
	pRecordingSource
	pErrorCode
	parameterCount
)

var parameters = [parameterCount]parameter{
	pAccountSid:          {name: "AccountSid", form: formSid, prefix: "AC"},
	pConferenceSid:       {name: "ConferenceSid", form: formSid, prefix: "CF"},
	pFriendlyName:        {name: "FriendlyName"},
	pSequenceNumber:      {name: "SequenceNumber", form: formDigits},
	pTimestamp:           {name: "Timestamp"},
	pStatusCallbackEvent: {name: "StatusCallbackEvent", form: formEvent, values: kindNames},

	pCallSid:                {name: "CallSid", form: formSid, prefix: "CA"},
	pMuted:                  {name: "Muted", form: formBool},
	pHold:                   {name: "Hold", form: formBool},
	pCoaching:               {name: "Coaching", form: formBool},
	pEndConferenceOnExit:    {name: "EndConferenceOnExit", form: formBool},
	pStartConferenceOnEnter: {name: "StartConferenceOnEnter", form: formBool},
	pParticipantLabel:       {name: "ParticipantLabel", distinct: true},

	pCallSidEndingConference:          {name: "CallSidEndingConference", form: formSid, prefix: "CA"},
	pParticipantLabelEndingConference: {name: "ParticipantLabelEndingConference", distinct: true},
	pReasonConferenceEnded:            {name: "ReasonConferenceEnded", form: formWord},
	pReason:                           {name: "Reason"},

	pReasonAnnouncementFailed: {name: "ReasonAnnouncementFailed", distinct: true},
	pAnnounceURL:              {name: "AnnounceUrl", form: formURL, prefix: "http"},

	pParticipantCallStatus: {name: "ParticipantCallStatus", form: formWord},
	pReasonParticipantLeft: {name: "ReasonParticipantLeft", form: formWord},

	pEventName:         {name: "EventName", form: formEvent, values: []string{string(ConferenceRecordEnd)}},
	pDuration:          {name: "Duration", form: formDigits},
	pRecordingFileSize: {name: "RecordingFileSize", form: formDigits},

	pRecordingSid:       {name: "RecordingSid", form: formSid, prefix: "RE"},
	pRecordingURL:       {name: "RecordingUrl", form: formURL, prefix: "http"},
	pRecordingStatus:    {name: "RecordingStatus", form: formWord, values: []string{"in-progress", "completed", "absent", "failed"}},
	pRecordingDuration:  {name: "RecordingDuration", form: formDigits},
	pRecordingChannels:  {name: "RecordingChannels", form: formDigits},
	pRecordingStartTime: {name: "RecordingStartTime", distinct: true},
	pRecordingSource:    {name: "RecordingSource", form: formName},
	pErrorCode:          {name: "ErrorCode", form: formDigits},
}

var kindNames = []string{
	string(ConferenceStart), string(ConferenceEnd),
	string(ParticipantJoin), string(ParticipantLeave),
	string(ParticipantMute), string(ParticipantUnmute),
	string(ParticipantHold), string(ParticipantUnhold),
	string(ParticipantModify),
	string(ParticipantSpeechStart), string(ParticipantSpeechStop),
	string(AnnouncementEnd), string(AnnouncementFail),
}

// parameterNamed finds a parameter's place. It runs for every parameter of every callback: at most
// three names are of one length, and comparing them costs less than a hash.
func parameterNamed(name string) (place int, known bool) {
	if len(name) >= len(byLength) {
		return 0, false
	}
	for _, place := range byLength[len(name)] {
		if parameters[place].name == name {
			return int(place), true
		}
	}
	return 0, false
}

// byLength are the places of the parameters by the length of their names.
var byLength = func() (table [33][]uint8) {
	for place := range parameters {
		length := len(parameters[place].name)
		table[length] = append(table[length], uint8(place))
	}
	return table
}()

// fault returns why v is out of the parameter's form, or "".
func (p *parameter) fault(v string) string {
	switch {
	case p.form == formBool:
		if v != "true" && v != "false" {
			return "is neither true nor false"
		}
	case v == "":
		return ""
	case p.form == formSid:
		if !IsSid(p.prefix, v) {
			return "is not a SID of its kind"
		}
	case p.form == formDigits:
		if _, ok := parseNumber(v); !ok && !p.unknownLength(v) {
			return "is not a number"
		}
	case p.form == formWord:
		if !isWord(v) {
			return "is not one word"
		}
	case p.form == formName:
		if !isCamelCase(v) {
			return "is not one word"
		}
	case p.form == formEvent:
		return p.eventFault(v)
	}
	return ""
}

// unknownLength allows Twilio's -1: the REST API gives it for the duration of
// a recording that is not finished.
func (p *parameter) unknownLength(v string) bool {
	return v == "-1" && (p.name == "RecordingDuration" || p.name == "Duration")
}

// eventFault accepts every name, because Twilio adds events without notice, except
// one of our own and a known one with a suffix that no event has.
func (p *parameter) eventFault(v string) string {
	if strings.HasPrefix(v, ownPrefix) {
		return "is a name reserved for Gavel"
	}
	if !isWord(v) && startsWithAny(v, p.values) {
		return "has text after the event's name"
	}
	return ""
}

// opens reports whether s begins with a value of the parameter's form. A text may be empty.
func (p *parameter) opens(s string) bool {
	switch p.form {
	case formSid:
		return len(s) >= sidLength && IsSid(p.prefix, s[:sidLength])
	case formDigits:
		return s != "" && '0' <= s[0] && s[0] <= '9'
	case formBool:
		return strings.HasPrefix(s, "true") || strings.HasPrefix(s, "false")
	case formURL:
		return strings.HasPrefix(s, p.prefix)
	case formWord:
		return s != "" && wordChars[s[0]]
	case formName:
		return s != "" && camelChars[s[0]]
	case formText:
		return true
	}
	return startsWithAny(s, p.values)
}

func startsWithAny(s string, heads []string) bool {
	for _, h := range heads {
		if strings.HasPrefix(s, h) {
			return true
		}
	}
	return false
}

// parseNumber reads 1..10 digits up to 2^31-1.
func parseNumber(s string) (n int64, ok bool) {
	if s == "" || len(s) > 10 {
		return 0, false
	}
	for i := range len(s) {
		c := s[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, n <= maxNumber
}

// maxNumber is the greatest SequenceNumber: 32 bits, signed, is the least that
// Twilio's REST documentation calls an integer.
const maxNumber = 1<<31 - 1

// maxWord bounds a value of an enumeration; Twilio's longest has 46 bytes.
const maxWord = 64

func isWord(s string) bool      { return s != "" && len(s) <= maxWord && wordChars.all(s) }
func isCamelCase(s string) bool { return len(s) <= maxWord && camelChars.all(s) }
