package main

import (
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	official "github.com/twilio/twilio-go/client"
	twilio "github.com/twilio/twilio-go/rest/api/v2010"
)

// toHouse sends what is meant for api.twilio.com to a Gavel: Twilio's Go
// client knows no other host.
type toHouse struct{ at *url.URL }

func (to toHouse) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = to.at.Scheme, to.at.Host
	return http.DefaultTransport.RoundTrip(r)
}

// twilio is Twilio's own client, talking to the house.
func (h *house) twilio(user, password string) *twilio.ApiService {
	h.t.Helper()
	at, err := url.Parse(h.url)
	if err != nil {
		h.t.Fatal(err)
	}
	c := &official.Client{
		Credentials: official.NewCredentials(user, password),
		HTTPClient:  &http.Client{Transport: toHouse{at}, Timeout: patience},
	}
	c.SetAccountSid(testAccount)
	return twilio.NewApiService(official.NewRequestHandler(c))
}

// TestTwiliosClientReadsTheRunningBinary tells a call to the built binary as
// Twilio would, and reads it back with Twilio's own client.
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
	c := h.twilio(testAccount, testToken)
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
	if _, err := h.twilio(testAccount, "wrong").FetchConference(sid, nil); !errors.As(err, &told) || told.Code != 20003 {
		t.Errorf("a wrong token: %v", err)
	}
}

// awaitsOneConference waits until the account's only conference has that
// status, today, with everything told of it, and returns its SID.
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
