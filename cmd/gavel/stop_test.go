package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gavel/cmd/gavel/render"
	"gavel/handlers/api"
	"gavel/internal/brakes"
)

// answering is a Gavel that gives every request the same answer.
func answering(t *testing.T, status int, body string) (url string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestAStopWithoutAnAnswerIsWrittenToAFile(t *testing.T) {
	t.Parallel()
	for name, server := range map[string]string{
		"nobody there": "http://127.0.0.1:1",
		"no answer":    answering(t, http.StatusServiceUnavailable, `{"detail":"a store cannot be reached"}`),
	} {
		dataDir := t.TempDir()
		got := gavelSays(t, nil, "stop", "--reason", "wrong calls end", "--server", server, "--data-dir", dataDir, "--api-key", "a:b")
		file := filepath.Join(dataDir, brakes.StopFile)
		if got.code != exitOK || !strings.Contains(got.out, "Wrote "+file) {
			t.Errorf("%s: %+v", name, got)
		}
		if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), "wrong calls end") {
			t.Errorf("%s: the file has %q: %v", name, text, err)
		}
	}
	// Without a key no request is possible; the file needs none.
	dataDir := t.TempDir()
	if got := gavelSays(t, nil, "stop", "--reason", "x", "--data-dir", dataDir, "--output", "json"); got.code != exitOK || !strings.Contains(got.out, `"stopped": true`) {
		t.Errorf("without a key: %+v", got)
	}
}

func TestAStopThatIsNowhereSaysSoLoudly(t *testing.T) {
	t.Parallel()
	got := gavelSays(t, nil, "stop", "--reason", "x", "--server", "http://127.0.0.1:1", "--data-dir", filepath.Join(t.TempDir(), "none"), "--api-key", "a:b")
	if got.code != exitFailure || !strings.Contains(got.err, "NOTHING IS STOPPED") {
		t.Errorf("%+v", got)
	}
}

// Who may not stop does not get around that with a file.
func TestARefusedStopIsNoStop(t *testing.T) {
	t.Parallel()
	dataDir := t.TempDir()
	server := answering(t, http.StatusForbidden, `{"detail":"this takes an operator's API key"}`)
	got := gavelSays(t, nil, "stop", "--reason", "x", "--server", server, "--data-dir", dataDir, "--api-key", "a:b")
	if got.code != exitFailure || !strings.Contains(got.err, "operator") {
		t.Errorf("%+v", got)
	}
	if _, err := os.Stat(filepath.Join(dataDir, brakes.StopFile)); err == nil {
		t.Error("there is a file")
	}
}

func TestRulesStopAndGoOn(t *testing.T) {
	t.Parallel()
	h := openHere(t, t.TempDir())
	if got := h.asks("stop", "--reason", "wrong calls end"); got.code != exitOK || !strings.Contains(got.out, "rules are stopped") || !strings.Contains(got.out, "nothing is on its way to Twilio") {
		t.Fatalf("stop: %+v", got)
	}
	if got := h.asks("rules", "status"); !strings.Contains(got.out, "STOPPED") || !strings.Contains(got.out, "wrong calls end") || !strings.Contains(got.out, render.NoRules) {
		t.Errorf("rules status: %+v", got)
	}
	if got := h.asks("resume", "--reason", "mended"); got.code != exitOK || !strings.Contains(got.out, "rules go on") {
		t.Errorf("resume: %+v", got)
	}
	if err := brakes.WriteStopFile(h.dataDir, brakes.Stop{Reason: "by file"}); err != nil {
		t.Fatal(err)
	}
	var stopped api.RuleStatus
	if h.asksJSON(&stopped, "rules", "status"); !stopped.Stop.Stopped {
		t.Errorf("the file does not stop: %+v", stopped)
	}
	if got := h.asks("resume", "--reason", "mended"); got.code != exitOK || !strings.Contains(got.out, "removed ") || !strings.Contains(got.out, "rules go on") {
		t.Errorf("resume from the file: %+v", got)
	}
}

