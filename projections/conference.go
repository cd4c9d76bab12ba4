package projections

import "time"

// Bounds of a record, so that its size has one: a conference at every bound is
// below 5 MiB. Within them order and duplication never show; a conference
// beyond one of them says so in Truncated.
const (
	// MaxParticipants bounds the legs that were ever in a conference. Twilio
	// allows 250 at a time.
	MaxParticipants = 1000
	// MaxTurns bounds each list of moments of one participant; the newest stay.
	MaxTurns = 64
	// MaxRecordings bounds the recordings of one conference.
	MaxRecordings = 250
	// MaxActions bounds the writes that were asked of Gavel for one conference:
	// two for each of the 250 legs that Twilio allows at a time. The first stay.
	MaxActions = 500
	// MaxRanges bounds the ranges of sequence numbers seen.
	MaxRanges = 4096
	// MaxText bounds a free text, in bytes; longer ones are cut.
	MaxText = 1024
)

// Instant is a moment on Twilio's clock in Unix seconds, which is all the
// resolution that Timestamp has. Zero means never told.
type Instant int64

// At converts Twilio's Timestamp; the zero time gives the zero Instant.
func At(t time.Time) Instant {
	if t.IsZero() {
		return 0
	}
	return Instant(t.Unix())
}

// Time converts back, in UTC; zero gives the zero time.
func (i Instant) Time() time.Time {
	if i == 0 {
		return time.Time{}
	}
	return time.Unix(int64(i), 0).UTC()
}

// Conference is what the events told so far say about one conference. It
// holds no bookkeeping and nothing of our own clock but when somebody asked for
// an action and Twilio answered, and when healed facts were learned. It is never
// changed in place once somebody else has it: Fold copies what it touches.
type Conference struct {
	AccountSid    string `json:"account_sid"`
	ConferenceSid string `json:"conference_sid"`
	// FriendlyName is the room's name, told by every callback.
	FriendlyName Stated[string] `json:"friendly_name"`
	// Created and Updated are the earliest and latest Timestamp of any event.
	// Healed facts do not widen them: when Twilio was asked is on another clock,
	// and says of no moment that something happened at it.
	Created Instant `json:"created"`
	Updated Instant `json:"updated"`
	// Start is conference-start: mixing began. Nil until told.
	Start *Moment `json:"start,omitempty"`
	// End is conference-end. Nil until told. The callback wins over a healed one.
	End *Ending `json:"end,omitempty"`
	// Seen are the sequence numbers folded; SpeechDropped those that the door
	// left out on purpose.
	Seen          Ranges `json:"seen,omitempty"`
	SpeechDropped Ranges `json:"speech_dropped,omitempty"`
	// Announcements that ended or failed.
	AnnouncementsEnded  Ranges `json:"announcements_ended,omitempty"`
	AnnouncementsFailed Ranges `json:"announcements_failed,omitempty"`
	// Truncated is set once a bound was passed.
	Truncated bool `json:"truncated,omitempty"`

	// Participants are all legs that were ever in it, by CallSid.
	Participants []*Participant `json:"participants,omitempty"`
	// Recordings are by RecordingSid; those of the deprecated
	// conference-record-end have none and are by URL.
	Recordings []*Recording `json:"recordings,omitempty"`
	// Actions are the writes to Twilio that were asked of Gavel, by ID, which
	// is the order of asking.
	Actions []*ActionRecord `json:"actions,omitempty"`
}

// What a healed fact tells (events.HealedFact) has no SequenceNumber. It stands
// right behind the greatest that the record had seen: before whatever has a
// greater number, and behind all up to it. Its time is when Twilio was asked, on
// our clock: the thing itself happened before.

// Stated is a value with the SequenceNumber of the event that told it: of two,
// the later told wins.
type Stated[T any] struct {
	Seq   int64 `json:"seq"`
	Value T     `json:"value"`
	// Healed is when Twilio was asked, where no callback told it.
	Healed Instant `json:"healed,omitempty"`
}

