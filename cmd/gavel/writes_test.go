package main

import (
	"cmp"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gavel/handlers/api"
	"gavel/internal/twilio/twiliofake"
	"gavel/views"
)

// standIn is a Twilio without callbacks: `gavel send` sends those.
func standIn(t *testing.T) (fake *twiliofake.Twilio, url string) {
	t.Helper()
	fake = twiliofake.New(twiliofake.Config{AccountSid: testAccount, AuthToken: testToken})
	server := httptest.NewServer(fake.Handler())
	t.Cleanup(server.Close)
	return fake, server.URL
}

// ends requests the end of a conference with an API key, and returns the
// status; 0 where the house is gone before it answers.
func (h *house) ends(sid string, key api.NewKey) int {
	h.t.Helper()
	path := "/2010-04-01/Accounts/" + cmp.Or(h.sid, testAccount) + "/Conferences/" + sid + ".json"
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.url+path, strings.NewReader("Status=completed"))
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(key.Sid, key.Secret)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

// isEnding requests the end of a conference and returns once Twilio has been
// asked; the status of the answer comes later.
func (h *house) isEnding(sid string, key api.NewKey, fake *twiliofake.Twilio) (answered <-chan int) {
	h.t.Helper()
	status := make(chan int, 1)
	go func() { status <- h.ends(sid, key) }()
	eventually(h.t, func() string {
		if fake.Tally(twiliofake.EndConference).Asked == 0 {
			return "Twilio was not asked"
		}
		return ""
	})
	return status
}

// opens returns a conference in the house's picture, and kate's key.
func (h *house) opens(name string) (record views.Record, kate api.NewKey) {
	h.t.Helper()
	h.sends("--name", name, "--seq", "0")
	h.sends("--name", name, "--seq", "1", "--event", "conference-start")
	eventually(h.t, func() string { return h.lacks(name) })
	h.asksJSON(&record, "conferences", "get", name)
	h.asksJSON(&kate, "keys", "create", "kate", "--role", "operator")
	return record, kate
}

// endedBy waits until the end of a conference is known, and who it was.
func (h *house) endedBy(name, want string) {
	h.t.Helper()
	eventually(h.t, func() string {
		var record views.Record
		if h.asksJSON(&record, "conferences", "get", name); record.EndedBy != want {
			return "it was ended by " + record.EndedBy + ", not by " + want
		}
		return ""
	})
}

func (h *house) ended(name string) {
	h.t.Helper()
	got := h.sends("--name", name, "--seq", "2", "--event", "conference-end", "--param", "ReasonConferenceEnded=conference-ended-via-api")
	if got.code != exitOK {
		h.t.Fatalf("send: %+v", got)
	}
}

// The stand-in does not have the conference and answers 404; Gavel returns that
// answer, and publishes both the request and its result.
func TestAWriteIsForwardedAndPublished(t *testing.T) {
	t.Parallel()
	_, twilioAt := standIn(t)
	h := openHere(t, t.TempDir(), "--twilio-api", twilioAt)
	record, kate := h.opens("support-103")
	if status := h.ends(record.Sid, kate); status != http.StatusNotFound {
		t.Errorf("Twilio does not have it, and the answer is %d, want 404", status)
	}
	eventually(t, func() string {
		var timeline api.TimelineBody
		if h.asksJSON(&timeline, "conferences", "timeline", record.Sid); len(timeline.Facts) != 4 {
			return "intent and outcome are not in the timeline"
		}
		return ""
	})
	if got := h.asks("keys", "list"); !strings.Contains(got.out, "operator") {
		t.Errorf("the keys are\n%s", got.out)
	}
}

// Gavel ends it at the stand-in, which sends the callback of its end.
func TestTheActorThatEndedAConferenceIsShown(t *testing.T) {
	t.Parallel()
	address := freePort(t)
	fake, twilioAt := playing(t, twiliofake.Config{
		AccountSid: testAccount, AuthToken: testToken,
		Status: twiliofake.Subscription{URL: "http://" + address + "/twilio/conference"},
	})
	h := openHere(t, t.TempDir(), "--listen", address, "--twilio-api", twilioAt)
	story := fake.NewStory()
	ana := story.Agent("agent-ana").Answers("support-103")
	story.Customer("customer").Calls("support-103")
	if err := story.Plays(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string { return h.lacks("support-103") })
	var kate api.NewKey
	h.asksJSON(&kate, "keys", "create", "kate", "--role", "operator")
	if status := h.ends(ana.ConferenceSid(), kate); status != http.StatusOK {
		t.Fatalf("answered %d", status)
	}
	h.endedBy("support-103", "kate")
	if got := h.asks("conferences", "timeline", ana.ConferenceSid()); !strings.Contains(got.out, "kate") {
		t.Errorf("the timeline is\n%s", got.out)
	}
}

