package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gavel/handlers/api"
)

func TestTheJournalIsVerifiedByACommand(t *testing.T) {
	t.Parallel()
	h := openHere(t, t.TempDir())
	if got := h.sends("--name", "room"); got.code != exitOK {
		t.Fatalf("send: %s", got.err)
	}
	got := h.asks("journal", "verify")
	if got.code != exitOK || !strings.Contains(got.out, "lane 0: verified from 1 to ") || !strings.Contains(got.out, "the journal is the one that Gavel processed") {
		t.Errorf("exit code %d, output %q, errors %q", got.code, got.out, got.err)
	}
	var state api.JournalState
	h.asksJSON(&state, "journal", "verify", "--show")
	if v := state.Verification; v == nil || v.Number != 1 || !v.Finished || len(v.Verified) != 1 {
		t.Errorf("state: %+v", state.Verification)
	}
}

// A verification that holds a lane ends with the lane's extent and exit code 1.
func TestAHeldLaneFailsTheVerification(t *testing.T) {
	t.Parallel()
	const held = `{"held":[{"lane":0,"kind":"journal-damaged","from":5,"to":9,"why":"it differs","since":"2026-11-30T12:00:00Z"}],"accepted":[],
		"verification":{"number":3,"by":"kate","at":"2026-11-30T12:00:00Z","lanes":1,"verified":[],"finished":true}}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodPost {
			_, _ = io.WriteString(w, `{"number":3}`)
			return
		}
		_, _ = io.WriteString(w, held)
	}))
	defer server.Close()
	got := gavelSays(t, nil, "journal", "verify", "--server", server.URL, "--api-key", "SK0123456789abcdef0123456789abcdef:secret")
	if got.code != exitFailure || !strings.Contains(got.out, "journal-damaged") || !strings.Contains(got.err, "gavel journal accept") {
		t.Errorf("exit code %d, output %q, errors %q", got.code, got.out, got.err)
	}
}
