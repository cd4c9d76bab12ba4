package events

import (
	"strings"
	"time"
)

// Kinds of events that only Event Streams reports. They have no SequenceNumber.
const (
	// A client called Twilio's API: Gavel, or a program beside it. The parameters of the call are
	// those with RequestPrefix, Twilio's answer is ResponseCode.
	APIConferenceModified  Kind = "api-request-conference-modified"
	APIParticipantCreated  Kind = "api-request-participant-created"
	APIParticipantModified Kind = "api-request-participant-modified"
	APIParticipantDeleted  Kind = "api-request-participant-deleted"
	// Twilio's summary of a conference or of one leg of it. The fields are those
	// with SummaryPrefix.
	InsightsConferenceSummary  Kind = "insights-conference-summary"
	InsightsParticipantSummary Kind = "insights-participant-summary"
)

// Prefixes of parameters of these kinds, so that none has the name of a callback's.
const (
	RequestPrefix = "Request."
	SummaryPrefix = "Summary."
)

// Names of other parameters of these kinds.
const (
	EventSidParam     = "EventSid"
	ResponseCodeParam = "ResponseCode"
	PartialParam      = "Partial"
)

// streamed are the kinds that only Event Streams reports.
var streamed = map[Kind]bool{
	APIConferenceModified: true, APIParticipantCreated: true, APIParticipantModified: true, APIParticipantDeleted: true,
	InsightsConferenceSummary: true, InsightsParticipantSummary: true,
}

// streamedShape has no optional parameters: the signature covers the body as a whole.
var streamedShape = newShape(alwaysThere|setOf(pStatusCallbackEvent), 0)

// Streamed reports whether only Event Streams reports the event: a numbered event
// of such a name is a callback of an unknown kind.
func (e *Event) Streamed() bool { return streamed[e.Kind] && e.SequenceNumber == NoSequence }

// NewStreamed returns the entry of an item of such a kind. sid is Twilio's id of the item, occurred its
// time or zero, callSid may be empty, and more are its parameters with their prefixes; those
// beyond MaxParams are left out.
func NewStreamed(kind Kind, key Key, callSid, sid string, occurred, received time.Time, more Params) Entry {
	params := Params{
		{parameters[pAccountSid].name, key.AccountSid}, {parameters[pConferenceSid].name, key.ConferenceSid},
		{parameters[pStatusCallbackEvent].name, string(kind)}, {EventSidParam, sid},
	}
	if callSid != "" {
		params = append(params, Param{parameters[pCallSid].name, callSid})
	}
	if !occurred.IsZero() {
		params = append(params, Param{parameters[pTimestamp].name, occurred.UTC().Format(TimestampLayout)})
	}
	params = append(params, more...)
	return Entry{Source: SourceEventStream, ReceivedAt: received, Form: params[:min(len(params), MaxParams)].Encode()}
}

// Prefixed returns the parameters whose names have the prefix, without it.
func (p Params) Prefixed(prefix string) (found Params) {
	for i := range p {
		if name, ok := strings.CutPrefix(p[i].Name, prefix); ok {
			found = append(found, Param{name, p[i].Value})
		}
	}
	return found
}
