package main

import (
	"context"
	"errors"
	"net/http/httptest"
	"net/url"
	"testing"

	official "github.com/twilio/twilio-go/client"
	twilio "github.com/twilio/twilio-go/rest/api/v2010"

	"gavel/internal/twilio/twiliofake"
)

// odd is a label as people write them.
const odd = "müller & söhne | 100%"

// TestTwiliosClientWritesThroughTheRunningBinary runs the whole resource: what
// Twilio's own client asks of the built binary the stand-in does and calls back,
// and what came of it is read from the picture.
func TestTwiliosClientWritesThroughTheRunningBinary(t *testing.T) {
	t.Parallel()
	address := freePort(t)
	_, twilioAt := playing(t, twiliofake.Config{AccountSid: testAccount, AuthToken: testToken})
	h := openProcess(t, t.TempDir(), "--listen", address, "--twilio-api", twilioAt)
	c := h.official(testAccount, testToken)

	dial := func(room, label string) *twilio.CreateParticipantParams {
		return new(twilio.CreateParticipantParams).
			SetFrom("+14155550199").SetTo("+14155550100").SetLabel(label).SetConferenceRecord("true").
			SetConferenceStatusCallback(h.public + "/twilio/conference").
			SetConferenceStatusCallbackEvent([]string{"start", "end", "join", "leave", "mute", "hold", "modify", "announcement"}).
			SetConferenceRecordingStatusCallback(h.public + "/twilio/recording").
			SetConferenceRecordingStatusCallbackEvent([]string{"in-progress", "completed"})
	}
	customer, err := c.CreateParticipant(url.PathEscape("support 1"), dial("support 1", odd))
	if err != nil || *customer.Status != "queued" {
		t.Fatalf("add a participant to a room by its name: %+v, %v", customer, err)
	}
	room := *customer.ConferenceSid
	if _, err := c.CreateParticipant(room, dial(room, "kate")); err != nil {
		t.Fatalf("add a participant to a conference: %v", err)
	}
	h.shows(c, room, "both are connected", func(people []twilio.ApiV2010Participant) bool { return len(people) == 2 })

	if _, err := c.UpdateParticipant(room, url.PathEscape(odd), new(twilio.UpdateParticipantParams).SetHold(true).SetMuted(true)); err != nil {
		t.Errorf("hold by label: %v", err)
	}
	h.shows(c, room, "the customer is on hold and muted", func(people []twilio.ApiV2010Participant) bool {
		for _, p := range people {
			if *p.Label == odd {
				return *p.Hold && *p.Muted
			}
		}
		return false
	})
	if _, err := c.UpdateConference(room, new(twilio.UpdateConferenceParams).SetAnnounceUrl("https://example.com/bell.mp3").SetAnnounceMethod("GET")); err != nil {
		t.Errorf("announce: %v", err)
	}
	recording := h.records(c, room)
	if got, err := c.UpdateConferenceRecording(room, "Twilio.CURRENT", new(twilio.UpdateConferenceRecordingParams).SetStatus("paused").SetPauseBehavior("silence")); err != nil || *got.Status != "paused" {
		t.Errorf("pause the recording: %+v, %v", got, err)
	}
	if err := c.DeleteParticipant(room, "kate", nil); err != nil {
		t.Errorf("kick: %v", err)
	}
	h.shows(c, room, "kate is gone", func(people []twilio.ApiV2010Participant) bool { return len(people) == 1 })
	if got, err := c.UpdateConference(room, new(twilio.UpdateConferenceParams).SetStatus("completed")); err != nil || *got.ReasonConferenceEnded != "conference-ended-via-api" {
		t.Errorf("end: %+v, %v", got, err)
	}
	if err := c.DeleteConferenceRecording(room, recording, nil); err != nil {
		t.Errorf("delete the recording: %v", err)
	}
	eventually(t, func() string {
		if got, err := c.FetchConference(room, nil); err != nil || *got.Status != "completed" {
			return "the conference goes on"
		}
		return ""
	})
	h.refusesAsTwilioDoes(c, room)
}

// refusesAsTwilioDoes: the stand-in's errors come through as they are, and
// Gavel's own have Twilio's shape.
func (h *house) refusesAsTwilioDoes(c *twilio.ApiService, ended string) {
	h.t.Helper()
	nobody := madeSid("CA", ended, "nobody")
	stranger := h.official(testAccount, "wrong")
	for name, refused := range map[string]struct {
		ask          func() error
		status, code int
	}{
		"kick nobody":        {func() error { return c.DeleteParticipant(ended, nobody, nil) }, 404, 20404},
		"a lost conference":  {func() error { _, err := c.FetchConference(madeSid("CF", ended, "lost"), nil); return err }, 404, 20404},
		"a wrong token":      {func() error { return stranger.DeleteParticipant(ended, nobody, nil) }, 401, 20003},
		"a room by its name": {func() error { _, err := c.FetchConference("support", nil); return err }, 405, 20004},
		"a number of no phone": {func() error {
			_, err := c.CreateParticipant("support", new(twilio.CreateParticipantParams).SetFrom("+14155550199"))
			return err
		}, 400, 20001},
		"a date with a time": {func() error {
			_, err := c.ListConference(new(twilio.ListConferenceParams).SetDateUpdated("2026-08-01T00:00:00Z"))
			return err
		}, 400, 20001},
	} {
		var told *official.TwilioRestError
		if err := refused.ask(); !errors.As(err, &told) || told.Status != refused.status || told.Code != refused.code {
			h.t.Errorf("%s: %v, want %d/%d", name, err, refused.status, refused.code)
		}
	}
}

// shows waits until the participants of a conference are as wanted.
func (h *house) shows(c *twilio.ApiService, room, what string, wanted func([]twilio.ApiV2010Participant) bool) {
	h.t.Helper()
	eventually(h.t, func() string {
		people, err := c.ListParticipant(room, new(twilio.ListParticipantParams))
		if err != nil || !wanted(people) {
			return "not yet: " + what
		}
		return ""
	})
}

// records waits until a conference is being recorded.
func (h *house) records(c *twilio.ApiService, room string) (sid string) {
	h.t.Helper()
	eventually(h.t, func() string {
		recordings, err := c.ListConferenceRecording(room, new(twilio.ListConferenceRecordingParams))
		if err != nil || len(recordings) != 1 {
			return "no recording is shown"
		}
		sid = *recordings[0].Sid
		return ""
	})
	return sid
}

// playing is a stand-in Twilio that runs until the end of the test, and where its REST API is.
func playing(t *testing.T, c twiliofake.Config) (fake *twiliofake.Twilio, url string) {
	t.Helper()
	fake = twiliofake.New(c)
	server := httptest.NewServer(fake.Handler())
	t.Cleanup(server.Close)
	ctx, end := context.WithCancel(context.Background())
	played := make(chan error, 1)
	go func() { played <- fake.Run(ctx) }()
	t.Cleanup(func() {
		end()
		if err := <-played; err != nil {
			t.Error(err)
		}
	})
	return fake, server.URL
}
