package projections

import (
	"time"

	"gavel/events"
)

// Bounds of a record, which keep its size below 5 MiB with every bound reached.
// Within the bounds, order and duplicates of events do not change the record; a
// conference beyond one of them has Truncated set.
const (
	// MaxParticipants bounds all legs that ever joined a conference. Twilio allows 250 at a time.
	MaxParticipants = 1000
	// MaxTurns bounds each list of turns of one participant; the newest are kept.
	MaxTurns = 64
	// MaxRecordings bounds the recordings of one conference.
	MaxRecordings = 250
	// MaxActions bounds the actions requested for one conference, and the API requests reported: two for each
	// of the 250 legs that Twilio allows at a time. The first are kept.
	MaxActions = 500
	// MaxUndated bounds the events without a readable Timestamp that are recognized
	// again; in a source that dates none, a conference has some dozens.
	MaxUndated = 1000
	// MaxRanges bounds the ranges of sequence numbers in Seen.
	MaxRanges = 4096
	// MaxText bounds a free text, in bytes; longer texts are cut.
	MaxText = 1024
)

// Instant is a time on Twilio's clock in Unix seconds, the resolution of
// Timestamp. Zero means that no event has stated it.
type Instant int64

// milliOf is the part of a time below a second, in milliseconds.
func milliOf(t time.Time) uint16 { return uint16(t.Nanosecond() / int(time.Millisecond)) }

// At converts Twilio's Timestamp; the zero time becomes the zero Instant.
func At(t time.Time) Instant {
	if t.IsZero() {
		return 0
	}
	return Instant(t.Unix())
}

// Time converts back, in UTC; the zero Instant becomes the zero time.
func (i Instant) Time() time.Time {
	if i == 0 {
		return time.Time{}
	}
	return time.Unix(int64(i), 0).UTC()
}

// Conference is one conference as stated by the events folded so far. It holds no bookkeeping, and
// of our own clock only the times when an action was requested and answered and when a healed fact
// was fetched. A Conference that another goroutine can hold is never changed in place: Fold copies
// what it changes.
type Conference struct {
	AccountSid    string `json:"account_sid"`
	ConferenceSid string `json:"conference_sid"`
	// FriendlyName is the room's name, which every callback carries.
	FriendlyName Stated[string] `json:"friendly_name"`
	// Created and Updated are the earliest and latest Timestamp of any event.
	// Healed facts do not widen them: their time is when the REST API answered,
	// on our clock, and nothing happened in the conference at that time.
	Created Instant `json:"created"`
	Updated Instant `json:"updated"`
	// Start is conference-start: mixing began. Nil until it is folded.
	Start *Moment `json:"start,omitempty"`
	// End is conference-end. Nil until folded. The callback wins over a healed one.
	End *Ending `json:"end,omitempty"`
	// Seen holds the sequence numbers folded, SpeechDropped those that the door dropped on purpose.
	Seen          Ranges `json:"seen,omitempty"`
	SpeechDropped Ranges `json:"speech_dropped,omitempty"`
	// Announcements that ended or failed.
	AnnouncementsEnded  Ranges `json:"announcements_ended,omitempty"`
	AnnouncementsFailed Ranges `json:"announcements_failed,omitempty"`
	// Truncated is set once a bound was exceeded.
	Truncated bool `json:"truncated,omitempty"`
	// KeyRegion is the region whose key signed the first event that a regional key signed, by
	// SequenceNumber; empty means the home region. Calls to Twilio about the conference go there.
	KeyRegion Stated[string] `json:"key_region,omitzero"`
	// Undated are the events without a readable Timestamp, in their order. They
	// were folded with the time of their receipt, on our clock.
	Undated []Undated `json:"undated,omitempty"`

	// Participants are the legs that joined or were dialled, sorted by CallSid: those that are present,
	// and of the others the MaxParticipants that left last. Removed are the hashes of those that were
	// removed for that, so that a late event does not bring them back.
	Participants []*Participant `json:"participants,omitempty"`
	// Recordings are sorted by RecordingSid; those of the deprecated
	// conference-record-end have no SID and are sorted by URL.
	Recordings []*Recording `json:"recordings,omitempty"`
	// Actions are the writes to Twilio that were requested through Gavel,
	// sorted by ID, which is the order of the requests. Settled are the hashes of those that were removed
	// because there are more than MaxActions: each had its outcome, and must not be performed again.
	Actions []*ActionRecord `json:"actions,omitempty"`
	// Requests are the calls of Twilio's API that Event Streams reported, sorted by
	// ID, and Summaries the hashed ids of the summaries folded so far, sorted.
	Requests  []*APIRequest `json:"requests,omitempty"`
	Summaries []string      `json:"summaries,omitempty"`
	// Dialled are the legs that Twilio calls and that no event has named yet, sorted by CallSid.
	Dialled []*Dialled `json:"dialled,omitempty"`
	// Summarized is the end as the summary of Event Streams states it: its reason, its leg and its time.
	Summarized *Fetched `json:"summarized,omitempty"`
	Removed    Hashes   `json:"removed,omitempty"`
	Settled    Hashes   `json:"settled,omitempty"`
	// Fetched is what the REST API returned after the end. Nil until it is folded.
	Fetched *Fetched `json:"fetched,omitempty"`
}

// Key returns the conference's key.
func (c *Conference) Key() events.Key {
	return events.Key{AccountSid: c.AccountSid, ConferenceSid: c.ConferenceSid}
}

// A healed fact (events.HealedFact) has no SequenceNumber. It is ordered right behind the greatest
// number the record had seen: after all events up to that number, before any event with a greater
// one. Its time is when the REST API answered, on our clock: the change itself happened earlier.

