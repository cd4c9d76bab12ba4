package twilio_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"gavel/events"
	"gavel/internal/twilio"
	"gavel/projections"
)

var (
	roomKey = events.Key{AccountSid: "AC1", ConferenceSid: "CF1"}
	seenAt  = time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC)
)

// pages answers requests by their paths; others are not found.
type pages map[string]twilio.Answer

func (p pages) Call(_ context.Context, call twilio.Call) (twilio.Answer, error) {
	if answer, there := p[call.Path]; there && call.Method == http.MethodGet && call.AccountSid == "AC1" {
		return answer, nil
	}
	return twilio.Answer{Status: http.StatusNotFound, Body: []byte(`{"code": 20404, "status": 404}`)}, nil
}

// A proxy that knows no route answers 404 for everything. That is no word of Twilio's about a conference.
func TestTheNotFoundOfAProxyEndsNoConference(t *testing.T) {
	t.Parallel()
	got, err := snapshot(t, pages{conferencePath: {Status: http.StatusNotFound, Body: []byte("<html>Not Found</html>")}})
	var answered *twilio.AnswerError
	if !errors.As(err, &answered) || answered.Answer.Status != http.StatusNotFound {
		t.Errorf("the state is %+v, the error %v", got, err)
	}
}

const (
	conferencePath = "/2010-04-01/Accounts/AC1/Conferences/CF1.json"
	legsPath       = "/2010-04-01/Accounts/AC1/Conferences/CF1/Participants.json"
)

func ok(body string) twilio.Answer { return twilio.Answer{Status: http.StatusOK, Body: []byte(body)} }

func snapshot(t *testing.T, p pages) (twilio.State, error) {
	t.Helper()
	return twilio.Snapshot(t.Context(), p, roomKey, "", func() time.Time { return seenAt })
}

func TestASnapshotHasAllPages(t *testing.T) {
	t.Parallel()
	got, err := snapshot(t, pages{
		conferencePath: ok(`{"status": "in-progress", "friendly_name": "room"}`),
		legsPath + "?PageSize=250": ok(`{"participants": [{"call_sid": "CA1", "label": "ana", "status": "connected", "hold": true, "muted": null}],
			"next_page_uri": "` + legsPath + `?Page=1"}`),
		legsPath + "?Page=1": ok(`{"participants": [
			{"call_sid": "CA2", "status": "ringing", "start_conference_on_enter": true}, {"call_sid": "CA3", "status": "complete"}], "next_page_uri": null}`),
	})
	want := twilio.State{Known: true, Seen: projections.Seen{Status: "in-progress", At: seenAt, Legs: []projections.SeenLeg{
		{CallSid: "CA1", Label: "ana", Status: "connected", Flags: projections.Flags{Hold: true}},
		{CallSid: "CA2", Status: "ringing", Flags: projections.Flags{StartConferenceOnEnter: true}},
		{CallSid: "CA3", Status: "complete"},
	}}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Fatalf("state (-want +got), %v:\n%s", err, diff)
	}
	if got.Over() || got.Leg("CA2") == nil || got.Leg("CA3") != nil || got.Leg("CA4") != nil {
		t.Errorf("over %v, legs %v %v %v", got.Over(), got.Leg("CA2"), got.Leg("CA3"), got.Leg("CA4"))
	}
}

func TestAConferenceMissingAtTwilioIsNotOver(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]pages{"unknown": {}, "completed": {conferencePath: ok(`{"status": "completed"}`)}} {
		got, err := snapshot(t, p)
		if completed := name == "completed"; err != nil || got.Over() != completed || got.Known != completed || !got.At.Equal(seenAt) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// Both requests are under way at once, and the state is as old as the first of them.
func TestASnapshotIsAsOldAsItsFirstRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		got, err := twilio.Snapshot(t.Context(), slow{}, roomKey, "", time.Now)
		if err != nil || len(got.Legs) != 1 {
			t.Fatalf("the state is %+v, the error %v", got, err)
		}
		// Each request waits 100 ms for its slot, and 1.1 s for its answer.
		if sent, took := got.At.Sub(began), time.Since(began); sent != 100*time.Millisecond || took != 1200*time.Millisecond {
			t.Errorf("the state dates from %s after the beginning and took %s", sent, took)
		}
	})
}

// slow answers after a wait for a slot and 1.1 s.
type slow struct{}

func (slow) Call(_ context.Context, call twilio.Call) (twilio.Answer, error) {
	time.Sleep(100 * time.Millisecond)
	call.Sending()
	time.Sleep(1100 * time.Millisecond)
	if call.Kind == "fetch-conference" {
		return ok(`{"status": "in-progress"}`), nil
	}
	return ok(`{"participants": [{"call_sid": "CA1", "status": "connected"}]}`), nil
}

func TestAnAnswerWithoutTheResourceIsAnError(t *testing.T) {
	t.Parallel()
	room := ok(`{"status": "in-progress"}`)
	first := legsPath + "?PageSize=250"
	for name, p := range map[string]pages{
		"the conference is refused":    {conferencePath: {Status: http.StatusTooManyRequests}},
		"the conference is not JSON":   {conferencePath: ok(`<html>`)},
		"the list fails":               {conferencePath: room, first: {Status: http.StatusBadGateway}},
		"the list is missing":          {conferencePath: room},
		"a page is missing":            {conferencePath: room, first: ok(`{"participants": [], "next_page_uri": "` + legsPath + `?Page=1"}`)},
		"the list has no participants": {conferencePath: room, first: ok(`{}`)},
		"a participant has no SID":     {conferencePath: room, first: ok(`{"participants": [{}]}`)},
		"the conference has no status": {conferencePath: ok(`{}`), first: ok(`{"participants": []}`)},
		"the list is another resource": {conferencePath: room, first: ok(`{"participants": 3}`)},
		"the next page is elsewhere":   {conferencePath: room, first: ok(`{"participants": [], "next_page_uri": "/elsewhere?Page=1"}`)},
		"the pages do not end":         {conferencePath: room, first: ok(`{"participants": [], "next_page_uri": "` + first + `"}`)},
	} {
		_, err := snapshot(t, p)
		var refused *twilio.AnswerError
		if !errors.As(err, &refused) || refused.Answer.Status != p.last() || strings.Contains(err.Error(), "CF1") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// last is the status of the answer that ends a snapshot.
func (p pages) last() int {
	room := p[conferencePath]
	list, listed := p[legsPath+"?PageSize=250"]
	switch {
	case room.Status != http.StatusOK || !strings.Contains(string(room.Body), "in-progress"):
		return room.Status
	case !listed, strings.Contains(string(list.Body), legsPath+"?Page=1"):
		return http.StatusNotFound
	}
	return list.Status
}

func TestTheErrorCodeOfAnAnswer(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]int{
		`{"code": 20404, "message": "x"}`: 20404, `{"code": 99999}`: 99999,
		`{"code": 100000}`: 0, `{"code": -1}`: 0, `{"code": "20404"}`: 0, `{}`: 0, ``: 0, `<html>`: 0,
	} {
		if got := (twilio.Answer{Body: []byte(body)}).Code(); got != want {
			t.Errorf("%s: %d, want %d", fmt.Sprintf("%.40s", body), got, want)
		}
	}
}
