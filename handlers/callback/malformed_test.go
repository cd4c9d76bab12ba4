package callback_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"gavel/events"
	"gavel/handlers/callback"
	"gavel/internal/twilio"
)

// samples are forms that Twilio sends.
func samples() []url.Values {
	return []url.Values{
		join(),
		join("ParticipantLabel", "AGENT Q", "FriendlyName", "Goods"),
		join("StatusCallbackEvent", "participant-leave", "ReasonParticipantLeft", "participant_hung_up",
			"ParticipantCallStatus", "completed"),
		join("StatusCallbackEvent", "announcement-fail", "ReasonAnnouncementFailed", "timeout",
			"AnnounceUrl", "https://example.com/a.mp3"),
		announcement(), ended(),
	}
}

// announcement is an announcement-end, which needs no call and no flags.
func announcement() url.Values {
	return url.Values{
		"AccountSid": {account}, "ConferenceSid": {conference}, "FriendlyName": {"Support 7"},
		"SequenceNumber": {"11"}, "StatusCallbackEvent": {"announcement-end"},
		"Timestamp": {"Thu, 14 Jan 2021 00:25:11 +0000"}, "AnnounceUrl": {"https://example.com/a.mp3"},
	}
}

// ended is a conference-end.
func ended() url.Values {
	return url.Values{
		"AccountSid": {account}, "ConferenceSid": {conference}, "FriendlyName": {"Room R"},
		"SequenceNumber": {"13"}, "StatusCallbackEvent": {"conference-end"},
		"Timestamp": {"Thu, 14 Jan 2021 00:25:13 +0000"}, "CallSidEndingConference": {call},
		"ParticipantLabelEndingConference": {"agent"}, "ReasonConferenceEnded": {"last-participant-left"},
		"Reason": {"Participant " + call + " with endConferenceOnExit left the conference"},
	}
}

func TestEverySampleIsAccepted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, form := range samples() {
		wantStatus(t, w.post(t, callback.ConferencePath, form), http.StatusNoContent)
	}
}

