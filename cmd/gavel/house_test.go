package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gavel/app"
	"gavel/cmd/gavel/render"
	"gavel/handlers/api"
	"gavel/internal/logtest"
	"gavel/internal/redistest"
	"gavel/internal/twilio/twiliofake"
	"gavel/views"
)

func TestACallIsSeenEverywhere(t *testing.T) {
	t.Parallel()
	h := openHere(t, t.TempDir())
	tail := h.tails()
	for _, args := range [][]string{
		{"--event", "participant-join", "--label", "agent-ana", "--seq", "0"},
		{"--event", "participant-join", "--label", "customer", "--seq", "1"},
		{"--event", "conference-start", "--seq", "2"},
		{"--event", "participant-leave", "--label", "customer", "--seq", "3"},
		{"--event", "conference-end", "--seq", "5", "--param", "ReasonConferenceEnded=conference-ended-via-api"},
		{"--event", "recording-completed"},
	} {
		if got := h.sends(append(args, "--name", "support-103")...); got.code != exitOK {
			t.Fatalf("send %v: %+v", args, got)
		}
	}
	tail.awaits(6)

	var record views.Record
	h.asksJSON(&record, "conferences", "get", "support-103")
	if record.Reason != "conference-ended-via-api" || record.Status != "completed" || len(record.Participants) != 2 ||
		len(record.Recordings) != 1 || !cmp.Equal(record.Gaps, [][2]int64{{4, 4}}) {
		t.Errorf("the record is %+v", record)
	}
	var timeline api.TimelineBody
	h.asksJSON(&timeline, "conferences", "timeline", record.Sid)
	if len(timeline.Facts) != 6 {
		t.Errorf("the timeline has %d facts, want 6", len(timeline.Facts))
	}
	var list []views.Conference
	h.asksJSON(&list, "conferences", "list", "--status", "completed")
	if len(list) != 1 || list[0].Sid != record.Sid {
		t.Errorf("the list is %+v", list)
	}
	status, body := h.get("/2010-04-01/Accounts/" + testAccount + "/Conferences/" + record.Sid + ".json")
	var resource struct {
		Status string `json:"status"`
		Reason string `json:"reason_conference_ended"`
	}
	if err := json.Unmarshal(body, &resource); err != nil || status != http.StatusOK || resource.Reason != "conference-ended-via-api" {
		t.Errorf("REST answers %d %s", status, body)
	}
	for _, command := range [][]string{{"conferences", "list"}, {"conferences", "get", "support-103"}, {"conferences", "timeline", "support-103"}} {
		if got := h.asks(command...); got.code != exitOK || !strings.Contains(got.out, "support-103") {
			t.Errorf("gavel %v: %+v", command, got)
		}
	}
}

func TestTheDoorRefusesAWrongSignature(t *testing.T) {
	t.Parallel()
	h := openHere(t, t.TempDir())
	another := maps.Clone(oneAccount)
	another["TWILIO_AUTH_TOKEN"] = "another-token"
	if got := gavelSays(t, another, "send", "--to", h.public); got.code != exitFailure || !strings.Contains(got.out, "403 Forbidden") {
		t.Errorf("a wrong signature: %+v", got)
	}
	if got := h.sends("--param", "Muted=perhaps"); got.code != exitFailure || !strings.Contains(got.out, "403 Forbidden") {
		t.Errorf("a value out of form: %+v", got)
	}
	eventually(t, func() string {
		if _, metrics := h.get("/metrics"); !bytes.Contains(metrics, []byte(`gavel_dead_letters_total{kind="refused"} 1`)) {
			return "no dead letter was counted"
		}
		return ""
	})
	if got := h.asks("conferences", "list"); got.out != "no conferences\n" {
		t.Errorf("the list is %q", got.out)
	}
}

