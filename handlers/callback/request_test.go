package callback_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gavel/events"
	"gavel/internal/twilio"
)

// story is one file of testdata/requests: a request, which the test signs, and
// the expected outcome.
type story struct {
	status, reason, dead string
	ignored              string // the kind that is counted; nothing is stored
	unsigned             bool
	sent                 string
}

func readStory(t *testing.T, path string) story {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, _ := strings.Cut(string(raw), "--- ")
	var s story
	for line := range strings.Lines(head) {
		word, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "want":
			s.status, s.reason, _ = strings.Cut(value, " ")
		case "ignored":
			s.status, s.ignored = "204", value
		case "dead":
			s.dead = value
		case "unsigned":
			s.unsigned = true
		}
	}
	s.sent = strings.TrimSuffix(strings.TrimPrefix(rest, "sent\n"), "\n")
	return s
}

// signature signs the request. A body that is not a form adds nothing to the
// signed text: the door refuses it before it checks the signature.
func (s story) signature(t *testing.T) string {
	t.Helper()
	head, body, _ := strings.Cut(strings.TrimSuffix(s.sent, "\n"), "\n\n")
	words := strings.Fields(head)
	target, err := url.Parse(words[1])
	if err != nil {
		t.Fatal(err)
	}
	target.ForceQuery = false // Twilio signs no question mark without a query
	signed, err := events.ParseForm(body, 1000)
	if err != nil || words[0] == http.MethodGet {
		signed = nil
	}
	return twilio.Sign(token, public+target.RequestURI(), signed)
}

// bytes is the request in HTTP/1.1.
func (s story) bytes(t *testing.T) string {
	t.Helper()
	head, body, _ := strings.Cut(s.sent, "\n\n")
	if !strings.Contains(head, twilio.SignatureHeader) && !s.unsigned {
		head += "\n" + twilio.SignatureHeader + ": {signature}"
	}
	if strings.Contains(head, "{signature}") {
		head = strings.ReplaceAll(head, "{signature}", s.signature(t))
	}
	if body != "" {
		head += fmt.Sprintf("\nContent-Length: %d", len(body))
	}
	return strings.ReplaceAll(head+"\nConnection: close\n\n", "\n", "\r\n") + body
}

// The test sends every file of testdata/requests over a real connection.
func TestEachRequestHasItsOutcome(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/requests/*.http")
	if err != nil || len(files) == 0 {
		t.Fatalf("no requests: %v", err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".http"), func(t *testing.T) {
			t.Parallel()
			s, w := readStory(t, path), newWorld(t)
			server := httptest.NewServer(w.door)
			defer server.Close()
			resp := dial(t, server.Listener.Addr().String(), s.bytes(t))
			if got := fmt.Sprint(resp.StatusCode); got != s.status {
				t.Errorf("answered %s, want %s", got, s.status)
			}
			w.wantOutcome(t, s, resp)
		})
	}
}

func dial(t *testing.T, address, request string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := conn.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// wantOutcome compares everything that a request leaves behind.
func (w *world) wantOutcome(t *testing.T, s story, resp *http.Response) {
	t.Helper()
	entries, dead := w.journal.drain(), w.letters.drain()
	if accepted := s.status == "204" && s.ignored == ""; accepted != (len(entries) == 1) || len(entries) > 1 {
		t.Errorf("%d entries in the journal", len(entries))
	}
	if (s.dead != "") != (len(dead) == 1) || len(dead) == 1 && dead[0].Field != s.dead {
		t.Errorf("dead letters: %+v, want one about %q", dead, s.dead)
	}
	if s.ignored != "" && w.counted(t, "gavel_ignored_total", s.ignored) != 1 {
		t.Errorf("not counted as ignored: %s", s.ignored)
	}
	if s.reason != "" {
		if got := w.counted(t, "gavel_refused_total", s.reason); got != 1 {
			t.Errorf("refused for %s: counted %v\n%s", s.reason, got, w.log)
		}
		if !strings.Contains(w.log.String(), "reason="+s.reason) || !strings.Contains(w.log.String(), "expected_url="+public+"/twilio/") {
			t.Errorf("the log does not have the reason: %s", w.log)
		}
	}
	if allow := resp.Header.Get("Allow"); (s.status == "405") != (allow == "GET, POST") {
		t.Errorf("Allow: %q", allow)
	}
}
