package callback_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"gavel/events"
	"gavel/handlers/callback"
	"gavel/internal/twilio"
)

// The tests of this file are an attacker who has seen one genuine request and
// sends others with its signature. What may be accepted is what means the same.
// Words for people may differ, because text run into text cannot be told apart;
// a Timestamp may be spoilt, because the projector refuses it.

// genuine are requests that an attacker may have seen.
func genuine() []url.Values {
	return []url.Values{
		join(),
		join("ParticipantLabel", "AGENT Q", "FriendlyName", "Goods"),
		join("StatusCallbackEvent", "participant-leave", "ReasonParticipantLeft", "participant_hung_up",
			"ParticipantCallStatus", "completed"),
		join("StatusCallbackEvent", "announcement-fail", "ReasonAnnouncementFailed", "timeout",
			"AnnounceUrl", "https://example.com/a.mp3"),
		{
			"AccountSid": {account}, "ConferenceSid": {conference}, "FriendlyName": {"Room R"},
			"SequenceNumber": {"13"}, "StatusCallbackEvent": {"conference-end"},
			"Timestamp": {"Thu, 14 Jan 2021 00:25:13 +0000"}, "CallSidEndingConference": {call},
			"ParticipantLabelEndingConference": {"agent"}, "ReasonConferenceEnded": {"last-participant-left"},
			"Reason": {"Participant " + call + " with endConferenceOnExit left the conference"},
		},
	}
}

// fixed is what an event says in a form that Twilio fixes.
func fixed(t interface{ Fatal(args ...any) }, form string) []string {
	e, err := events.Parse(events.Entry{Source: events.SourceCallback, Form: form})
	if err != nil {
		t.Fatal(err)
	}
	out := []string{e.ID, string(e.Kind), e.AccountSid, e.ConferenceSid, e.CallSid}
	for _, name := range []string{
		"Muted", "Hold", "Coaching", "EndConferenceOnExit", "StartConferenceOnEnter", "CallSidEndingConference",
		"ReasonConferenceEnded", "ParticipantCallStatus", "ReasonParticipantLeft", "SequenceNumber",
	} {
		out = append(out, e.Params.Get(name))
	}
	return out
}

// bent sends a body with the signature of another and compares the meaning of
// what is accepted.
func (w *world) bent(t *rapid.T, original url.Values, target, body string) {
	form := original.Encode()
	signed, err := events.ParseForm(form, events.MaxParams)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set(twilio.SignatureHeader, twilio.Sign(token, public+callback.ConferencePath, signed))
	status := w.send(r).StatusCode
	entries := w.journal.taken()
	if status != http.StatusNoContent {
		if len(entries) != 0 {
			t.Fatalf("%d, and yet in the journal", status)
		}
		return
	}
	want, got := fixed(t, form), fixed(t, entries[0].Form)
	if !slices.Equal(want, got) {
		t.Fatalf("accepted with another meaning:\n%q\n%q\n%s", want, got, body)
	}
}

// TestChangedBytes edits the request as it travels.
func TestChangedBytes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rapid.Check(t, func(t *rapid.T) {
		original := rapid.SampledFrom(genuine()).Draw(t, "genuine")
		body := []byte(original.Encode())
		for range rapid.IntRange(1, 3).Draw(t, "edits") {
			at := rapid.IntRange(0, len(body)-1).Draw(t, "at")
			c := rapid.SampledFrom([]byte("&=%+;A0zZ?#\x00\xff")).Draw(t, "byte")
			switch rapid.IntRange(0, 2).Draw(t, "edit") {
			case 0:
				body[at] = c
			case 1:
				body = slices.Insert(body, at, c)
			case 2:
				body = slices.Delete(body, at, at+1)
			}
		}
		query := rapid.SampledFrom([]string{"", "", "", "?", "?queue=sales", "?bodySHA256=00", "/"}).Draw(t, "query")
		w.bent(t, original, callback.ConferencePath+query, string(body))
	})
}

// TestMovedBoundaries cuts the signed string, which stays as it was, in other
// places.
func TestMovedBoundaries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rapid.Check(t, func(t *rapid.T) {
		original := rapid.SampledFrom(genuine()).Draw(t, "genuine")
		for range 20 {
			params := sorted(original)
			for range rapid.IntRange(1, 3).Draw(t, "moves") {
				params = move(t, params)
			}
			w.bent(t, original, callback.ConferencePath, params.Encode())
		}
	})
}