func TestKeysOpenAndClose(t *testing.T) {
	t.Parallel()
	h := openHere(t, t.TempDir())
	var made api.NewKey
	h.asksJSON(&made, "keys", "create", "wallboard", "--account", testAccount)
	mine := []string{"--api-key", made.Sid + ":" + made.Secret}
	if got := h.asks(append([]string{"conferences", "list"}, mine...)...); got.code != exitOK {
		t.Errorf("with the new key: %+v", got)
	}
	if got := h.asks(append([]string{"keys", "list"}, mine...)...); got.code != exitFailure || !strings.Contains(got.err, "answered 403") {
		t.Errorf("a key of one account lists keys: %+v", got)
	}
	if got := h.asks("keys", "list"); !strings.Contains(got.out, made.Sid) || strings.Contains(got.out, made.Secret) {
		t.Errorf("the list is %q", got.out)
	}
	if got := h.asks("keys", "revoke", made.Sid); got.code != exitOK {
		t.Errorf("revoke: %+v", got)
	}
	if got := h.asks(append([]string{"conferences", "list"}, mine...)...); got.code != exitFailure || !strings.Contains(got.err, "answered 401") {
		t.Errorf("with the revoked key: %+v", got)
	}
}

func TestARebuildKeepsThePicture(t *testing.T) {
	t.Parallel()
	h := openHere(t, t.TempDir())
	h.sends("--name", "support-103")
	eventually(t, func() string { return h.lacks("support-103") })
	var before, after views.Record
	h.asksJSON(&before, "conferences", "get", "support-103")
	if got := h.asks("rebuild"); got.code != exitOK || !strings.Contains(got.out, "100 %") {
		t.Fatalf("rebuild: %+v", got)
	}
	h.asksJSON(&after, "conferences", "get", "support-103")
	for i := range before.Participants { // time goes on in between
		before.Participants[i].PresentSeconds = after.Participants[i].PresentSeconds
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the record changed (-before +after):\n%s", diff)
	}
}

func TestAdminHasItsOwnListener(t *testing.T) {
	t.Parallel()
	h := openHere(t, t.TempDir(), "--admin-listen", "127.0.0.1:0")
	for path, want := range map[string]int{"/readyz": http.StatusOK, "/readyz/door": http.StatusOK, "/healthz": http.StatusOK, "/metrics": http.StatusOK, "/v1/openapi.json": http.StatusOK, "/twilio/conference": http.StatusNotFound} {
		if status, body := h.get(path); status != want {
			t.Errorf("admin %s: %d %s, want %d", path, status, body, want)
		}
	}
	public := &house{t: t, url: h.public}
	for _, path := range []string{"/readyz", "/metrics", "/v1/openapi.json", "/2010-04-01/Accounts/" + testAccount + "/Conferences.json"} {
		if status, _ := public.get(path); status != http.StatusNotFound {
			t.Errorf("public %s: %d, want 404", path, status)
		}
	}
	if got := h.sends("--name", "support-103"); got.code != exitOK {
		t.Errorf("send: %+v", got)
	}
}

func TestADoorAloneKeepsWhatOthersReadLater(t *testing.T) {
	t.Parallel()
	dataDir := t.TempDir()
	alone := openHere(t, dataDir, "--roles", "door")
	if got := alone.sends("--name", "support-103"); got.code != exitOK {
		t.Fatalf("send: %+v", got)
	}
	if status, _ := alone.get("/v1/conferences"); status != http.StatusNotFound {
		t.Errorf("/v1 answers %d at a door alone", status)
	}
	if code := alone.stop(); code != exitOK {
		t.Fatalf("the door ended with %d", code)
	}
	all := openHere(t, dataDir)
	eventually(t, func() string { return all.lacks("support-103") })
}

func TestTheDoorStaysOpenWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	h := openHere(t, t.TempDir(), "--redis", redis.URL())
	h.sends("--name", "before")
	eventually(t, func() string { return h.lacks("before") })

	redis.Kill()
	eventually(t, func() string {
		if status, body := h.get("/readyz"); status == http.StatusOK {
			return "Gavel calls itself ready: " + string(body)
		}
		return ""
	})
	if status, body := h.get("/readyz/door"); status != http.StatusOK {
		t.Errorf("the door is not ready: %s", body)
	}
	if got := h.sends("--name", "meanwhile"); got.code != exitOK {
		t.Errorf("the door is closed: %+v", got)
	}
	path := "/2010-04-01/Accounts/" + testAccount + "/Conferences.json"
	if status, body := h.get(path); status != http.StatusServiceUnavailable {
		t.Errorf("REST answers %d %s, want 503", status, body)
	}

	redis.Restart()
	eventually(t, func() string { return h.lacks("meanwhile") })
	redis.FlushAll()
	// What is asked after the loss is answered from the whole picture or not at
	// all, never with a 404.
	eventually(t, func() string {
		switch got := h.asks("conferences", "get", "before"); {
		case got.code == exitOK:
			return ""
		case strings.Contains(got.err, "answered 404"):
			t.Fatalf("a lost picture is served as an empty list: %+v", got)
		}
		return "the picture is not filled again"
	})
}

func TestAnOpenTailDoesNotHoldUpTheStop(t *testing.T) {
	t.Parallel()
	h := openHere(t, t.TempDir())
	h.tails()
	began := time.Now()
	if code := h.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(began); took >= app.AnswerTime {
		t.Errorf("the stop took %s, as it waited for a stream that never ends", took)
	}
}

func TestOneDataDirectoryHasOneProcess(t *testing.T) {
	t.Parallel()
	h := openHere(t, t.TempDir())
	got := gavelSays(t, oneAccount, serveArgs(h.dataDir, nil)...)
	if got.code != exitFailure || !strings.Contains(got.err, "used by another process") {
		t.Errorf("a second process: %+v", got)
	}
}

// lacks returns what is missing until a conference of that name is seen.
func (h *house) lacks(name string) string {
	h.t.Helper()
	if got := h.asks("conferences", "get", name); got.code != exitOK {
		return "conference " + name + ": " + got.err
	}
	return ""
}

// The call floor plays through disorder and doubles, as fast as it is
// answered; at the end Gavel's record of each conference is that of Twilio.
func TestAFloorIsUnderstoodThroughDisorder(t *testing.T) {
	t.Parallel()
	h := openHere(t, t.TempDir())
	told := h.hearsFloor(60)
	for sid, end := range told.ends {
		var got views.Record
		eventually(t, func() string {
			h.asksJSON(&got, "conferences", "get", sid)
			if got.Ended == nil || got.Joined < len(told.legs[sid]) {
				return "conference " + sid + " is not complete"
			}
			return ""
		})
		if got.Reason != end.Get("ReasonConferenceEnded") || got.EndingCall != end.Get("CallSidEndingConference") {
			t.Errorf("conference %s ended by %q for %q, want %q and %q", sid,
				got.EndingCall, got.Reason, end.Get("CallSidEndingConference"), end.Get("ReasonConferenceEnded"))
		}
		for _, gap := range got.Gaps {
			for number := gap[0]; number <= gap[1]; number++ {
				if told.numbers[sid][number] {
					t.Errorf("conference %s misses number %d, which was accepted", sid, number)
				}
			}
		}
	}
}

// hearsFloor lets a disorderly floor call until that many conferences ended,
// and returns what was accepted.
func (h *house) hearsFloor(conferences int) *listener {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.t.Context())
	defer cancel()
	told := &listener{
		ends: map[string]url.Values{}, numbers: map[string]map[int64]bool{}, legs: map[string]map[string]bool{},
		enough: conferences, closing: cancel,
	}
	floor := twiliofake.New(twiliofake.Config{
		AccountSid: testAccount,
		AuthToken:  testToken,
		Status:     twiliofake.Subscription{URL: h.public + "/twilio/conference#rc=5&rp=all"},
		Recording:  twiliofake.Subscription{URL: h.public + "/twilio/recording#rc=5&rp=all"},
		Rate:       20,
		Seed:       3,
		Faults:     twiliofake.Faults{Duplicate: 0.2, Reorder: 0.2, Delay: time.Second},
		Clock:      twiliofake.FastForward(time.Now().Add(-time.Hour)),
		Transport:  told,
	})
	if err := floor.Run(ctx); err != nil {
		h.t.Fatal(err)
	}
	if len(told.ends) < conferences {
		h.t.Fatalf("%d conferences ended, want %d", len(told.ends), conferences)
	}
	return told
}

