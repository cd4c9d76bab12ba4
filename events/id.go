package events

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"
)

// Classes of identity. They are hashed first, so that an event of one class
// never has the id of another.
const (
	callbackClass  = "callback"
	recordingClass = "recording"
	recordEndClass = "record-end"
	streamedClass  = "streamed"
)

// identify makes the event's id of signed fields alone, in canonical letter
// case: Twilio's idempotency token is not signed, and free text has no fixed form.
// The same fact by callback and by Event Streams has the same id.
func (e *Event) identify(recordingStatus, recordingURL string) string {
	var room [256]byte
	id := identity(room[:0])
	switch {
	case e.Kind == ConferenceRecordEnd:
		id = id.with(recordEndClass).with(e.AccountSid).with(e.ConferenceSid).with(recordingURL)
	case e.Kind.Recording() && e.SequenceNumber == NoSequence:
		id = id.with(recordingClass).with(e.AccountSid).with(e.ConferenceSid).
			with(e.RecordingSid).with(recordingStatus)
	case e.Streamed():
		id = id.with(streamedClass).with(e.AccountSid).with(e.ConferenceSid).with(e.Params.Get(EventSidParam))
	default:
		id = id.with(callbackClass).with(e.AccountSid).with(e.ConferenceSid).
			with(strconv.FormatInt(e.SequenceNumber, 10)).with(string(e.Kind)).with(e.CallSid)
	}
	return id.sum()
}

// identity is the fields of an id, each behind its length so that no two lists
// of fields run together into the same bytes.
type identity []byte

func (id identity) with(field string) identity {
	id = binary.AppendUvarint(id, uint64(len(field)))
	return append(id, field...)
}

// sum is the first 128 bits of SHA-256, in hex.
func (id identity) sum() string {
	sum := sha256.Sum256(id)
	var text [32]byte
	hex.Encode(text[:], sum[:16])
	return string(text[:])
}