// Moment is when something happened, by Twilio's count and clock.
type Moment struct {
	Seq int64   `json:"seq"`
	At  Instant `json:"at"`
	// Healed: no callback told it, and At is when Twilio was asked.
	Healed bool `json:"healed,omitempty"`
}

// Turn is a moment at which something went on or off.
type Turn struct {
	Seq    int64   `json:"seq"`
	At     Instant `json:"at"`
	On     bool    `json:"on,omitempty"`
	Healed bool    `json:"healed,omitempty"` // as in Moment
}

// Ending is how a conference ended, as conference-end told. Where that never
// came it may be healed, and has nothing but its Moment.
type Ending struct {
	Moment
	// Reason is ReasonConferenceEnded, one of Twilio's five values, or
	// whatever Twilio says in their place.
	Reason string `json:"reason,omitempty"`
	// Text is Reason, free text.
	Text string `json:"text,omitempty"`
	// CallSid and Label are the leg that ended it, where Twilio names one.
	CallSid string `json:"call_sid,omitempty"`
	Label   string `json:"label,omitempty"`
}

// Participant is one leg, for as long as the conference is remembered.
type Participant struct {
	CallSid string  `json:"call_sid"`
	Created Instant `json:"created"` // earliest Timestamp that names it; 0 where only healed facts do
	Updated Instant `json:"updated"` // latest Timestamp that names it, likewise

	// Flags are the flags of the latest event that carried them.
	Flags Stated[Flags] `json:"flags"`
	// Label is told only where one was set.
	Label Stated[string] `json:"label"`

	// Present are joins (On) and leaves; an event that names the participant
	// without a join before it counts as a sign of presence (Last).
	Present []Turn `json:"present,omitempty"`
	// Held and Muted are the turns of hold and mute.
	Held  []Turn `json:"held,omitempty"`
	Muted []Turn `json:"muted,omitempty"`
	// Last is the latest event that names the participant, On unless it was a
	// leave: whether the leg is there now.
	Last Turn `json:"last"`
	// Left tells the latest leave that a callback told; a healed one is in
	// Present alone (see Leaving).
	Left *Leaving `json:"left,omitempty"`
}

// Flags are the state of a participant as every participant event carries it.
type Flags struct {
	Muted                  bool `json:"muted,omitempty"`
	Hold                   bool `json:"hold,omitempty"`
	Coaching               bool `json:"coaching,omitempty"`
	EndConferenceOnExit    bool `json:"end_conference_on_exit,omitempty"`
	StartConferenceOnEnter bool `json:"start_conference_on_enter,omitempty"`
}

// Leaving is why and how a participant left.
type Leaving struct {
	Moment
	// Reason is ReasonParticipantLeft (underscore spelling).
	Reason string `json:"reason,omitempty"`
	// CallStatus is ParticipantCallStatus at that moment.
	CallStatus string `json:"call_status,omitempty"`
}

// Recording is one recording of the mix.
type Recording struct {
	// Sid is empty for the deprecated conference-record-end, which has only a
	// URL.
	Sid string `json:"sid,omitempty"`
	URL string `json:"url,omitempty"`
	// CallSid is kept where Twilio names one (not confirmed for conferences).
	CallSid string `json:"call_sid,omitempty"`
	// Statuses are all that were told, sorted; the furthest is the status.
	Statuses  []string `json:"statuses,omitempty"`
	StartedAt Instant  `json:"started_at,omitempty"` // RecordingStartTime
	// Duration is in seconds, or -1 until told.
	Duration int64  `json:"duration"`
	Channels int64  `json:"channels,omitempty"`
	Source   string `json:"source,omitempty"`
	FileSize int64  `json:"file_size,omitempty"` // bytes; conference-record-end only
	// ErrorCode is Twilio's, where not "0".
	ErrorCode string `json:"error_code,omitempty"`
}
