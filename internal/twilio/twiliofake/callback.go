package twiliofake

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Subscription is a callback URL and the events it subscribes to. The URL may
// end in connection overrides (#rc=5&rp=all).
type Subscription struct {
	URL string
	// Method is POST unless it is GET.
	Method string
	// Events are the names of TwiML's statusCallbackEvent ("start", "join",
	// ...) or recordingStatusCallbackEvent ("completed", ...). Empty subscribes
	// to all, which Twilio does not offer but a user of the fake mostly needs.
	Events []string
}

// subscribedAs maps the callbacks' event names to those of statusCallbackEvent.
var subscribedAs = map[string]string{
	"conference-start":         "start",
	"conference-end":           "end",
	"participant-join":         "join",
	"participant-leave":        "leave",
	"participant-mute":         "mute",
	"participant-unmute":       "mute",
	"participant-hold":         "hold",
	"participant-unhold":       "hold",
	"participant-modify":       "modify",
	"participant-speech-start": "speaker",
	"participant-speech-stop":  "speaker",
	"announcement-end":         "announcement",
	"announcement-fail":        "announcement",
}

func (s Subscription) has(name string) bool {
	return s.URL != "" && (len(s.Events) == 0 || slices.Contains(s.Events, name))
}

// params are the names and values of one callback; Twilio never sends one of these names twice.
type params map[string]string

// set adds a parameter that Twilio sends only if it has a value.
func (p params) set(name, value string) {
	if value != "" {
		p[name] = value
	}
}

// with adds all of more to p and returns p.
func (p params) with(more params) params {
	maps.Copy(p, more)
	return p
}

func (p params) values() url.Values {
	values := make(url.Values, len(p))
	for name, value := range p {
		values.Set(name, value)
	}
	return values
}

// wireOrder is the order of a captured conference callback; other names follow in alphabetical
// order. Twilio promises no order, and a receiver that needs one should fail against the fake.
var wireOrder = []string{
	"Coaching", "FriendlyName", "ParticipantLabel", "EndConferenceOnExit", "StatusCallbackEvent", "Timestamp",
	"StartConferenceOnEnter", "AccountSid", "SequenceNumber", "ConferenceSid", "CallSid", "Hold", "Muted",
	"CallSidEndingConference", "ReasonConferenceEnded", "ParticipantLabelEndingConference", "Reason",
}

// encode writes p as application/x-www-form-urlencoded.
func (p params) encode() string {
	var b strings.Builder
	write := func(name string) {
		if value, ok := p[name]; ok {
			fmt.Fprintf(&b, "&%s=%s", url.QueryEscape(name), url.QueryEscape(value))
		}
	}
	for _, name := range wireOrder {
		write(name)
	}
	for _, name := range slices.Sorted(maps.Keys(p)) {
		if !slices.Contains(wireOrder, name) {
			write(name)
		}
	}
	return strings.TrimPrefix(b.String(), "&")
}

// callback is one request that is to be sent.
type callback struct {
	to            Subscription
	conferenceSid string
	event         string
	token         string // I-Twilio-Idempotency-Token, the same on every attempt
	at            time.Time
	params        params
	accepted      *atomic.Bool      // shared by all copies that are sent
	answered      func(body []byte) // receives a successful answer; nil to ignore it
	// api is the type of an item about a request to the API, which only Event Streams reports.
	// status is the answer's; to is the request.
	api    string
	status int
}

// apiRequests are the types of the items about requests (Twilio, Event Streams: "API request" event
// types). Whether a request that is refused has an item is not confirmed.
var apiRequests = map[Call]string{
	EndConference: "conference.modified", Announcement: "conference.modified", UpdateConference: "conference.modified",
	AddParticipant: "conference-participant.created", UpdateParticipant: "conference-participant.modified", KickParticipant: "conference-participant.deleted",
}

// postAPIRequest adds the item about a request to the API to the outbox, if there is a sink and the
// conference has a status callback. The caller holds mu.
func (t *Twilio) postAPIRequest(q *query, status int) {
	c := t.bySid[q.conference]
	if c == nil {
		c = t.rooms[q.conference]
	}
	api := apiRequests[q.call]
	if t.sender.streams.sink == "" || api == "" || c == nil || c.status.URL == "" {
		return
	}
	asked := params{}
	for name := range q.values {
		asked[name] = q.values.Get(name)
	}
	method := http.MethodPost
	if q.call == KickParticipant {
		method = http.MethodDelete
	}
	t.post(callback{
		at: t.clock.Now(), to: Subscription{URL: "https://api.twilio.com" + q.path, Method: method},
		conferenceSid: c.sid, token: t.token(), params: asked, api: api, status: status,
	})
}

// postEvent adds an event of the conference to the outbox, if the conference's
// status callback subscribes to it. Numbers count sent callbacks, from 0 (that
// unsubscribed events have no number is not confirmed; that the first is 0
// follows from a captured leave with number 1). The caller holds mu.
func (t *Twilio) postEvent(c *conference, event string, extra params) {
	if !c.status.has(subscribedAs[event]) {
		return
	}
	now := t.clock.Now()
	t.post(callback{
		at:            now,
		to:            c.status,
		conferenceSid: c.sid,
		event:         event,
		token:         t.token(),
		accepted:      new(atomic.Bool),
		params: params{
			"AccountSid":          t.accountSid,
			"ConferenceSid":       c.sid,
			"FriendlyName":        c.name,
			"SequenceNumber":      strconv.Itoa(c.sequence),
			"StatusCallbackEvent": event,
			"Timestamp":           timestamp(now),
		}.with(extra),
	})
	c.sequence++
}

// post adds a callback to the outbox and plans a step that empties it, because
// the caller need not be a step of the agenda. The caller holds mu.
func (t *Twilio) post(cb callback) {
	if len(t.outbox) == 0 {
		t.agenda.after(0, func() error { return nil })
	}
	t.outbox = append(t.outbox, cb)
}

// token makes a version 4 UUID. The caller holds mu.
func (t *Twilio) token() string {
	hi := t.ids.Uint64()&^0xf000 | 0x4000
	lo := t.ids.Uint64()&^(3<<62) | 1<<63
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", hi>>32, hi>>16&0xffff, hi&0xffff, lo>>48, lo&0xffffffffffff)
}
