package twiliofake_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/twilio/twilio-go/client"
	openapi "github.com/twilio/twilio-go/rest/api/v2010"

	"gavel/internal/twilio/twiliofake"
)

// elsewhere sends requests for api.twilio.com to the fake.
type elsewhere struct{ host string }

func (e elsewhere) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.URL.Scheme, request.URL.Host = "http", e.host
	return http.DefaultTransport.RoundTrip(request)
}

// official is Twilio's own client.
func (x *exchange) official() *openapi.ApiService {
	x.t.Helper()
	c := &client.Client{
		Credentials: client.NewCredentials(account, authToken),
		HTTPClient:  &http.Client{Transport: elsewhere{x.http.Listener.Addr().String()}},
	}
	c.SetAccountSid(account)
	return openapi.NewApiService(client.NewRequestHandler(c))
}

// Twilio's own client for Go works with every method of the resource.
func TestTwiliosOwnClientWorks(t *testing.T) {
	t.Parallel()
	x := opens(t, nil)
	api := x.official()
	made, err := api.CreateParticipant("support 1", (&openapi.CreateParticipantParams{}).
		SetFrom("+14155550199").SetTo(willing).SetLabel("customer | ü").SetConferenceRecord("true"))
	if err != nil || *made.Status != "queued" {
		t.Fatalf("create: %v, %v", made, err)
	}
	sid := *made.ConferenceSid
	if _, err := api.CreateParticipant(sid, (&openapi.CreateParticipantParams{}).SetFrom("+14155550199").SetTo(willing).SetLabel("kate")); err != nil {
		t.Fatalf("create: %v", err)
	}
	x.settles(time.Minute)
	if got, err := api.UpdateParticipant(sid, "kate", (&openapi.UpdateParticipantParams{}).SetHold(true).SetMuted(true)); err != nil || !*got.Hold || !*got.Muted {
		t.Errorf("update: %v, %v", got, err)
	}
	if got, err := api.ListParticipant(sid, (&openapi.ListParticipantParams{}).SetHold(true)); err != nil || len(got) != 1 || *got[0].Label != "kate" {
		t.Errorf("list participants: %v, %v", got, err)
	}
	if got, err := api.FetchParticipant(sid, *made.CallSid, nil); err != nil || *got.Status != "connected" {
		t.Errorf("fetch participant: %v, %v", got, err)
	}
	recordings, err := api.ListConferenceRecording(sid, &openapi.ListConferenceRecordingParams{})
	if err != nil || len(recordings) != 1 {
		t.Fatalf("list recordings: %v, %v", recordings, err)
	}
	if got, err := api.UpdateConferenceRecording(sid, "Twilio.CURRENT", (&openapi.UpdateConferenceRecordingParams{}).SetStatus("paused")); err != nil || *got.Status != "paused" {
		t.Errorf("update recording: %v, %v", got, err)
	}
	if err := api.DeleteConferenceRecording(sid, *recordings[0].Sid, nil); err != nil {
		t.Errorf("delete recording: %v", err)
	}
	if err := api.DeleteParticipant(sid, "kate", nil); err != nil {
		t.Errorf("kick: %v", err)
	}
	if got, err := api.UpdateConference(sid, (&openapi.UpdateConferenceParams{}).SetStatus("completed")); err != nil || *got.ReasonConferenceEnded != "conference-ended-via-api" {
		t.Errorf("end: %v, %v", got, err)
	}
	var refusal *client.TwilioRestError
	if _, err := api.FetchConference(lost, nil); !errors.As(err, &refusal) || refusal.Code != 20404 || refusal.Status != 404 {
		t.Errorf("fetch a missing conference: %v", err)
	}
}

func TestTwiliosOwnClientReadsAllPages(t *testing.T) {
	t.Parallel()
	x := opens(t, nil)
	const conferences = 120
	for i := range conferences {
		if _, _, err := x.Join(fmt.Sprint("room-", i), twiliofake.Leg{}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := x.official().ListConference((&openapi.ListConferenceParams{}).SetStatus("init").SetDateCreated("2026-08-03"))
	seen := map[string]bool{}
	for _, c := range got {
		seen[*c.Sid] = true
	}
	if err != nil || len(got) != conferences || len(seen) != conferences {
		t.Errorf("%d conferences, %d of them different, %v", len(got), len(seen), err)
	}
}
