package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"gavel/app"
	"gavel/handlers/api"
	"gavel/internal/keys"
	"gavel/internal/logtest"
	"gavel/views"
)

// twilioProcess is `gavel twilio` as a process of its own.
type twilioProcess struct {
	t       *testing.T
	url     string
	banner  string
	command *exec.Cmd
}

// openTwilio runs the built binary until the end of the test.
func openTwilio(t *testing.T, more ...string) *twilioProcess {
	t.Helper()
	args := append([]string{"twilio", "--listen", "127.0.0.1:0", "--log-level", "error"}, more...)
	s := &twilioProcess{t: t, command: exec.Command(binary(t), args...)}
	s.command.Env = []string{"TWILIO_ACCOUNT_SID=" + testAccount, "TWILIO_AUTH_TOKEN=" + testToken}
	out, err := s.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.command.ProcessState == nil {
			_ = s.command.Process.Kill()
			_ = s.command.Wait()
		}
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		s.banner += lines.Text() + "\n"
		if at, ready := strings.CutPrefix(lines.Text(), "gavel: ready twilio="); ready {
			s.url = at
			return s
		}
	}
	t.Fatalf("the stand-in ended before it was ready:\n%s", s.banner)
	return nil
}

// stop sends SIGTERM and returns the exit code.
func (s *twilioProcess) stop() int {
	s.t.Helper()
	_ = s.command.Process.Signal(syscall.SIGTERM)
	_ = s.command.Wait()
	return s.command.ProcessState.ExitCode()
}

// conferences are what its REST API lists.
func (s *twilioProcess) conferences(query string) (sids []string) {
	s.t.Helper()
	h := &house{t: s.t, url: s.url}
	status, body := h.get("/2010-04-01/Accounts/" + testAccount + "/Conferences.json" + query)
	var page struct {
		Conferences []struct{ Sid string }
	}
	if err := json.Unmarshal(body, &page); err != nil || status != http.StatusOK {
		s.t.Fatalf("%d %s", status, body)
	}
	for _, c := range page.Conferences {
		sids = append(sids, c.Sid)
	}
	return sids
}

func TestTheStandInCallsAGavelElsewhere(t *testing.T) {
	t.Parallel()
	h := openHere(t, t.TempDir())
	s := openTwilio(t, "--callback-url", h.public, "--event-streams-url", h.public+"/twilio/events", "--rate", "600", "--lose", "0.3")
	if strings.Contains(s.banner, testToken) || !strings.Contains(s.banner, "gavel serve --twilio-api "+s.url) {
		t.Errorf("the banner is\n%s", s.banner)
	}
	var ended []string
	eventually(t, func() string {
		if ended = s.conferences("?Status=completed"); len(ended) < 3 {
			return "no three conferences ended"
		}
		return ""
	})
	for _, sid := range ended {
		eventually(t, func() string {
			var record views.Record
			if got := h.asks("conferences", "get", sid, "--output", "json"); got.code != exitOK {
				return got.err
			} else if err := json.Unmarshal([]byte(got.out), &record); err != nil || record.Status != "completed" {
				return "conference " + sid + " is " + record.Status
			}
			return ""
		})
	}
	if code := s.stop(); code != exitOK {
		t.Errorf("exit code %d after SIGTERM", code)
	}
}

func TestTheStandInStopsWhileRequestsHang(t *testing.T) {
	t.Parallel()
	s := openTwilio(t, "--rate", "0", "--rest-silent", "1")
	hung := make(chan error, 1)
	go func() {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/2010-04-01/Accounts/"+testAccount+".json", nil)
		if err != nil {
			hung <- err
			return
		}
		request.SetBasicAuth(testAccount, testToken)
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			response.Body.Close()
		}
		hung <- err
	}()
	eventually(t, func() string {
		select {
		case err := <-hung:
			return "answered: " + err.Error()
		default:
		}
		return s.lacksASecondRequest()
	})
	began := time.Now()
	if code := s.stop(); code != exitOK || time.Since(began) > app.AnswerTime {
		t.Errorf("exit code %d after %v", code, time.Since(began))
	}
	if err := <-hung; err == nil {
		t.Error("the request was answered after all")
	}
}