// Stated is a value with the SequenceNumber of the event that stated it: of
// two, the one with the greater number wins.
type Stated[T any] struct {
	Seq   int64 `json:"seq"`
	Value T     `json:"value"`
	// Milli is the part of Healed below a second, in milliseconds.
	Milli uint16 `json:"milli,omitempty"`
	// Healed is when the REST API stated the value, zero if a callback did.
	Healed Instant `json:"healed,omitempty"`
}

// Moment is when something happened, by Twilio's sequence and clock.
type Moment struct {
	Seq int64   `json:"seq"`
	At  Instant `json:"at"`
	// Healed means that no callback stated it; At is when the REST API did.
	Healed bool `json:"healed,omitempty"`
}

// Turn is a moment when a state was turned on or off.
type Turn struct {
	Seq    int64   `json:"seq"`
	At     Instant `json:"at"`
	On     bool    `json:"on,omitempty"`
	Healed bool    `json:"healed,omitempty"` // as in Moment
	Milli  uint16  `json:"milli,omitempty"`  // the part of At below a second, if Healed
}

// Undated is an event that was folded with the time of its receipt. It names the event, because a
// second copy is received at another time and would otherwise look like another fact.
type Undated struct {
	Seq     int64       `json:"seq"`
	Kind    events.Kind `json:"kind"`
	CallSid string      `json:"call_sid,omitempty"`
	At      Instant     `json:"at"` // when the first copy was received
}

// Ending is how a conference ended, as stated by conference-end. If that
// callback was missed, the ending may be healed and has only its Moment.
type Ending struct {
	Moment
	// Reason is ReasonConferenceEnded, one of Twilio's five values or whatever
	// Twilio sends instead.
	Reason string `json:"reason,omitempty"`
	// Text is Reason, free text.
	Text string `json:"text,omitempty"`
	// CallSid and Label name the leg that ended it, if Twilio names one.
	CallSid string `json:"call_sid,omitempty"`
	Label   string `json:"label,omitempty"`
}

// Participant is one leg, kept for as long as the record.
type Participant struct {
	CallSid string  `json:"call_sid"`
	Created Instant `json:"created"` // earliest Timestamp that names it; 0 where only healed facts do
	Updated Instant `json:"updated"` // latest Timestamp that names it, likewise

	// Flags are the flags of the latest event that carries them.
	Flags Stated[Flags] `json:"flags"`
	// Label is stated only by events of a leg that has one.
	Label Stated[string] `json:"label"`

	// Present holds joins (On) and leaves. An event that names the participant
	// without a join before it is a sign of presence (Last).
	Present []Turn `json:"present,omitempty"`
	// Waiting holds the joins, among those in Present, that do not start the conference: a leg that comes
	// back may have another startConferenceOnEnter than before.
	Waiting []Turn `json:"waiting,omitempty"`
	// Held and Muted hold the turns of hold and mute.
	Held  []Turn `json:"held,omitempty"`
	Muted []Turn `json:"muted,omitempty"`
	// Last is the latest event that names the participant, On unless it is a
	// leave: it states whether the leg is in the conference now.
	Last Turn `json:"last"`
	// Left is the latest leave that a callback stated; a healed leave is only
	// in Present (see Leaving).
	Left *Leaving `json:"left,omitempty"`
	// Summary is what Twilio's summaries of the leg state; nil until one is folded.
	Summary *LegSummary `json:"summary,omitempty"`
	// Coach is the leg that it coached when Twilio's REST API last answered about it, and Modified the
	// time of its latest participant-modify, which may have changed that. See Coached.
	Coach    Stated[string] `json:"coach,omitzero"`
	Modified Instant        `json:"modified,omitempty"`
	// Answer is what Twilio's REST API last stated about the leg while the record did not have its
	// join; nil if it stated nothing then. Flags has it at its place (placed).
	Answer *Answer `json:"answer,omitempty"`
}

// Answer is the state of a leg in an answer of Twilio's REST API whose place among the callbacks is
// not known from a SequenceNumber.
type Answer struct {
	Flags Flags `json:"flags"`
	// Behind is the greatest SequenceNumber that the record had when Twilio was called, or
	// events.NoSequence.
	Behind int64 `json:"behind"`
	// At is when Twilio answered, on our clock, and Milli its part below a second, in milliseconds.
	At    Instant `json:"at"`
	Milli uint16  `json:"milli,omitempty"`
	// Others are the leg's flags as everything else states them.
	Others Stated[Flags] `json:"others"`
}

// Flags is the state of a participant that every participant event carries.
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

// Recording is one recording of the mixed audio.
type Recording struct {
	// Sid is empty for the deprecated conference-record-end, which has only a URL.
	Sid string `json:"sid,omitempty"`
	URL string `json:"url,omitempty"`
	// CallSid is kept if Twilio sends one (not confirmed for conferences).
	CallSid string `json:"call_sid,omitempty"`
	// Statuses are all statuses that callbacks stated, sorted by name; Status returns the furthest.
	Statuses  []string `json:"statuses,omitempty"`
	StartedAt Instant  `json:"started_at,omitempty"` // RecordingStartTime
	// Duration is in seconds, or -1 until a callback states it.
	Duration int64  `json:"duration"`
	Channels int64  `json:"channels,omitempty"`
	Source   string `json:"source,omitempty"`
	FileSize int64  `json:"file_size,omitempty"` // bytes; conference-record-end only
	// ErrorCode is Twilio's, empty if none or "0".
	ErrorCode string `json:"error_code,omitempty"`
}
