package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	official "github.com/twilio/twilio-go/client"
	twilio "github.com/twilio/twilio-go/rest/api/v2010"
)

// official is Twilio's own Go client, talking to a house. Whatever Gavel answers
// it is checked against the schemas under compat on its way.
func (h *house) official(user, password string) *twilio.ApiService {
	h.t.Helper()
	at, err := url.Parse(h.url)
	if err != nil {
		h.t.Fatal(err)
	}
	c := &official.Client{
		Credentials: official.NewCredentials(user, password),
		HTTPClient:  &http.Client{Transport: toHouse{h.t, at}, Timeout: patience},
	}
	c.SetAccountSid(testAccount)
	return twilio.NewApiService(official.NewRequestHandler(c))
}

// toHouse sends what is meant for api.twilio.com to a Gavel: Twilio's Go
// client has no setting for the host.
type toHouse struct {
	t  *testing.T
	at *url.URL
}

func (to toHouse) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = to.at.Scheme, to.at.Host
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || response.StatusCode == http.StatusNoContent {
		return response, err
	}
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	if err := checkAnswer(r, response.StatusCode, body); err != nil {
		to.t.Errorf("%s %s: %d %s: %v", r.Method, r.URL, response.StatusCode, body, err)
	}
	return response, nil
}

// pageMarks are what Twilio's Python client takes for paging; the one key of a
// page that is none of them is its list. One more key would break it.
var pageMarks = []string{
	"end", "first_page_uri", "next_page_uri", "last_page_uri", "page", "page_size",
	"previous_page_uri", "total", "num_pages", "start", "uri",
}

// checkAnswer holds an answer against the schema of what was asked for.
func checkAnswer(r *http.Request, status int, body []byte) error {
	answer, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return err
	}
	name := schemaOf(r, status)
	schema, err := schemas(name)
	if err != nil {
		return err
	}
	if page, ok := answer.(map[string]any); ok && strings.HasSuffix(name, "s") {
		for _, mark := range pageMarks {
			delete(page, mark)
		}
		if len(page) != 1 {
			return fmt.Errorf("a page has %d keys beside the marks of paging", len(page))
		}
		if answer, err = jsonschema.UnmarshalJSON(bytes.NewReader(body)); err != nil {
			return err
		}
	}
	return schema.Validate(answer)
}

// schemaOf names the schema: that of the last element of the path which names
// a resource, a list in the plural.
func schemaOf(r *http.Request, status int) string {
	if status >= http.StatusBadRequest {
		return "error"
	}
	path := strings.Split(strings.TrimSuffix(r.URL.EscapedPath(), ".json"), "/")
	last, before := path[len(path)-1], path[len(path)-2]
	if isList := strings.HasSuffix(last, "s") && !strings.HasPrefix(before, "Participants"); isList && r.Method == http.MethodGet {
		return strings.ToLower(last)
	}
	if r.Method == http.MethodPost && last == "Participants" {
		before = last
	}
	return strings.ToLower(strings.TrimSuffix(before, "s"))
}

func schemas(name string) (*jsonschema.Schema, error) {
	return jsonschema.NewCompiler().Compile(filepath.Join("..", "..", "compat", "schemas", name+".json"))
}

// TestTwiliosClientReadsTheRunningBinary sends the callbacks of a call to
// the built binary, and reads the call back with Twilio's own client.
func TestTwiliosClientReadsTheRunningBinary(t *testing.T) {
	t.Parallel()
	h := openProcess(t, t.TempDir())
	for _, event := range [][]string{
		{"--event", "participant-join", "--label", "customer", "--seq", "0"},
		{"--event", "participant-join", "--label", "agent ana", "--seq", "1"},
		{"--event", "conference-start", "--seq", "2"},
		{"--event", "participant-hold", "--label", "customer", "--seq", "3"},
		{"--event", "recording-completed"},
	} {
		if got := h.sends(append(event, "--name", "support-103")...); got.code != exitOK {
			t.Fatalf("send %v: %+v", event, got)
		}
	}
	c := h.official(testAccount, testToken)
	sid := h.awaitsOneConference(c, "in-progress")

	if one, err := c.FetchConference(sid, nil); err != nil || *one.FriendlyName != "support-103" || one.ReasonConferenceEnded != nil {
		t.Errorf("the conference: %+v, %v", one, err)
	}
	held, err := c.ListParticipant(sid, new(twilio.ListParticipantParams).SetHold(true))
	if err != nil || len(held) != 1 || *held[0].Label != "customer" {
		t.Errorf("%d participants on hold: %v", len(held), err)
	}
	if agent, err := c.FetchParticipant(sid, url.PathEscape("agent ana"), nil); err != nil || *agent.Hold || *agent.Status != "connected" {
		t.Errorf("the agent: %+v, %v", agent, err)
	}
	if recordings, err := c.ListConferenceRecording(sid, new(twilio.ListConferenceRecordingParams)); err != nil || len(recordings) != 1 || *recordings[0].Status != "completed" {
		t.Errorf("%d recordings: %v", len(recordings), err)
	}

	h.sends("--name", "support-103", "--event", "conference-end", "--seq", "9", "--param", "ReasonConferenceEnded=last-participant-left")
	h.awaitsOneConference(c, "completed")
	if gone, err := c.ListParticipant(sid, new(twilio.ListParticipantParams)); err != nil || len(gone) != 0 {
		t.Errorf("a completed conference has %d participants: %v", len(gone), err)
	}
	var told *official.TwilioRestError
	if _, err := h.official(testAccount, "wrong").FetchConference(sid, nil); !errors.As(err, &told) || told.Code != 20003 {
		t.Errorf("a wrong token: %v", err)
	}
}

