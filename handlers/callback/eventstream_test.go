package callback_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"gavel/events"
	"gavel/handlers/callback"
	"gavel/internal/twilio"
)

// streamItem is an Event Streams item that contains a callback's parameters.
func streamItem(form url.Values) map[string]any {
	parameters := map[string]string{}
	for name := range form {
		parameters[name] = form.Get(name)
	}
	return map[string]any{
		"specversion": "1.0", "type": "com.twilio.voice.status-callback.conference.participant.updated",
		"source": "/2010-04-01/Accounts/" + account, "id": "EZ0123456789abcdef0123456789abcdef",
		"dataschema": "https://events-schemas.twilio.com/Voice.WebhookEvent/2",
		"data": map[string]any{
			"eventSid": "VW0123456789abcdef0123456789abcdef",
			"request":  map[string]any{"method": "POST", "url": public, "parameters": parameters},
			"response": map[string]any{"responseCode": 204},
		},
	}
}

func encode(t *testing.T, batch any) string {
	t.Helper()
	body, err := json.Marshal(batch)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// stream signs a batch with the token tok and sends it.
func (w *world) stream(t testing.TB, tok, query, body string) *http.Response {
	t.Helper()
	sum := sha256.Sum256([]byte(body))
	target := callback.EventsPath + "?" + query + "bodySHA256=" + hex.EncodeToString(sum[:])
	return w.streamTo(t, tok, target, body)
}

func (w *world) streamTo(t testing.TB, tok, target, body string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(twilio.SignatureHeader, twilio.Sign(tok, public+target, nil))
	return w.send(r)
}

// A callback and its item in Event Streams are one event.
func TestACallbackAndItsStreamItemAreOneEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	form := join("FriendlyName", "Sala de reunião & co. +100%")
	wantStatus(t, w.post(t, callback.ConferencePath, form), http.StatusNoContent)
	wantStatus(t, w.stream(t, token, "", encode(t, []any{streamItem(form)})), http.StatusNoContent)
	var ids []string
	for _, entry := range w.journal.drain() {
		e, err := events.Parse(entry)
		if err != nil {
			t.Fatal(err)
		}
		if got := e.Params.Get("FriendlyName"); got != form.Get("FriendlyName") {
			t.Errorf("the name is %q", got)
		}
		ids = append(ids, e.ID)
	}
	if len(ids) != 2 || ids[0] != ids[1] {
		t.Errorf("ids %v", ids)
	}
}

func TestItemsOfABatchAreAcceptedIgnoredOrDead(t *testing.T) {
	t.Parallel()
	foreign := streamItem(join("AccountSid", other, "SequenceNumber", "8"))
	summary := map[string]any{"type": "com.twilio.voice.insights.conference-summary.complete", "data": map[string]any{"request": 7}}
	numbers := streamItem(join())
	numbers["data"] = map[string]any{"request": map[string]any{"parameters": map[string]any{"SequenceNumber": 7}}}
	plain := map[string]any{"type": "com.twilio.messaging.message.sent", "data": map[string]any{}}
	w := newWorld(t)
	body := encode(t, []any{
		streamItem(join("SequenceNumber", "1")), "not an event", streamItem(join("Muted", "maybe")), foreign,
		numbers, plain, streamItem(join("SequenceNumber", "2")), 7, summary,
	})
	wantStatus(t, w.stream(t, token, "", body), http.StatusNoContent)
	var kept []string
	for _, entry := range w.journal.drain() {
		if entry.Source != events.SourceEventStream || !entry.ReceivedAt.Equal(now) {
			t.Errorf("entry %+v", entry)
		}
		kept = append(kept, params(t, entry.Form).Get("SequenceNumber"))
	}
	slices.Sort(kept)
	if !slices.Equal(kept, []string{"1", "2"}) {
		t.Errorf("kept %v", kept)
	}
	w.wantDead(t, "AccountSid", "Muted", "conference_sid", "item", "item", "item")
	for outcome, want := range map[string]float64{"accepted": 2, "dead": 6, "ignored": 1} {
		if got := w.counted(t, "gavel_event_streams_items_total", outcome); got != want {
			t.Errorf("%s: counted %v, want %v", outcome, got, want)
		}
	}
}

// Most types of status callbacks are about calls. Only an item about a conference can be a dead letter.
func TestItemsAboutCallsAreIgnored(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var items []any
	for _, c := range []struct {
		kind       string
		parameters map[string]any
	}{
		{"call.updated", map[string]any{"AccountSid": account, "CallSid": call, "CallStatus": "completed"}},
		{"amd.detected", map[string]any{}},
		{"recording.processed", map[string]any{"AccountSid": account, "CallSid": call, "RecordingSid": "RE" + call[2:], "RecordingStatus": "completed"}},
		{"transcription.processed", map[string]any{"Count": 7}},
		{"conference.updated", map[string]any{}},
		{"announcement.processed", map[string]any{"StatusCallbackEvent": "announcement-end", "AccountSid": account}},
	} {
		items = append(items, map[string]any{
			"type": "com.twilio.voice.status-callback." + c.kind, "data": map[string]any{"request": map[string]any{"parameters": c.parameters}},
		})
	}
	wantStatus(t, w.stream(t, token, "", encode(t, items)), http.StatusNoContent)
	if got := w.counted(t, "gavel_event_streams_items_total", "ignored"); got != 4 {
		t.Errorf("%v items ignored, want 4", got)
	}
	w.wantDead(t, "AccountSid", "ConferenceSid")
}