func TestWithoutRulesTheCommandsSayHowToHaveSome(t *testing.T) {
	t.Parallel()
	h := openHere(t, t.TempDir())
	h.sends("--name", "support-103")
	eventually(t, func() string { return h.lacks("support-103") })
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"rules", "status"}, exitOK},
		{[]string{"rules", "armed"}, exitOK},
		{[]string{"rules", "reset", "end-orphaned", "--reason", "x"}, exitFailure},
		{[]string{"exempt", "support-103", "--for", "30m", "--reason", "x"}, exitFailure},
	} {
		if got := h.asks(c.args...); got.code != c.code || !strings.Contains(got.out+got.err, render.NoRules) {
			t.Errorf("%v: %+v", c.args, got)
		}
	}
	if got := h.asks("deadletters", "list"); got.code != exitOK || got.out != "no dead letters\n" {
		t.Errorf("deadletters list: %+v", got)
	}
}

func TestARefusedCallbackIsFoundAndGoesOn(t *testing.T) {
	t.Parallel()
	h := openHere(t, t.TempDir())
	h.sends("--name", "support-103", "--param", "Muted=perhaps")
	eventually(t, func() string {
		if got := h.asks("deadletters", "list"); !strings.Contains(got.out, "refused") || !strings.Contains(got.out, "Muted") {
			return "no letter: " + got.out
		}
		return ""
	})
	if got := h.asks("deadletters", "show", "1"); got.code != exitOK || !strings.Contains(got.out, "perhaps") {
		t.Errorf("show: %+v", got)
	}
	if got := h.asks("deadletters", "redrive", "1"); got.code != exitFailure || !strings.Contains(got.err, "it still cannot be read: Muted") {
		t.Errorf("redrive: %+v", got)
	}
	if got := h.asks("deadletters", "show", "2"); got.code != exitFailure || !strings.Contains(got.err, "`gavel deadletters list` lists them") {
		t.Errorf("one that there is not: %+v", got)
	}
}

const orphanRules = `rules:
  - name: end-orphaned
    when: size(conference.live) == 1
    for: 1h
    do: [{end: {}}]
    mode: live
  - name: say-alone
    when: size(conference.live) == 1
    do: [{publish: {subject: calls.alone}}]
`

func TestWhatRulesAreAboutToDoIsSeenAndKeptFromHappening(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(file, []byte(orphanRules), 0o600); err != nil {
		t.Fatal(err)
	}
	h := openHere(t, t.TempDir(), "--rules", file)
	if got := h.asks("rules", "status"); got.code != exitOK || !strings.Contains(got.out, "end-orphaned") || !strings.Contains(got.out, "in force: version") {
		t.Errorf("rules status: %+v", got)
	}
	// A lane takes the rules over within a second or so; a call before that is judged by them then.
	h.sends("--name", "support-103")
	armed := func(want string) {
		t.Helper()
		eventually(t, func() string {
			if got := h.asks("rules", "armed"); !strings.Contains(got.out, want) {
				return want + " is not in:\n" + got.out + got.err
			}
			return ""
		})
	}
	armed("end-orphaned")
	eventually(t, func() string {
		if _, body := h.get("/v1/decisions?rule=say-alone"); !strings.Contains(string(body), `"verdict":"would"`) {
			return "the rule in shadow decided nothing: " + string(body)
		}
		return ""
	})
	if got := h.asks("exempt", "support-103", "--for", "30m", "--reason", "the board is in there"); got.code != exitOK || !strings.Contains(got.out, "no rule touches support-103") {
		t.Fatalf("exempt: %+v", got)
	}
	armed("exemption")
	if got := h.asks("rules", "armed"); strings.Contains(got.out, "end-orphaned") {
		t.Errorf("the rule still runs:\n%s", got.out)
	}
	if got := h.asks("exempt", "support-103", "--for", "0s", "--reason", "they are done"); got.code != exitOK {
		t.Fatalf("exempt no more: %+v", got)
	}
	armed("end-orphaned")
	// A rule that is not tripped begins again where its attempts failed.
	if got := h.asks("rules", "reset", "end-orphaned", "--reason", "x"); got.code != exitOK {
		t.Errorf("reset: %+v", got)
	}
	if got := h.asks("rules", "reset", "end-orphans", "--reason", "x"); got.code != exitFailure || !strings.Contains(got.err, "no such rule; did you mean \"end-orphan") || !strings.Contains(got.err, "`gavel rules status` lists them") {
		t.Errorf("reset of a rule that there is not: %+v", got)
	}
	if got := h.asks("exempt", "support-103", "--for", "1m", "--rule", "end-orphans", "--reason", "x"); got.code != exitFailure || !strings.Contains(got.err, "body.rule") {
		t.Errorf("a rule that there is not: %+v", got)
	}
}
