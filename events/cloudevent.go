package events

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// CloudEventType returns the CloudEvents type of a kind: gavel.<event>.v1.
func CloudEventType(k Kind) string { return "gavel." + k.Token() + ".v1" }

// AppendCloudEvent appends e as a CloudEvents 1.0 event in JSON, which subscribers of GAVEL_EVENTS
// read. Its data are Twilio's parameters as given, and what the fold adds: late (a fact with a
// greater SequenceNumber was published before) and conference (Twilio's Conference resource after
// this fact, as JSON). A parameter with one of those two names is left out. The attribute undated
// marks an event whose Timestamp cannot be read: its time is that of its receipt.
//
// It is written by hand because it runs once for every fact, and reflection
// costs more than all other work of publishing it.
func AppendCloudEvent(b []byte, e *Event, late bool, conference []byte) []byte {
	b = append(b, `{"specversion":"1.0","id":`...)
	b = AppendJSONString(b, e.ID)
	b = append(b, `,"type":"`...)
	b = append(b, CloudEventType(e.Kind)...)
	b = append(b, `","source":"/accounts/`...)
	b = append(b, e.AccountSid...)
	b = append(b, `/conferences/`...)
	b = append(b, e.ConferenceSid...)
	b = append(b, '"')
	if subject := e.subject(); subject != "" {
		b = append(b, `,"subject":`...)
		b = AppendJSONString(b, subject)
	}
	b = append(b, `,"time":"`...)
	b = e.when().AppendFormat(b, time.RFC3339)
	b = append(b, `","receivedat":"`...)
	b = e.ReceivedAt.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","datacontenttype":"application/json"`...)
	if e.OccurredAt.IsZero() && e.SequenceNumber != NoSequence {
		b = append(b, `,"undated":true`...)
	}
	if e.Query != "" {
		b = append(b, `,"callbackquery":`...)
		b = AppendJSONString(b, e.Query)
	}
	b = append(b, `,"data":{`...)
	b = e.Params.appendJSON(b)
	b = append(b, `"late":`...)
	b = strconv.AppendBool(b, late)
	b = append(b, `,"conference":`...)
	b = append(b, conference...)
	return append(b, "}}"...)
}

// CloudEvent is the content of an event of GAVEL_EVENTS.
type CloudEvent struct {
	// Kind is the last part of the type: "unknown" if the kind is not one word.
	Kind Kind
	// Time is Twilio's, ReceivedAt is on our clock; zero if absent.
	Time, ReceivedAt time.Time
	// Params are the parameters as Twilio gave them, in no order.
	Params Params
	// Late and the conference's FriendlyName are added by the fold.
	Late         bool
	FriendlyName string
}

// ParseCloudEvent parses the output of AppendCloudEvent. It checks no parameter:
// another version may have written them.
func ParseCloudEvent(text []byte) (CloudEvent, error) {
	var raw struct {
		Type             string
		Time, ReceivedAt time.Time
		Data             map[string]any
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return CloudEvent{}, fmt.Errorf("read event: %w", err)
	}
	e := CloudEvent{Time: raw.Time, ReceivedAt: raw.ReceivedAt}
	e.Kind = Kind(strings.TrimSuffix(strings.TrimPrefix(raw.Type, "gavel."), ".v1"))
	for name, value := range raw.Data {
		switch v := value.(type) {
		case string:
			e.Params = append(e.Params, Param{Name: name, Value: v})
		case bool:
			e.Late = v
		case map[string]any:
			e.FriendlyName, _ = v["friendly_name"].(string)
		}
	}
	return e, nil
}

// subject is the call or the recording that the event is about.
func (e *Event) subject() string {
	return cmp.Or(e.CallSid, e.RecordingSid)
}

// when returns Twilio's time of the event, or Gavel's time of receipt if Twilio sent none.
func (e *Event) when() time.Time {
	if e.OccurredAt.IsZero() {
		return e.ReceivedAt.UTC()
	}
	return e.OccurredAt.UTC()
}

// appendJSON writes the members of an object, each followed by a comma.
func (p Params) appendJSON(b []byte) []byte {
	for i := range p {
		if p[i].Name == "late" || p[i].Name == "conference" {
			continue
		}
		b = AppendJSONString(b, p[i].Name)
		b = append(b, ':')
		b = AppendJSONString(b, p[i].Value)
		b = append(b, ',')
	}
	return b
}

const hexDigits = "0123456789abcdef"

// AppendJSONString appends s as a JSON string. Invalid UTF-8 becomes U+FFFD, as encoding/json does.
func AppendJSONString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if plain[c] {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
		}
		b = append(b, s[start:i]...)
		b = appendEscaped(b, c)
		i++
		start = i
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

// plain are the bytes that need no escape in a JSON string.
var plain = func() (table [256]bool) {
	for c := byte(' '); c < utf8.RuneSelf; c++ {
		table[c] = c != '"' && c != '\\'
	}
	return table
}()

// appendEscaped writes one byte that a JSON string must escape.
func appendEscaped(b []byte, c byte) []byte {
	switch {
	case c == '"' || c == '\\':
		return append(b, '\\', c)
	case c == '\n':
		return append(b, '\\', 'n')
	case c >= utf8.RuneSelf:
		return append(b, `\ufffd`...)
	}
	return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}