// awaitsOneConference waits until the account's only conference has that
// status, today, with all its news published, and returns its SID.
func (h *house) awaitsOneConference(c *twilio.ApiService, status string) (sid string) {
	h.t.Helper()
	today := time.Now().UTC().Format(time.DateOnly)
	eventually(h.t, func() string {
		found, err := c.ListConference(new(twilio.ListConferenceParams).
			SetFriendlyName("support-103").SetStatus(status).SetDateCreatedAfter(today))
		if err != nil {
			h.t.Fatal(err)
		}
		if len(found) != 1 {
			return "no conference is " + status
		}
		sid = *found[0].Sid
		recordings, err := c.ListConferenceRecording(sid, new(twilio.ListConferenceRecordingParams))
		if err != nil || len(recordings) != 1 {
			return "its recording is not there"
		}
		return ""
	})
	return sid
}

// TestPagesStayWholeWhileConferencesArrive lists 2,500 conferences by pages
// with Twilio's own client, while others begin: each of them is there once.
func TestPagesStayWholeWhileConferencesArrive(t *testing.T) {
	t.Parallel()
	const before, meanwhile = 2500, 300
	h := openProcess(t, t.TempDir(), "--sync", "interval")
	h.begins(0, before)
	c := h.official(testAccount, testToken)
	eventually(t, func() string {
		last, err := c.ListConference(new(twilio.ListConferenceParams).SetFriendlyName(roomName(before - 1)))
		if err != nil {
			t.Fatal(err)
		}
		if len(last) == 0 {
			return "the last of the conferences is not there"
		}
		return ""
	})

	arriving := make(chan struct{})
	go func() {
		defer close(arriving)
		h.begins(before, meanwhile)
	}()
	listed, err := c.ListConference(new(twilio.ListConferenceParams).SetPageSize(100))
	<-arriving
	if err != nil {
		t.Fatal(err)
	}
	times := map[string]int{}
	for _, one := range listed {
		times[*one.FriendlyName]++
	}
	for n := range before {
		if times[roomName(n)] != 1 {
			t.Errorf("%q is listed %d times", roomName(n), times[roomName(n)])
		}
	}
	all, err := c.ListConference(new(twilio.ListConferenceParams).SetPageSize(1000))
	if err != nil || len(all) != before+meanwhile {
		t.Errorf("%d conferences in the end, want %d: %v", len(all), before+meanwhile, err)
	}
}

// roomName is what people call rooms: with spaces, "|", percent signs and letters of any script.
func roomName(n int) string { return fmt.Sprintf("sala %d | müller & söhne 100%% 北京", n) }

// begins lets conferences begin, by one callback each.
func (h *house) begins(from, count int) {
	h.t.Helper()
	var forms strings.Builder
	for n := from; n < from+count; n++ {
		send := &sendCommand{Event: "participant-join", Name: roomName(n), Label: "customer|" + strconv.Itoa(n)}
		params, err := send.params(testAccount)
		if err != nil {
			h.t.Error(err)
			return
		}
		forms.WriteString(params.Encode() + "\n")
	}
	var out, log bytes.Buffer
	args := []string{"send", "--to", h.public, "--file", "-", "--concurrency", "16", "--quiet"}
	if code := run(h.t.Context(), args, terminal{strings.NewReader(forms.String()), &out, &log, environment(oneAccount)}); code != exitOK {
		h.t.Errorf("send %d callbacks: %d: %s%s", count, code, out.String(), log.String())
	}
}
