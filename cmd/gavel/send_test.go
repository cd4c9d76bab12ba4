package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gavel/events"
	"gavel/internal/twilio/twiliofake"
)

func TestCallbackLinesAreReadAsJSONOrForms(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]events.Params{
		`{"SequenceNumber":3,"Muted":true,"FriendlyName":"a b"}`: {
			{Name: "FriendlyName", Value: "a b"}, {Name: "Muted", Value: "true"}, {Name: "SequenceNumber", Value: "3"},
		},
		`FriendlyName=a+b&SequenceNumber=3`: {{Name: "FriendlyName", Value: "a b"}, {Name: "SequenceNumber", Value: "3"}},
	} {
		got, err := parseCallbackLine(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
	for _, text := range []string{`{`, `{}{}`, `{"a":null}`, `{"a":[1]}`, `a=%zz`} {
		if got, err := parseCallbackLine(text); err == nil {
			t.Errorf("%s: read as %v", text, got)
		}
	}
}

func FuzzParseCallbackLine(f *testing.F) {
	f.Add(`{"SequenceNumber":3,"Muted":true}`)
	f.Add(`FriendlyName=a+b&SequenceNumber=3`)
	f.Fuzz(func(t *testing.T, text string) {
		params, err := parseCallbackLine(text)
		if err != nil {
			return
		}
		again, err := events.ParseForm(params.Encode(), len(params)+1)
		if err == nil && len(again) != len(params) {
			t.Errorf("%d parameters became %d on the wire", len(params), len(again))
		}
	})
}

func TestTheFittingPathIsChosen(t *testing.T) {
	t.Parallel()
	conference := events.Params{{Name: "StatusCallbackEvent", Value: "conference-start"}}
	recording := events.Params{{Name: "RecordingSid", Value: "RE"}}
	for _, c := range []struct {
		to     string
		params events.Params
		want   string
	}{
		{"http://127.0.0.1:8080", conference, "http://127.0.0.1:8080/twilio/conference"},
		{"http://127.0.0.1:8080/", recording, "http://127.0.0.1:8080/twilio/recording"},
		{"http://127.0.0.1:8080/hook?queue=sales", recording, "http://127.0.0.1:8080/hook?queue=sales"},
	} {
		if got := target(c.to, c.params); got != c.want {
			t.Errorf("target(%s) = %s, want %s", c.to, got, c.want)
		}
	}
	if got := moved("http://127.0.0.1:8080/twilio/conference?queue=sales", "https://gavel.example.com/hooks/"); got != "https://gavel.example.com/hooks/twilio/conference?queue=sales" {
		t.Errorf("moved = %s", got)
	}
}

// Every event that send can make is one that Gavel accepts.
func TestMadeCallbacksAreInForm(t *testing.T) {
	t.Parallel()
	for _, event := range []string{
		"conference-start", "conference-end", "participant-join", "participant-leave", "participant-mute", "participant-unmute",
		"participant-hold", "participant-unhold", "participant-modify", "participant-speech-start", "participant-speech-stop",
		"announcement-end", "announcement-fail", "recording-in-progress", "recording-completed", "recording-absent", "something-new",
	} {
		c := sendCommand{Event: event, Name: "room", Label: "agent-ana", Param: []string{"Extra=1", "FriendlyName=other room"}}
		params, err := c.params(testAccount)
		if err != nil {
			t.Fatal(err)
		}
		source := events.SourceCallback
		if strings.HasPrefix(event, "recording-") {
			source = events.SourceRecording
		}
		got, err := events.Parse(events.Entry{Source: source, ReceivedAt: time.Now(), Form: params.Encode()})
		if err != nil || string(got.Kind) != event || got.Params.Get("Extra") != "1" || got.Params.Get("FriendlyName") != "other room" {
			t.Errorf("%s: %v, kind %s", event, err, got.Kind)
		}
	}
	if _, err := (&sendCommand{Param: []string{"nothing"}}).params(testAccount); err == nil {
		t.Error("--param without a value is accepted")
	}
}

// The signature is checked by the stand-in's implementation, which shares
// nothing with the one that made it.
func TestSendSignsForThePublicURL(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		want := twiliofake.Signature(testToken, "https://gavel.example.com/twilio/conference", r.PostForm)
		if r.Header.Get("X-Twilio-Signature") != want {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	got := gavelSays(t, oneAccount, "send", "--to", server.URL, "--public-url", "https://gavel.example.com", "--name", "böse & gut", "--output", "json")
	if got.code != exitOK || !strings.Contains(got.out, `"status":204`) {
		t.Errorf("said %+v", got)
	}
	got = gavelSays(t, oneAccount, "send", "--to", server.URL)
	if got.code != exitFailure || !strings.Contains(got.err, "1 of 1 callbacks were not answered 2xx; 403 means") {
		t.Errorf("said %+v", got)
	}
}

func TestSendReportsEachLineOfAFile(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("SequenceNumber") == "2" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	lines := strings.Join([]string{
		`{"SequenceNumber":1,"StatusCallbackEvent":"conference-start","ConferenceSid":"CF1"}`, "",
		`SequenceNumber=2&StatusCallbackEvent=conference-end&ConferenceSid=CF1`,
		`{"RecordingSid":"RE1","RecordingStatus":"completed","ConferenceSid":"CF1"}`,
		`{broken`,
	}, "\n")
	var out, err strings.Builder
	code := run(t.Context(), []string{"send", "--to", server.URL, "--file", "-"},
		terminal{strings.NewReader(lines), &out, &err, environment(oneAccount)})
	golden(t, "send.txt", out.String()+strings.ReplaceAll(err.String(), server.URL, "SERVER"))
	if code != exitFailure {
		t.Errorf("exit code %d, want %d", code, exitFailure)
	}
}