func sorted(form url.Values) (params events.Params) {
	for name := range form {
		params = append(params, events.Param{Name: name, Value: form.Get(name)})
	}
	slices.SortFunc(params, func(a, b events.Param) int { return strings.Compare(a.Name, b.Name) })
	return params
}

// move shifts one boundary.
func move(t *rapid.T, params events.Params) events.Params {
	i := rapid.IntRange(0, len(params)-1).Draw(t, "parameter")
	p := params[i]
	switch rapid.IntRange(0, 3).Draw(t, "move") {
	case 0: // fold the next one into the value
		if i+1 < len(params) {
			params[i].Value += params[i+1].Name + params[i+1].Value
			params = slices.Delete(params, i+1, i+2)
		}
	case 1: // between name and value
		whole := p.Name + p.Value
		cut := rapid.IntRange(1, len(whole)).Draw(t, "cut")
		params[i] = events.Param{Name: whole[:cut], Value: whole[cut:]}
	case 2: // cut the value in two
		at := rapid.IntRange(0, len(p.Value)).Draw(t, "at")
		tail := p.Value[at:]
		if tail == "" {
			break
		}
		cut := rapid.IntRange(1, len(tail)).Draw(t, "cut")
		params[i].Value = p.Value[:at]
		params = slices.Insert(params, i+1, events.Param{Name: tail[:cut], Value: tail[cut:]})
	case 3: // a double
		params = slices.Insert(params, i, p)
	}
	return params
}

// FuzzDoor sends anything without knowing a key.
func FuzzDoor(f *testing.F) {
	w := newWorld(f)
	form := join().Encode()
	f.Add(http.MethodPost, callback.ConferencePath, "application/x-www-form-urlencoded", "93nhseM4ImiRmjoicYx6XaumduE=", form)
	f.Add(http.MethodGet, callback.RecordingPath+"?"+form, "", "", "")
	f.Add(http.MethodPost, callback.EventsPath+"?bodySHA256="+strings.Repeat("0a", 32), "application/json", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=", "[]")
	f.Fuzz(func(t *testing.T, method, target, contentType, signature, body string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		r := &http.Request{
			Method: method, URL: u, ContentLength: -1, Header: http.Header{}, Body: http.NoBody,
		}
		if body != "" {
			r = httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
			r.Method, r.URL = method, u
		}
		r.Header.Set("Content-Type", contentType)
		r.Header.Set(twilio.SignatureHeader, signature)
		resp := w.send(r)
		if resp.StatusCode < 400 || len(w.journal.taken())+len(w.letters.taken()) != 0 {
			t.Fatalf("%d without a key", resp.StatusCode)
		}
	})
}

// FuzzGenuine signs anything: it is kept as an event or as a dead letter.
func FuzzGenuine(f *testing.F) {
	w := newWorld(f)
	for _, form := range genuine() {
		f.Add(form.Encode())
	}
	f.Fuzz(func(t *testing.T, body string) {
		params, err := events.ParseForm(body, events.MaxParams)
		if err != nil || len(body) > 64<<10 {
			return
		}
		if sid := params.Get("AccountSid"); !strings.EqualFold(sid, account) {
			return
		}
		r := httptest.NewRequest(http.MethodPost, callback.ConferencePath, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set(twilio.SignatureHeader, twilio.Sign(token, public+callback.ConferencePath, params))
		status := w.send(r).StatusCode
		entries, dead := len(w.journal.taken()), len(w.letters.taken())
		if !(status == http.StatusNoContent && entries == 1 && dead == 0) &&
			!(status == http.StatusForbidden && entries == 0 && dead == 1) {
			t.Fatalf("%d with %d entries and %d dead letters", status, entries, dead)
		}
	})
}

// FuzzBatch signs any Event Streams body: it is answered 2xx, whatever is in it.
func FuzzBatch(f *testing.F) {
	w := newWorld(f)
	f.Add(`[{"type":"com.twilio.voice.status-callback.conference.updated","data":{"request":{"parameters":{"AccountSid":"` + account + `"}}}}]`)
	f.Add(`{"type":7}`)
	f.Add(`[null,{}]`)
	f.Fuzz(func(t *testing.T, body string) {
		wantStatus(t, w.stream(t, token, "", body), http.StatusNoContent)
		w.journal.taken()
		w.letters.taken()
	})
}