// wantDead compares the fields that the dead letters name.
func (w *world) wantDead(t *testing.T, fields ...string) {
	t.Helper()
	var got []string
	for _, letter := range w.letters.drain() {
		if letter.AccountSid != account || letter.Kind != events.Refused || len(letter.Raw) == 0 {
			t.Errorf("letter %+v", letter)
		}
		got = append(got, letter.Field)
	}
	slices.Sort(got)
	if !slices.Equal(got, fields) {
		t.Errorf("dead letters about %v, want %v", got, fields)
	}
}

func TestASingleEventIsABatchOfOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wantStatus(t, w.stream(t, token, "", " "+encode(t, streamItem(join()))), http.StatusNoContent)
	if n := len(w.journal.drain()); n != 1 {
		t.Errorf("%d entries", n)
	}
}

func TestAnInvalidGenuineBatchIsADeadLetter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wantStatus(t, w.stream(t, token, "", "[{"), http.StatusNoContent)
	w.wantDead(t, "body")
	huge := "[" + strings.Repeat(" ", 300<<10)
	wantStatus(t, w.stream(t, token, "", huge), http.StatusNoContent)
	if letter := w.letters.drain()[0]; len(letter.Raw) != 256<<10 {
		t.Errorf("the letter keeps %d bytes", len(letter.Raw))
	}
}

// Every reason for a refusal.
func TestARefusedBatchLeavesNothing(t *testing.T) {
	t.Parallel()
	body := encode(t, []any{streamItem(join())})
	sum := sha256.Sum256([]byte(body))
	hash := "bodySHA256=" + hex.EncodeToString(sum[:])
	for name, c := range map[string]struct {
		tok, target, body, reason string
		status                    int
	}{
		"another key":   {"stranger", "?" + hash, body, "signature", http.StatusForbidden},
		"another hash":  {token, "?bodySHA256=" + strings.Repeat("00", sha256.Size), body, "body-hash", http.StatusForbidden},
		"no hash":       {token, "", body, "body-hash", http.StatusForbidden},
		"hash in front": {token, "?" + hash + "&queue=sales", body, "body-hash", http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			wantStatus(t, w.streamTo(t, c.tok, callback.EventsPath+c.target, c.body), c.status)
			if got := w.counted(t, "gavel_refused_total", c.reason); got != 1 {
				t.Errorf("not refused for %s: %s", c.reason, w.log)
			}
			if len(w.journal.drain())+len(w.letters.drain()) != 0 {
				t.Error("something was stored")
			}
		})
	}
}

func TestABatchMayHaveAListedQuery(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	body := encode(t, []any{streamItem(join())})
	wantStatus(t, w.stream(t, token, "queue=sales&", body), http.StatusNoContent)
	wantStatus(t, w.stream(t, token, "queue=marketing&", body), http.StatusForbidden)
	w.wantDead(t, "query")
	if n := len(w.journal.drain()); n != 1 {
		t.Errorf("%d entries", n)
	}
}

func TestABatchHasLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wantStatus(t, w.stream(t, token, "", "["+strings.Repeat(" ", 1<<20-2)+"]"), http.StatusNoContent)
	wantStatus(t, w.stream(t, token, "", "["+strings.Repeat(" ", 1<<20-1)+"]"), http.StatusRequestEntityTooLarge)
	get := httptest.NewRequest(http.MethodGet, callback.EventsPath, nil)
	resp := w.send(get)
	wantStatus(t, resp, http.StatusMethodNotAllowed)
	if resp.Header.Get("Allow") != "POST" {
		t.Errorf("Allow: %q", resp.Header.Get("Allow"))
	}
	form := httptest.NewRequest(http.MethodPost, callback.EventsPath, strings.NewReader("a=1"))
	form.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	form.Header.Set(twilio.SignatureHeader, twilio.Sign(token, public, nil))
	wantStatus(t, w.send(form), http.StatusUnsupportedMediaType)
}

// If one item cannot be stored, Twilio sends the batch again. The other items
// are stored at the first attempt.
func TestABatchWithAFailedItemIsRetried(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.journal.failWith(func(_ context.Context, e events.Entry) error {
		if strings.Contains(e.Form, "SequenceNumber=1&") {
			return events.ErrUnavailable
		}
		return nil
	})
	body := encode(t, []any{streamItem(join("SequenceNumber", "1")), streamItem(join("SequenceNumber", "2"))})
	resp := w.stream(t, token, "", body)
	wantStatus(t, resp, http.StatusServiceUnavailable)
	if resp.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	w.journal.failWith(nil)
	wantStatus(t, w.stream(t, token, "", body), http.StatusNoContent)
	if n := len(w.journal.drain()); n != 3 {
		t.Errorf("%d entries", n)
	}
	w.letters.fail = events.ErrUnavailable
	wantStatus(t, w.stream(t, token, "", "[7]"), http.StatusServiceUnavailable)
}

func TestSpeechEventsOfABatchAreDroppedToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, drop)
	item := streamItem(join("StatusCallbackEvent", "participant-speech-start"))
	wantStatus(t, w.stream(t, token, "", encode(t, []any{item})), http.StatusNoContent)
	if n := len(w.journal.drain()); n != 0 {
		t.Errorf("%d entries", n)
	}
}
