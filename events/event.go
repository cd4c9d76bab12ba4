package events

import "time"

// Kind is what happened, in Twilio's wire spelling of StatusCallbackEvent. Kinds outside this list
// are legal: Twilio adds events without notice, and they are stored and published like all others.
type Kind string

// The thirteen values of StatusCallbackEvent (Twilio, TwiML Voice:
// <Conference>, statusCallbackEvent).
const (
	ConferenceStart        Kind = "conference-start"
	ConferenceEnd          Kind = "conference-end"
	ParticipantJoin        Kind = "participant-join"
	ParticipantLeave       Kind = "participant-leave"
	ParticipantMute        Kind = "participant-mute"
	ParticipantUnmute      Kind = "participant-unmute"
	ParticipantHold        Kind = "participant-hold"
	ParticipantUnhold      Kind = "participant-unhold"
	ParticipantModify      Kind = "participant-modify"
	ParticipantSpeechStart Kind = "participant-speech-start"
	ParticipantSpeechStop  Kind = "participant-speech-stop"
	AnnouncementEnd        Kind = "announcement-end"
	AnnouncementFail       Kind = "announcement-fail"
)

const (
	// ConferenceRecordEnd is deprecated by Twilio; it arrives in EventName
	// instead of StatusCallbackEvent.
	ConferenceRecordEnd Kind = "conference-record-end"

	// recordingPrefix joins RecordingStatus to the kind of a recording's
	// callback: recording-in-progress, recording-completed, recording-absent.
	recordingPrefix = "recording-"

	// SpeechDropped is Gavel's own: the door dropped speech events on purpose,
	// so their sequence numbers are not gaps. It is never published as news.
	SpeechDropped Kind = "gavel-speech-dropped"
)

// Source is the way an entry reached the journal.
type Source uint8

// The ways into the journal. Their values are stored; never renumber them.
const (
	SourceCallback    Source = 1 // statusCallback of a conference
	SourceRecording   Source = 2 // recordingStatusCallback
	SourceEventStream Source = 3 // an item of an Event Streams batch
	SourceGavel       Source = 4 // an entry of our own
)

// NoSequence is the SequenceNumber of events that carry none: recordings, the
// deprecated conference-record-end, and Gavel's own entries.
const NoSequence int64 = -1

// Event is one thing that happened in one conference.
type Event struct {
	// ID is made of signed fields, so a replay, or the same fact from another
	// source, has the same one (see id.go).
	ID string
	// Kind is what happened.
	Kind Kind
	// AccountSid, ConferenceSid, CallSid and RecordingSid are in canonical letter case. CallSid and
	// RecordingSid are empty if the event is not about a participant or a recording.
	AccountSid    string
	ConferenceSid string
	CallSid       string
	RecordingSid  string
	// SequenceNumber counts within the conference, or is NoSequence. Twilio does
	// not document where it starts, nor whether it is contiguous.
	SequenceNumber int64
	// OccurredAt is Twilio's Timestamp (resolution one second), or zero if
	// it is missing or unreadable.
	OccurredAt time.Time
	// ReceivedAt is our clock when the request arrived.
	ReceivedAt time.Time
	// Source is the way the event came.
	Source Source
	// Query is the callback URL's own query string ("queue=sales"), without
	// the question mark. It is not part of the event's identity.
	Query string
	// Region is the region of the account whose key signed; empty for the home region. It is
	// not part of the event's identity either.
	Region string
	// Params are all parameters, as received.
	Params Params
}

// Key names a conference. The account is part of it, because a tenant can
// validly sign an event that names another tenant's conference.
type Key struct {
	AccountSid    string
	ConferenceSid string
}

// Key returns the conference that the event belongs to.
func (e *Event) Key() Key { return Key{e.AccountSid, e.ConferenceSid} }

// Signed returns the time of the event that Twilio signed, zero if it has none of Twilio's.
func (e *Event) Signed() time.Time {
	if e.Source == SourceGavel {
		return time.Time{}
	}
	return e.OccurredAt
}

// Token returns the kind as one word of a NATS subject and of a CloudEvents
// type: itself when it matches [a-z0-9-]{1,64}, else "unknown".
func (k Kind) Token() string {
	if len(k) == 0 || len(k) > maxWord || !ruleChars.all(string(k)) {
		return "unknown"
	}
	return string(k)
}

// Speech reports whether k is one of the two voice-activity kinds, which come
// many times a minute for every participant.
func (k Kind) Speech() bool {
	return k == ParticipantSpeechStart || k == ParticipantSpeechStop
}

// Recording reports whether k is a recording's status.
func (k Kind) Recording() bool {
	return len(k) > len(recordingPrefix) && k[:len(recordingPrefix)] == recordingPrefix
}
