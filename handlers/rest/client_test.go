package rest_test

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twilio/twilio-go/client"
	twilio "github.com/twilio/twilio-go/rest/api/v2010"

	"gavel/internal/keys"
	"gavel/projections"
)

// toGavel redirects requests for api.twilio.com to Gavel: Twilio's Go client
// supports no other host.
type toGavel struct{ server *url.URL }

func (g toGavel) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = g.server.Scheme, g.server.Host
	return http.DefaultTransport.RoundTrip(r)
}

// twilio returns Twilio's own client, with these credentials.
func (s *stack) twilio(user, password string) *twilio.ApiService {
	s.Helper()
	server, err := url.Parse(s.server.URL)
	if err != nil {
		s.Fatal(err)
	}
	c := &client.Client{
		Credentials: client.NewCredentials(user, password),
		HTTPClient:  &http.Client{Transport: toGavel{server}, Timeout: 10 * time.Second},
	}
	c.SetAccountSid(account)
	return twilio.NewApiService(client.NewRequestHandler(c))
}

func TestTwiliosClientReadsConferences(t *testing.T) {
	t.Parallel()
	var floor []*projections.Conference
	for n := 1; n <= 120; n++ {
		floor = append(floor, room(n, "room "+strconv.Itoa(n%2), at("08-03 09:00:00")+projections.Instant(60*n)))
	}
	completed(floor[119], at("08-03 12:00:00"))
	s := start(t, floor...)
	c := s.twilio(account, token)

	all, err := c.ListConference(new(twilio.ListConferenceParams)) // three pages of 50
	if err != nil || len(all) != 120 || *all[0].Sid != sid("CF", 120) || *all[119].Sid != sid("CF", 1) {
		t.Fatalf("%d conferences: %v", len(all), err)
	}
	some, err := c.ListConference(new(twilio.ListConferenceParams).
		SetFriendlyName("room 0").SetStatus("in-progress").
		SetDateCreatedAfter("2026-08-03").SetDateCreatedBefore("2026-08-04").SetPageSize(7))
	if err != nil || len(some) != 59 {
		t.Fatalf("%d conferences with filters: %v", len(some), err)
	}
	one, err := c.FetchConference(sid("CF", 120), nil)
	if err != nil {
		t.Fatal(err)
	}
	path := "/2010-04-01/Accounts/" + account + "/Conferences/" + sid("CF", 120)
	want := &twilio.ApiV2010Conference{
		AccountSid: ptr(account), Sid: ptr(sid("CF", 120)), ApiVersion: ptr("2010-04-01"),
		FriendlyName: ptr("room 0"), Status: ptr("completed"),
		DateCreated: ptr("Mon, 03 Aug 2026 11:00:00 +0000"), DateUpdated: ptr("Mon, 03 Aug 2026 12:00:00 +0000"),
		ReasonConferenceEnded: ptr("last-participant-left"), CallSidEndingConference: ptr(sid("CA", 1)),
		Uri:             ptr(path + ".json"),
		SubresourceUris: &map[string]any{"participants": path + "/Participants.json", "recordings": path + "/Recordings.json"},
	}
	if diff := cmp.Diff(want, one); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestTwiliosClientReadsParticipants(t *testing.T) {
	t.Parallel()
	s := start(t, floorRoom())
	c, conference := s.twilio(account, token), sid("CF", 1)

	muted, err := c.ListParticipant(conference, new(twilio.ListParticipantParams).SetMuted(true).SetPageSize(1))
	if err != nil || len(muted) != 2 || *muted[0].CallSid != sid("CA", 4) {
		t.Fatalf("%d muted: %v", len(muted), err)
	}
	// This client expects its caller to escape labels.
	one, err := c.FetchParticipant(conference, url.PathEscape("müller & söhne 100%"), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := &twilio.ApiV2010Participant{
		AccountSid: ptr(account), ConferenceSid: ptr(conference), CallSid: ptr(sid("CA", 2)),
		Label: ptr("müller & söhne 100%"), Status: ptr("connected"),
		DateCreated: ptr("Sat, 01 Aug 2026 10:00:02 +0000"), DateUpdated: ptr("Sat, 01 Aug 2026 10:00:02 +0000"),
		Hold: ptr(true), Muted: ptr(false), Coaching: ptr(false),
		EndConferenceOnExit: ptr(false), StartConferenceOnEnter: ptr(false),
		Uri: ptr("/2010-04-01/Accounts/" + account + "/Conferences/" + conference + "/Participants/" + sid("CA", 2) + ".json"),
	}
	if diff := cmp.Diff(want, one); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestTwiliosClientReadsRecordings(t *testing.T) {
	t.Parallel()
	c := room(1, "floor", at("08-01 23:00:00"))
	for n := 1; n <= 5; n++ {
		c.Recordings = append(c.Recordings, recording(n, at("08-01 23:00:10")+projections.Instant(n)))
	}
	s := start(t, c)
	api := s.twilio(account, token)
	all, err := api.ListConferenceRecording(sid("CF", 1), new(twilio.ListConferenceRecordingParams).SetPageSize(2))
	if err != nil || len(all) != 5 {
		t.Fatalf("%d recordings: %v", len(all), err)
	}
	one, err := api.FetchConferenceRecording(sid("CF", 1), sid("RE", 5), nil)
	if err != nil || *one.Duration != "116" || one.Channels != 1 || *one.StartTime != "Sat, 01 Aug 2026 23:00:15 +0000" {
		t.Fatalf("%+v: %v", one, err)
	}
}

func TestTwiliosClientAuthenticatesWithAnAPIKey(t *testing.T) {
	t.Parallel()
	s := start(t, room(1, "floor", at("08-01 23:00:00")))
	key, secret, err := s.keys.Create(t.Context(), "reporting", keys.Viewer, []string{account})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.twilio(key.Sid, secret).FetchConference(sid("CF", 1), nil); err != nil {
		t.Error(err)
	}
}

func TestTwiliosClientUnderstandsTheErrors(t *testing.T) {
	t.Parallel()
	s := start(t, room(1, "floor", at("08-01 23:00:00")))
	c, strange := s.twilio(account, token), s.twilio(account, "wrong")
	for name, call := range map[string]struct {
		ask          func() error
		status, code int
	}{
		"wrong token":  {func() error { _, err := strange.FetchConference(sid("CF", 1), nil); return err }, 401, 20003},
		"no such room": {func() error { _, err := c.FetchConference(sid("CF", 2), nil); return err }, 404, 20404},
		"room by name": {func() error { _, err := c.FetchConference("floor", nil); return err }, 405, 20004},
		"a date with a time": {func() error {
			_, err := c.ListConference(new(twilio.ListConferenceParams).SetDateCreated("2026-08-01T00:00:00Z"))
			return err
		}, 400, 20001},
	} {
		var told *client.TwilioRestError
		if err := call.ask(); !errors.As(err, &told) || told.Status != call.status || told.Code != call.code {
			t.Errorf("%s: %v, want %d/%d", name, err, call.status, call.code)
		}
	}
}

func ptr[T any](v T) *T { return &v }

func TestTwiliosClientWrites(t *testing.T) {
	t.Parallel()
	f := openFloor(t)
	c := f.twilio(account, token)
	paused, err := c.UpdateConferenceRecording(f.conference, "Twilio.CURRENT",
		new(twilio.UpdateConferenceRecordingParams).SetStatus("paused").SetPauseBehavior("skip"))
	if err != nil || *paused.Status != "paused" {
		t.Fatalf("pause: %+v, %v", paused, err)
	}
	if err := c.DeleteConferenceRecording(f.conference, *paused.Sid, nil); err != nil {
		t.Errorf("delete the recording: %v", err)
	}
	boss, err := c.CreateParticipant("floor", new(twilio.CreateParticipantParams).
		SetFrom("+15005550006").SetTo("+15005550009").SetLabel("boss | 100 %").SetEarlyMedia(false).
		SetStatusCallback("https://example.com/x?a=1&b=2").SetStatusCallbackEvent([]string{"ringing", "answered"}))
	if err != nil || *boss.Label != "boss | 100 %" || *boss.ConferenceSid != f.conference {
		t.Fatalf("add: %+v, %v", boss, err)
	}
	held, err := c.UpdateParticipant(f.conference, f.customer, new(twilio.UpdateParticipantParams).SetHold(true))
	if err != nil || !*held.Hold {
		t.Errorf("hold: %+v, %v", held, err)
	}
	// This client expects its caller to escape labels.
	muted, err := c.UpdateParticipant(f.conference, url.PathEscape("müller & söhne 100% | a"), new(twilio.UpdateParticipantParams).SetMuted(true))
	if err != nil || *muted.CallSid != f.customer || !*muted.Muted {
		t.Errorf("mute: %+v, %v", muted, err)
	}
	if err := c.DeleteParticipant(f.conference, f.customer, nil); err != nil {
		t.Errorf("kick: %v", err)
	}
	if _, err := c.UpdateConference(f.conference, new(twilio.UpdateConferenceParams).SetAnnounceUrl("https://example.com/x").SetAnnounceMethod("GET")); err != nil {
		t.Errorf("announce: %v", err)
	}
	ended, err := c.UpdateConference(f.conference, new(twilio.UpdateConferenceParams).SetStatus("completed"))
	if err != nil || *ended.Status != "completed" || *ended.ReasonConferenceEnded != "conference-ended-via-api" {
		t.Errorf("end: %+v, %v", ended, err)
	}
	if all := f.records(); len(all) != 2*8 {
		t.Errorf("the journal has %d entries", len(all))
	}
}

func TestTwiliosClientUnderstandsRefusedWrites(t *testing.T) {
	t.Parallel()
	f := openFloor(t)
	viewer, secret := f.key(keys.Viewer)
	c := f.twilio(account, token)
	for name, call := range map[string]struct {
		ask          func() error
		status, code int
	}{
		"a viewer": {func() error { return f.twilio(viewer, secret).DeleteParticipant(f.conference, f.agent, nil) }, 403, 20403},
		"a label that is taken": {func() error {
			_, err := c.CreateParticipant("floor", new(twilio.CreateParticipantParams).SetFrom("+15005550006").SetTo("+15005550009").SetLabel("agent"))
			return err
		}, 400, 16026},
		"nobody of that label": {func() error { return c.DeleteParticipant(f.conference, "nobody", nil) }, 404, 20404},
		"a conference by name": {func() error {
			_, err := c.UpdateConference("floor", new(twilio.UpdateConferenceParams).SetStatus("completed"))
			return err
		}, 405, 20004},
	} {
		var told *client.TwilioRestError
		if err := call.ask(); !errors.As(err, &told) || told.Status != call.status || told.Code != call.code {
			t.Errorf("%s: %v, want %d/%d", name, err, call.status, call.code)
		}
	}
}