// lacksASecondRequest is "" once a request hangs besides this one, which a stranger's may ask.
func (s *twilioProcess) lacksASecondRequest() string {
	response, err := http.Get(s.url + "/2010-04-01/Accounts/" + testAccount + ".json")
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	if response.Header.Get("Twilio-Concurrent-Requests") != "2" {
		return "no request hangs"
	}
	return ""
}

func TestTheStandInSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"--rest-429: 2 is not 0 to 1":      {"--rest-429", "2"},
		"--rate: 7000 is not 0 to 6000":    {"--rate", "7000"},
		"--callback-url: is not http":      {"--callback-url", "nowhere"},
		"--api-key: is not SID:SECRET":     {"--api-key", "SK1:"},
		"--event-streams-url: is not http": {"--event-streams-url", "nowhere"},
	} {
		if got := gavelSays(t, nil, append([]string{"twilio"}, args...)...); got.code != exitUsage || !strings.Contains(got.err, want) {
			t.Errorf("%v: %+v", args, got)
		}
	}
}

// A person who watches the demo ends a conference through Gavel, and the stand-in ends it.
func TestTheDemoCanBeWrittenTo(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	out, stdout := io.Pipe()
	var log logtest.Text
	code := make(chan int, 1)
	go func() {
		args := []string{"demo", "--rate", "240", "--listen", "127.0.0.1:0", "--nats-listen", "off"}
		code <- run(ctx, args, terminal{strings.NewReader(""), stdout, &log, environment(oneAccount)})
		stdout.Close()
	}()
	h := &house{t: t, sid: demoAccountSid, token: demoAuthToken}
	var shown logtest.Text
	t.Cleanup(func() {
		cancel()
		if got := <-code; got != exitOK {
			t.Errorf("gavel demo ended with %d", got)
		}
		if t.Failed() {
			t.Logf("it showed\n%s\nits log:\n%s", shown.String(), log.String())
		}
	})
	h.awaitReady(io.TeeReader(out, &shown))
	owner := api.NewKey{Key: keys.Key{Sid: demoAccountSid}, Secret: demoAuthToken}
	prefix := "/2010-04-01/Accounts/" + demoAccountSid + "/Conferences"
	var ended string
	eventually(t, func() string {
		var page struct{ Conferences []struct{ Sid string } }
		if _, body := h.get(prefix + ".json?Status=in-progress"); json.Unmarshal(body, &page) != nil || len(page.Conferences) == 0 {
			return "no conference is in progress"
		}
		if ended = page.Conferences[0].Sid; h.ends(ended, owner) != http.StatusOK {
			return "the conference was not ended; it may have been over"
		}
		return ""
	})
	eventually(t, func() string {
		if _, body := h.get(prefix + "/" + ended + ".json"); !strings.Contains(string(body), `"reason_conference_ended":"conference-ended-via-api"`) {
			return "Gavel does not say that it was ended: " + string(body)
		}
		return ""
	})
}

// A program beside Gavel ends a call at Twilio. Event Streams reports its request, so the reason of
// the end names it, and the timeline shows it.
func TestARequestFromOutsideGavelIsTheEvidenceOfAnEnd(t *testing.T) {
	t.Parallel()
	h := openHere(t, t.TempDir())
	s := openTwilio(t, "--callback-url", h.public, "--event-streams-url", h.public+"/twilio/events", "--rate", "600")
	var sid string
	eventually(t, func() string {
		for _, sid = range s.conferences("?Status=in-progress") {
			if (&house{t: t, url: s.url, public: h.public}).endsAtTwilio(sid) == http.StatusOK {
				return ""
			}
		}
		return "no conference of the floor could be ended"
	})
	eventually(t, func() string {
		_, record := h.get("/v1/conferences/" + sid)
		_, timeline := h.get("/v1/conferences/" + sid + "/timeline")
		if !strings.Contains(string(record), "not through Gavel but by an API request at ") || !strings.Contains(string(timeline), `"gavel.api-request-conference-modified.v1"`) {
			return "the request is not named in " + string(record) + string(timeline)
		}
		return ""
	})
}

// endsAtTwilio requests the end of a conference with the account's token.
func (h *house) endsAtTwilio(sid string) int {
	return h.ends(sid, api.NewKey{Key: keys.Key{Sid: testAccount}, Secret: testToken})
}
