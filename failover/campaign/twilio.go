//go:build linux

package main

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// watched is the name of the conferences that the rule ends.
const watched = "watched"

// endWatched ends each watched conference, without a limit that matters.
const endWatched = `
rules:
  - name: end-watched
    when: conference.friendly_name == "` + watched + `" && size(conference.live) == 1
    for: 1s
    do: [{end: {}}]
    limits: {per_minute: 1000, trip_after: 1000}
    mode: live
`

// twilio answers as if every conference were in progress with one leg, and counts requests to end them.
type twilio struct {
	url string

	mu    sync.Mutex
	ended map[string]int // by ConferenceSid
}

// twilio starts a stand-in and returns it with the arguments of a process whose rule acts there.
func (w *world) twilio() (*twilio, []string) {
	t := &twilio{ended: map[string]int{}}
	server := httptest.NewServer(t)
	w.ends = append(w.ends, server.Close)
	t.url = server.URL
	rules := filepath.Join(w.dir, "rules.yaml")
	must("write the rule", os.WriteFile(rules, []byte(endWatched), 0o600))
	return t, []string{"--rules", rules, "--twilio-api", t.url}
}

// ServeHTTP answers the requests that come before and with an end.
func (t *twilio) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, rest, ok := strings.Cut(r.URL.Path, "/Conferences/")
	sid, _, _ := strings.Cut(strings.TrimSuffix(rest, ".json"), "/")
	w.Header().Set("Content-Type", "application/json")
	switch {
	case !ok:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"code":20404,"message":"not found","more_info":"","status":404}`)
	case strings.HasSuffix(r.URL.Path, "/Participants.json"):
		fmt.Fprintf(w, `{"participants":[{"call_sid":%q,"status":"connected"}],"next_page_uri":null}`, legOf(sid))
	case r.Method == http.MethodPost:
		t.mu.Lock()
		t.ended[sid]++
		t.mu.Unlock()
		fmt.Fprintf(w, `{"sid":%q,"status":"completed"}`, sid)
	default:
		fmt.Fprintf(w, `{"sid":%q,"status":"in-progress"}`, sid)
	}
}

// ends returns how often each conference was ended.
func (t *twilio) ends() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.ended)
}

// requests is the number of all requests to end a conference.
func (t *twilio) requests() (n int) {
	for _, times := range t.ends() {
		n += times
	}
	return n
}