// Twilio ends it and does not answer, and Gavel is killed while it waits: the
// record of the next process names who probably did it.
func TestTheActorThatEndedAConferenceIsShownAfterACrash(t *testing.T) {
	t.Parallel()
	fake, twilioAt := standIn(t)
	fake.SetWeather(twiliofake.Weather{Silent: true})
	dataDir := t.TempDir()
	h := openProcess(t, dataDir, "--twilio-api", twilioAt)
	record, kate := h.opens("support-103")
	answered := h.isEnding(record.Sid, kate, fake)
	h.kill()
	if status := <-answered; status != 0 {
		t.Errorf("the write was answered %d", status)
	}
	next := openHere(t, dataDir)
	next.ended("support-103")
	next.endedBy("support-103", "probably kate")
}

// Gavel is stopped while Twilio carries out the request: it waits for the answer,
// returns it, and publishes it.
func TestAWriteUnderWayOutlivesTheStop(t *testing.T) {
	t.Parallel()
	fake, twilioAt := standIn(t)
	fake.SetWeather(twiliofake.Weather{Delay: time.Second})
	dataDir := t.TempDir()
	h := openProcess(t, dataDir, "--twilio-api", twilioAt)
	record, kate := h.opens("support-103")
	answered := h.isEnding(record.Sid, kate, fake)
	if code := h.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if status := <-answered; status != http.StatusNotFound {
		t.Errorf("the write was answered %d", status)
	}
	next := openHere(t, dataDir)
	eventually(t, func() string {
		next.asksJSON(&record, "conferences", "get", "support-103")
		if len(record.Actions) != 1 || record.Actions[0].Answer == nil || record.Actions[0].Answer.Status != http.StatusNotFound {
			return "the outcome is not told"
		}
		return ""
	})
}

func TestATokenIsRotatedWithoutARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	settings, token := filepath.Join(dir, "gavel.yaml"), filepath.Join(dir, "token")
	put := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(settings, "accounts: [{sid: "+testAccount+", auth_tokens: {current_file: "+token+"}}]\n")
	put(token, testToken)
	h := openProcess(t, t.TempDir(), "--config", settings, "--log-level", "info")
	const rotated = "00000000000000000000000000000001"
	sends := func(token string) int {
		return gavelSays(t, with(maps.Clone(oneAccount), "TWILIO_AUTH_TOKEN", token), "send", "--to", h.public).code
	}
	logs := func(line string) {
		t.Helper()
		eventually(t, func() string {
			if !strings.Contains(h.log(), line) {
				return "the log does not say " + line
			}
			return ""
		})
	}
	if sends(testToken) != exitOK || sends(rotated) == exitOK {
		t.Fatal("the first token is not the one that counts")
	}

	put(token, rotated)
	h.hangUp()
	logs("accounts reloaded")
	if sends(testToken) == exitOK || sends(rotated) != exitOK {
		t.Error("the token was not replaced")
	}

	put(settings, "accounts: [{sid: "+testAccount+", auth_token: "+testToken+"}]\n")
	h.hangUp()
	logs(`unknown key \"auth_token\"`)
	put(settings, "accounts: [{sid: "+testAccount+", auth_tokens: {next: "+testToken+"}}]\n")
	h.hangUp()
	logs("current auth token is missing")
	if err := os.Remove(settings); err != nil {
		t.Fatal(err)
	}
	h.hangUp()
	logs("no such file")
	if sends(rotated) != exitOK {
		t.Error("after a bad file the tokens are no longer accepted")
	}
	if strings.Contains(h.log(), testToken) || strings.Contains(h.log(), rotated) {
		t.Error("a token is in the log")
	}
}
