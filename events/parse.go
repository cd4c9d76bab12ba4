package events

import (
	"fmt"
	"math/bits"
)

// TimestampLayout is Twilio's date: RFC 2822 in whole seconds, whose day may
// be without its zero (TwiML Voice: <Conference>, sample of Timestamp).
const TimestampLayout = "Mon, 2 Jan 2006 15:04:05 -0700"

// Parse parses an entry strictly, in the form that Twilio fixes.
//
// The signed text is a concatenation of names and values, so the form is checked
// as strictly as the signature. Unknown events and unknown parameters are legal
// and kept. Errors are a *FormError, which never holds a value. A Timestamp that
// cannot be parsed is not an error: OccurredAt stays zero.
func Parse(e Entry) (Event, error) {
	params, err := ParseForm(e.Form, MaxParams)
	if err != nil {
		return Event{}, fmt.Errorf("parse form: %w", err)
	}
	return parse(e, params, searched|identified)
}

// ParseParams is Parse for the door, which has parsed e.Form already and needs
// neither ID nor OccurredAt: the event has none.
func ParseParams(e Entry, params Params) (Event, error) { return parse(e, params, searched) }

// ParseStored is Parse for an entry that comes back from the journal.
func ParseStored(e Entry) (Event, error) { return new(StoredParser).Parse(e) }

// effort selects the costly parts of parsing an entry.
type effort uint8

const (
	searched   effort = 1 << iota // texts are searched: see clearTexts
	identified                    // the event gets its ID and its time
)

func parse(e Entry, params Params, wanted effort) (Event, error) {
	event := Event{SequenceNumber: NoSequence, ReceivedAt: e.ReceivedAt, Source: e.Source, Query: e.Query, Region: e.Region, Params: params}
	var err error
	if e.Source == SourceGavel {
		err = event.readOwn()
	} else {
		err = event.readTwilio(wanted)
	}
	if err != nil {
		return Event{}, fmt.Errorf("parse event: %w", err)
	}
	return event, nil
}

// set is a set of parameters, one bit for each.
type set uint64

func setOf(places ...int) (s set) {
	for _, p := range places {
		s |= 1 << p
	}
	return s
}

// reading is the parameters of one callback by their place.
type reading struct {
	params Params
	there  set // even if empty
	filled set
	at     [parameterCount]uint8 // index in params, at most MaxParams
	places [MaxParams]uint8      // of each of params, or unknownPlace
}

// readTwilio fills the event from a callback of Twilio's. The parameters determine
// the kind of callback: recordings have no StatusCallbackEvent.
func (e *Event) readTwilio(wanted effort) error {
	r := reading{params: e.Params}
	if err := r.sort(); err != nil {
		return err
	}
	e.Kind = r.kind()
	s := r.shapeOf(e.Kind, e.Source)
	if err := r.require(s.required); err != nil {
		return err
	}
	if wanted&searched != 0 {
		if err := r.clearTexts(s); err != nil {
			return err
		}
	}
	e.AccountSid = CanonicalSid(r.value(pAccountSid))
	e.ConferenceSid = CanonicalSid(r.value(pConferenceSid))
	e.CallSid = CanonicalSid(r.value(pCallSid))
	e.RecordingSid = CanonicalSid(r.value(pRecordingSid))
	if n, ok := parseNumber(r.value(pSequenceNumber)); ok && !r.recording() {
		e.SequenceNumber = n
	}
	if wanted&identified != 0 {
		if t, err := ParseTimestamp(r.value(pTimestamp)); err == nil {
			e.OccurredAt = t.UTC()
		}
		e.ID = e.identify(r.value(pRecordingStatus), r.value(pRecordingURL))
	}
	return nil
}

// sort finds every parameter's place and checks its form.
func (r *reading) sort() error {
	if len(r.params) > MaxParams {
		return ErrTooManyParams
	}
	for i := range r.params {
		place, known := parameterNamed(r.params[i].Name)
		if !known {
			r.places[i] = unknownPlace
			if err := r.checkUnknown(i); err != nil {
				return err
			}
			continue
		}
		p := &parameters[place]
		if r.there&(1<<place) != 0 {
			return &FormError{Field: p.name, Reason: "occurs twice"}
		}
		if fault := p.fault(r.params[i].Value); fault != "" {
			return &FormError{Field: p.name, Reason: fault}
		}
		r.there |= 1 << place
		r.at[place], r.places[i] = uint8(i), uint8(place)
		if r.params[i].Value != "" {
			r.filled |= 1 << place
		}
	}
	return nil
}

// unknownPlace is the place of a parameter that Twilio does not document. No set has it.
const unknownPlace = 63

// unknownField stands for a parameter that Twilio does not document. Its name
// is kept out of errors: it is the sender's text, like a value.
const unknownField = "unknown parameter"

// maxName bounds an unknown parameter's name; Twilio's longest has 32 bytes.
const maxName = 128

// checkUnknown checks a parameter that Twilio does not document.
func (r *reading) checkUnknown(i int) error {
	name := r.params[i].Name
	if !IsParamName(name) {
		return &FormError{Field: unknownField, Reason: "has an invalid name"}
	}
	for j := range i {
		if r.params[j].Name == name {
			return &FormError{Field: unknownField, Reason: "occurs twice"}
		}
	}
	return nil
}

// IsParamName accepts the names of parameters of all of Twilio's products so far.
func IsParamName(s string) bool { return len(s) <= maxName && nameChars.all(s) }

// value returns a parameter's value, or "".
func (r *reading) value(place int) string {
	if r.there&(1<<place) == 0 {
		return ""
	}
	return r.params[r.at[place]].Value
}

// kind returns the event's kind.
func (r *reading) kind() Kind {
	if event := r.value(pStatusCallbackEvent); event != "" {
		return Kind(event)
	}
	if Kind(r.value(pEventName)) == ConferenceRecordEnd {
		return ConferenceRecordEnd
	}
	if r.recording() {
		return Kind(recordingPrefix + r.value(pRecordingStatus))
	}
	return ""
}

// recording reports whether this is a recordingStatusCallback.
func (r *reading) recording() bool {
	const marks = 1<<pRecordingSid | 1<<pRecordingStatus
	return r.filled&marks == marks && r.filled&(1<<pStatusCallbackEvent|1<<pEventName) == 0
}

// require returns an error that names the first missing parameter.
func (r *reading) require(wanted set) error {
	missing := wanted &^ r.filled
	if missing == 0 {
		return nil
	}
	first := bits.TrailingZeros64(uint64(missing))
	return &FormError{Field: parameters[first].name, Reason: "is missing"}
}