// Each malformed form is signed as it is sent. The door answers 403 and stores
// a dead letter that names the parameter.
func TestMalformedFormsAreRefused(t *testing.T) {
	t.Parallel()
	const unknown = "unknown parameter"
	for _, c := range []struct {
		name  string
		form  url.Values
		field string
		set   url.Values // the changed parameters; an empty list removes one
	}{
		{"no room", join(), "ConferenceSid", url.Values{"ConferenceSid": nil}},
		{"no room's name", join(), "FriendlyName", url.Values{"FriendlyName": nil}},
		{"no number", join(), "SequenceNumber", url.Values{"SequenceNumber": nil}},
		{"no time", join(), "Timestamp", url.Values{"Timestamp": nil}},
		{"no event", join(), "StatusCallbackEvent", url.Values{"StatusCallbackEvent": nil}},
		{"no call", join(), "CallSid", url.Values{"CallSid": nil}},
		{"no flag", join(), "Muted", url.Values{"Muted": nil}},
		{"no flags", join(), "Muted", url.Values{"Muted": nil, "Hold": nil}},

		{"account twice", join(), "AccountSid", url.Values{"AccountSid": {account, account}}},
		{"flag twice", join(), "Muted", url.Values{"Muted": {"false", "false"}}},
		{"event twice", join(), "StatusCallbackEvent", url.Values{"StatusCallbackEvent": {"participant-join", "conference-end"}}},
		{"free text twice", join(), "FriendlyName", url.Values{"FriendlyName": {"Support 7", ""}}},
		{"unknown parameter twice", join(), unknown, url.Values{"Tag": {"a", "b"}}},

		{"SID of another kind", join(), "ConferenceSid", url.Values{"ConferenceSid": {call}}},
		{"SID too short", join(), "CallSid", url.Values{"CallSid": {call[:33]}}},
		{"SID not in hex", ended(), "CallSidEndingConference", url.Values{"CallSidEndingConference": {"CAz" + call[3:]}}},
		{"number with a sign", join(), "SequenceNumber", url.Values{"SequenceNumber": {"-1"}}},
		{"number too great", join(), "SequenceNumber", url.Values{"SequenceNumber": {"2147483648"}}},
		{"number in words", join(), "SequenceNumber", url.Values{"SequenceNumber": {"one"}}},
		{"flag in capitals", join(), "Hold", url.Values{"Hold": {"True"}}},
		{"empty flag", join(), "Coaching", url.Values{"Coaching": {""}}},
		{"word with a space", ended(), "ReasonConferenceEnded", url.Values{"ReasonConferenceEnded": {"last participant"}}},
		{"event with a suffix", join(), "StatusCallbackEvent", url.Values{"StatusCallbackEvent": {"participant-join 2"}}},
		{"event of Gavel's", join(), "StatusCallbackEvent", url.Values{"StatusCallbackEvent": {"gavel-outcome"}}},
		{"name with a space", join(), unknown, url.Values{"My Tag": {"1"}}},
		{"name too long", join(), unknown, url.Values{strings.Repeat("x", 129): {"1"}}},

		{"text that reads like a flag", announcement(), "FriendlyName", url.Values{"FriendlyName": {"Holdfalse"}}},
		{"text that reads like two flags", announcement(), "FriendlyName", url.Values{"FriendlyName": {"HoldfalseMutedfalse"}}},
		{"address that reads like a call", announcement(), "AnnounceUrl", url.Values{"AnnounceUrl": {"https://CallSid" + call}}},
		{"text that continues another's name", ended(), "Reason", url.Values{"ReasonConferenceEnded": nil, "Reason": {"ConferenceEndedlast-participant-left"}}},
		{"unknown text that reads like a flag", announcement(), unknown, url.Values{"Note": {"Holdtrue"}}},
		{"unknown name that reads like a flag", announcement(), unknown, url.Values{"MyHold": {"true"}}},
		{"unknown name that continues a known one", join(), unknown, url.Values{"ParticipantLabel": nil, "ParticipantLabela": {"gent"}}},
		{"unknown name that a known one continues", join(), unknown, url.Values{"ParticipantLabel": nil, "ParticipantLabe": {"lagent"}}},
		{"unknown name in place of a known one", announcement(), "FriendlyName", url.Values{"FriendlyName": nil, "FriendlyNames": {"x"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for name, values := range c.set {
				c.form[name] = values
			}
			wantStatus(t, w.post(t, callback.ConferencePath, c.form), http.StatusForbidden)
			dead := w.letters.drain()
			if len(dead) != 1 || dead[0].Field != c.field {
				t.Errorf("dead letters %+v, want one about %s", dead, c.field)
			}
			if got := w.counted(t, "gavel_refused_total", "form"); got != 1 || len(w.journal.drain()) != 0 {
				t.Errorf("not refused for its form: %s", w.log)
			}
		})
	}
}

// FuzzDoor sends requests without a valid signature.
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
		if resp.StatusCode < 400 || len(w.journal.drain())+len(w.letters.drain()) != 0 {
			t.Fatalf("%d without a key", resp.StatusCode)
		}
	})
}

// FuzzForm signs each form that it sends: the form must become an event or a dead letter, or be ignored
// because it is not about a conference.
func FuzzForm(f *testing.F) {
	w := newWorld(f)
	for _, form := range samples() {
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
		entries, dead := len(w.journal.drain()), len(w.letters.drain())
		ignored := 0
		if _, there := params.Lookup("ConferenceSid"); !there {
			ignored = 1
		}
		if !(status == http.StatusNoContent && entries+ignored == 1 && dead == 0) &&
			!(status == http.StatusForbidden && entries == 0 && dead == 1) {
			t.Fatalf("%d with %d entries and %d dead letters", status, entries, dead)
		}
	})
}

// FuzzBatch signs each Event Streams body that it sends: the answer must be 2xx.
func FuzzBatch(f *testing.F) {
	w := newWorld(f)
	f.Add(`[{"type":"com.twilio.voice.status-callback.conference.updated","data":{"request":{"parameters":{"AccountSid":"` + account + `"}}}}]`)
	f.Add(`{"type":7}`)
	f.Add(`[null,{}]`)
	f.Fuzz(func(t *testing.T, body string) {
		wantStatus(t, w.stream(t, token, "", body), http.StatusNoContent)
		w.journal.drain()
		w.letters.drain()
	})
}
