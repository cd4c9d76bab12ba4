package app_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gavel/app"
	"gavel/events"
	"gavel/internal/bus"
)

const (
	journalAccount    = "AC25e16e9a716a4a8617a7c83f58e30482"
	journalConference = "CF000000000000000000000000000000"
)

// appendStart adds the start of a conference to the journal of a process that is not running.
func appendStart(t *testing.T, dir, number string) {
	t.Helper()
	b, err := bus.Open(t.Context(), bus.Config{DataDir: dir}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	sid := journalConference + number
	e := events.Entry{Source: events.SourceCallback, ReceivedAt: time.Now(), Form: "StatusCallbackEvent=conference-start&SequenceNumber=1" +
		"&FriendlyName=room&Timestamp=Mon%2C+30+Nov+2026+09%3A00%3A00+%2B0000&AccountSid=" + journalAccount + "&ConferenceSid=" + sid}
	if err := b.Journal().Append(t.Context(), sid, e); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
}

// process is one that runs, and what it answers.
type process struct {
	*app.App
	t   *testing.T
	key []string
}

func startProcess(t *testing.T, o app.Options) *process {
	t.Helper()
	a, err := app.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(a.Info().KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	return &process{a, t, strings.SplitN(strings.TrimSpace(string(raw)), ":", 2)}
}

func (p *process) call(method, path, body string) (int, string) {
	p.t.Helper()
	r, err := http.NewRequest(method, "http://"+p.Info().Public+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.SetBasicAuth(p.key[0], p.key[1])
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(text)
}

func (p *process) want(method, path, body string, status int, text string) {
	p.t.Helper()
	if got, answer := p.call(method, path, body); got != status || !strings.Contains(answer, text) {
		p.t.Errorf("%s %s: %d %s, want %d with %q", method, path, got, answer, status, text)
	}
}

func (p *process) stop() {
	p.t.Helper()
	if err := p.Stop(context.WithoutCancel(p.t.Context())); err != nil {
		p.t.Error(err)
	}
}

// A backup of the embedded NATS is restored below a data directory that remembers more.
func TestARestoredJournalWaitsForAnOperator(t *testing.T) {
	t.Parallel()
	o := options(t)
	appendStart(t, o.DataDir, "01")
	backup := t.TempDir()
	if err := os.CopyFS(backup, os.DirFS(filepath.Join(o.DataDir, "nats"))); err != nil {
		t.Fatal(err)
	}
	appendStart(t, o.DataDir, "02")
	p := startProcess(t, o)
	if err := p.AwaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	rest := "/2010-04-01/Accounts/" + journalAccount + "/Conferences/" + journalConference
	p.want(http.MethodGet, "/v1/journal", "", http.StatusOK, `"held":[]`)
	p.want(http.MethodPost, "/v1/journal/accept", `{"reason":"nothing happened"}`, http.StatusConflict, "nothing to accept")
	p.want(http.MethodGet, rest+"02.json", "", http.StatusOK, "in-progress")
	p.stop()

	if err := os.RemoveAll(filepath.Join(o.DataDir, "nats")); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(o.DataDir, "nats"), os.DirFS(backup)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(o.DataDir, "api-key")); err != nil {
		t.Fatal(err)
	}
	appendStart(t, o.DataDir, "03")
	appendStart(t, o.DataDir, "04")
	p = startProcess(t, o)
	defer p.stop()
	p.awaitHeld()
	p.want(http.MethodGet, "/readyz", "", http.StatusServiceUnavailable, "journal-damaged from 1 to 2")
	p.want(http.MethodGet, "/readyz/door", "", http.StatusOK, "")
	p.want(http.MethodGet, "/v1/stop", "", http.StatusOK, `"stopped":true`)
	for _, number := range []string{"01", "02", "03", "99"} {
		p.want(http.MethodGet, rest+number+".json", "", http.StatusServiceUnavailable, "")
	}
	p.want(http.MethodPost, "/v1/journal/accept", `{"reason":"the backup is all there is"}`, http.StatusOK, "")
	if err := p.AwaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	for number, status := range map[string]int{"01": 200, "02": 404, "03": 200, "04": 200} {
		p.want(http.MethodGet, rest+number+".json", "", status, "")
	}
	p.want(http.MethodGet, "/v1/stop", "", http.StatusOK, `"stopped":false`)
	p.want(http.MethodGet, "/v1/journal", "", http.StatusOK, "the backup is all there is")
}

// awaitHeld polls, because no signal leaves the process when a lane is held.
func (p *process) awaitHeld() {
	p.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		_, text := p.call(http.MethodGet, "/v1/journal", "")
		var state struct{ Held []any }
		if err := json.Unmarshal([]byte(text), &state); err == nil && len(state.Held) > 0 {
			return
		}
		select {
		case <-tick.C:
		case <-p.t.Context().Done():
			p.t.Fatal("no lane is held: " + text)
		}
	}
}

// The verification that an operator requests is done by the owner of the lane.
func TestAJournalIsVerifiedOnRequest(t *testing.T) {
	t.Parallel()
	o := options(t)
	appendStart(t, o.DataDir, "01")
	appendStart(t, o.DataDir, "02")
	p := startProcess(t, o)
	defer p.stop()
	if err := p.AwaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.want(http.MethodPost, "/v1/journal/verify", "", http.StatusOK, `"number":1`)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		_, text := p.call(http.MethodGet, "/v1/journal", "")
		if strings.Contains(text, `"number":1,"from":1,"to":2,"done":2,"finished":true`) {
			break
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("the journal is not verified: " + text)
		}
	}
}
