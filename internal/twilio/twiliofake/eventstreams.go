package twiliofake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// batchTime is how long the first event of a batch waits for others, and
	// maxBatch the most events of a batch. Twilio's values are not confirmed.
	batchTime = time.Second
	maxBatch  = 100
	// A batch that was not accepted is sent again for four hours (Twilio, Event
	// Streams: webhook sink); the pauses between attempts are not confirmed.
	batchRetries    = 4 * time.Hour
	batchPause      = time.Second
	longestPause    = 5 * time.Minute
	voiceSchema     = "https://events-schemas.twilio.com/Voice.WebhookEvent/2"
	statusCallbacks = "com.twilio.voice.status-callback."
	apiRequestItems = "com.twilio.voice.api-request."
)

// eventStreams is a subscription to all com.twilio.voice.status-callback types
// with one webhook sink. The events of callbacks are sent this way too, even if
// the callback itself is lost: at least once, in batches, late.
type eventStreams struct {
	sink   string
	sender *sender
	chance *rand.Rand // used only by the agenda's goroutine

	mu      sync.Mutex
	pending []callback
}

func newEventStreams(c Config, s *sender) *eventStreams {
	return &eventStreams{sink: c.EventStreams, sender: s, chance: stream(c.Seed, "event streams")}
}

// add adds a callback to the next batch.
func (e *eventStreams) add(ctx context.Context, cb callback) {
	if e.sink == "" || cb.event == fetchedAnnouncement {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.pending) == 0 {
		e.sender.agenda.after(batchTime, func() error { e.flush(ctx); return nil })
	}
	e.pending = append(e.pending, cb)
}

// flush sends the waiting batch; faults may send it twice.
func (e *eventStreams) flush(ctx context.Context) {
	e.mu.Lock()
	waiting := e.pending
	e.pending = nil
	e.mu.Unlock()
	for callbacks := range slices.Chunk(waiting, maxBatch) {
		b := &batch{body: encodeBatch(callbacks), since: e.sender.agenda.clock.Now()}
		e.dispatch(ctx, b)
		if e.chance.Float64() < e.sender.faults.Duplicate {
			e.dispatch(ctx, b)
		}
	}
}

// batch is one request to the sink.
type batch struct {
	body  []byte
	since time.Time // of the first attempt
}

func (e *eventStreams) dispatch(ctx context.Context, b *batch) { e.try(ctx, b, batchPause) }

// try sends a batch in the background, and plans another attempt if it was not accepted.
func (e *eventStreams) try(ctx context.Context, b *batch, pause time.Duration) {
	e.sender.inFlight <- struct{}{}
	e.sender.deliverer.Go(func() {
		defer func() { <-e.sender.inFlight }()
		failure := e.attempt(ctx, b)
		switch clock := e.sender.agenda.clock; {
		case failure == "":
		case clock.Now().Sub(b.since)+pause > batchRetries:
			e.sender.log.Warn("batch lost", "failure", failure)
		default:
			e.sender.agenda.after(pause, func() error {
				e.try(ctx, b, min(2*pause, longestPause))
				return nil
			})
		}
	})
}

func (e *eventStreams) attempt(ctx context.Context, b *batch) (failure string) {
	o := parseOverrides(e.sink)
	budget, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.total)
	defer cancel()
	request, err := e.request(budget, b.body)
	if err != nil {
		return "url"
	}
	return e.sender.exchange(request, o, nil)
}

// request signs only the URL, which carries the body's hash (Twilio, "Webhooks security").
func (e *eventStreams) request(ctx context.Context, body []byte) (*http.Request, error) {
	target, err := url.Parse(e.sink)
	if err != nil {
		return nil, err
	}
	target.Fragment, target.RawFragment, target.User = "", "", nil
	sum := sha256.Sum256(body)
	target.RawQuery = strings.TrimPrefix(target.RawQuery+"&bodySHA256="+hex.EncodeToString(sum[:]), "&")
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), strings.NewReader(string(body)))
	if err != nil {
		return nil, err
	}
	e.sender.webhooks.sign(request.Header, signedAddress(*target), nil)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "TwilioProxy/1.1")
	return request, nil
}

// cloudEvent is one item of a batch. The real one of a callback also has "response", the
// answer to the callback, which no test needs.
type cloudEvent struct {
	SpecVersion     string       `json:"specversion"`
	Type            string       `json:"type"`
	Source          string       `json:"source"`
	ID              string       `json:"id"`
	Time            string       `json:"time"`
	DataSchema      string       `json:"dataschema"`
	DataContentType string       `json:"datacontenttype"`
	Data            webhookEvent `json:"data"`
}

type webhookEvent struct {
	Sid                string         `json:"sid"`
	EventSid           string         `json:"eventSid"`
	RequestDateCreated string         `json:"requestDateCreated"`
	Timestamp          string         `json:"timestamp"`
	Request            webhookRequest `json:"request"`
	// Response is the API's answer to a request.
	Response *webhookResponse `json:"response,omitempty"`
}

type webhookResponse struct {
	ResponseCode int `json:"responseCode"`
}

type webhookRequest struct {
	Method     string `json:"method"`
	URL        string `json:"url"`
	Parameters params `json:"parameters"`
}

func encodeBatch(callbacks []callback) []byte {
	items := make([]cloudEvent, 0, len(callbacks))
	for _, cb := range callbacks {
		items = append(items, cb.cloudEvent())
	}
	body, err := json.Marshal(items)
	if err != nil {
		panic(fmt.Sprintf("encode strings: %v", err)) // strings can always be encoded
	}
	return body
}

func (cb callback) cloudEvent() cloudEvent {
	hexToken := strings.ReplaceAll(cb.token, "-", "")
	at := cb.at.UTC().Format(time.RFC3339)
	address, _, _ := strings.Cut(cb.to.URL, "#")
	method, itemType, account := either(cb.to.Method == http.MethodGet, http.MethodGet, http.MethodPost), statusCallbacks+cb.streamType(), cb.params["AccountSid"]
	var response *webhookResponse
	if cb.api != "" {
		account, _, _ = strings.Cut(strings.TrimPrefix(cb.to.URL, "https://api.twilio.com"+restPrefix), "/")
		method, itemType, response = cb.to.Method, apiRequestItems+cb.api, &webhookResponse{cb.status}
	}
	return cloudEvent{
		SpecVersion:     "1.0",
		Type:            itemType,
		Source:          restPrefix + account + "/Conferences/" + cb.conferenceSid,
		ID:              "EZ" + hexToken,
		Time:            at,
		DataSchema:      voiceSchema,
		DataContentType: "application/json",
		Data: webhookEvent{
			Sid:                cb.conferenceSid,
			EventSid:           "VW" + hexToken,
			RequestDateCreated: at,
			Timestamp:          at,
			Request:            webhookRequest{method, address, cb.params},
			Response:           response,
		},
	}
}

// streamType is the last part of the event type (Twilio, Event Streams: "Voice
// status callback" event types).
func (cb callback) streamType() string {
	switch kind, _, _ := strings.Cut(cb.event, "-"); kind {
	case "recording":
		return "recording.processed"
	case "announcement":
		return "announcement.processed"
	case "participant":
		return "conference.participant.updated"
	}
	return "conference.updated"
}