// listener passes requests on and notes what was accepted, by conference.
type listener struct {
	enough  int
	closing context.CancelFunc // called when so many conferences ended

	mu      sync.Mutex
	ends    map[string]url.Values
	numbers map[string]map[int64]bool
	legs    map[string]map[string]bool
}

// RoundTrip sends one request.
func (l *listener) RoundTrip(request *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	request.Body = io.NopCloser(bytes.NewReader(body))
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil || response.StatusCode != http.StatusNoContent {
		return response, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	l.note(form)
	return response, nil
}

func (l *listener) note(form url.Values) {
	number, err := strconv.ParseInt(form.Get("SequenceNumber"), 10, 64)
	if err != nil {
		return // a recording
	}
	sid := form.Get("ConferenceSid")
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.numbers[sid] == nil {
		l.numbers[sid], l.legs[sid] = map[int64]bool{}, map[string]bool{}
	}
	l.numbers[sid][number] = true
	if call := form.Get("CallSid"); call != "" {
		l.legs[sid][call] = true
	}
	if form.Get("StatusCallbackEvent") == "conference-end" {
		l.ends[sid] = form
	}
	if len(l.ends) == l.enough {
		l.closing()
	}
}

func TestTheDemoShowsAndSums(t *testing.T) {
	t.Parallel()
	got := gavelSays(t, nil, "demo", "--for", "3s", "--rate", "240", "--listen", "127.0.0.1:0", "--nats-listen", "off")
	if got.code != exitOK {
		t.Fatalf("exit code %d: %s", got.code, got.err)
	}
	for _, want := range []string{"participant-join", "conference-start", "Tell Twilio:", "gavel: ready http=", "NAME", "ENDED BY", "conferences, "} {
		if !strings.Contains(got.out, want) {
			t.Errorf("%q is not shown in\n%s", want, got.out)
		}
	}
}

func TestTheDemoTakesAnotherPortWhereItsOwnIsTaken(t *testing.T) {
	t.Parallel()
	h := openHere(t, t.TempDir())
	taken := strings.TrimPrefix(h.public, "http://")
	got := gavelSays(t, nil, "demo", "--for", "100ms", "--listen", taken, "--nats-listen", "off")
	if got.code != exitOK || !strings.Contains(got.out, taken+" is taken, using a free port") {
		t.Errorf("demo: %+v", got)
	}
}

// tailing is a `gavel tail` of everything.
type tailing struct {
	t   *testing.T
	out logtest.Text
	err logtest.Text
}

// tails follows the house from the first event on, until the end of the test.
func (h *house) tails(more ...string) *tailing {
	h.t.Helper()
	tail := &tailing{t: h.t}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	args := append([]string{"tail", "--output", "json", "--server", h.url, "--data-dir", h.dataDir}, more...)
	go func() {
		ended <- run(ctx, args, terminal{strings.NewReader(""), &tail.out, &tail.err, environment(nil)})
	}()
	h.t.Cleanup(func() {
		cancel()
		if code := <-ended; code != exitOK {
			h.t.Errorf("gavel tail ended with %d: %s", code, tail.err.String())
		}
	})
	eventually(h.t, func() string {
		if _, metrics := h.get("/metrics"); !bytes.Contains(metrics, []byte("gavel_api_streams 1")) {
			return "tail is not connected"
		}
		return ""
	})
	return tail
}

// awaits returns the events once there are that many.
func (t *tailing) awaits(events int) []render.Event {
	t.t.Helper()
	var lines []string
	eventually(t.t, func() string {
		lines = strings.Split(strings.TrimSuffix(t.out.String(), "\n"), "\n")
		if t.out.String() == "" || len(lines) < events {
			return fmt.Sprintf("tail shows %d events, want %d", len(lines), events)
		}
		return ""
	})
	shown := make([]render.Event, len(lines))
	for i, line := range lines {
		var err error
		if shown[i], err = render.ParseEvent([]byte(line)); err != nil {
			t.t.Fatal(err)
		}
	}
	return shown
}
