package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"gavel/internal/logtest"
	"gavel/internal/twilio/twiliofake"
)

// rowTime bounds one row, whose processes need a few seconds, or more beside other work.
const rowTime = time.Minute

// logShown is how much of the log a failed row prints.
const logShown = 4 << 10

// checkEvery is the interval between checks while a row waits.
const checkEvery = 20 * time.Millisecond

// The account of every row, and a conference and a call of it.
const (
	account    = "AC25e16e9a716a4a8617a7c83f58e30482"
	token      = "12345abcdef67890fedcba0987654321"
	conference = "CFe08c870b500f6e44a9ad184defd1f391"
	call       = "CA25e16e9a716a4a1786a7c83f58e30482"
	other      = "CA00000000000000000000000000000002"
)

// failure ends a row that cannot continue; its text is what was seen.
type failure string

// world is the processes and servers of one row.
type world struct {
	ctx    context.Context
	binary string
	dir    string // temporary
	gavel  *process
	ends   []func()
	log    logtest.Text
	// settings are lines of gavel.yaml, and args further flags of serve. A row sets them before it
	// first uses Gavel. account lines of settings replace the one account.
	settings string
	args     []string
	env      []string
	// twilioAPI answers Gavel's calls to Twilio's REST API; nil answers 404.
	twilioAPI http.Handler
}

// process is one started Gavel.
type process struct{ url, public string }

// failf ends the row.
func failf(format string, args ...any) { panic(failure(fmt.Sprintf(format, args...))) }

func (w *world) temp() string {
	if w.dir == "" {
		dir, err := os.MkdirTemp("", "gavel-field-")
		if err != nil {
			failf("make a directory: %v", err)
		}
		w.dir = dir
		w.ends = append(w.ends, func() { _ = os.RemoveAll(dir) })
	}
	return w.dir
}

// close ends everything that the row started, and returns the end of its logs.
func (w *world) close() string {
	for i := len(w.ends) - 1; i >= 0; i-- {
		w.ends[i]()
	}
	return w.log.Tail(logShown)
}

// serve returns the row's Gavel, all embedded, and starts it if it does not run yet.
func (w *world) serve() *process {
	if w.gavel != nil {
		return w.gavel
	}
	settings := filepath.Join(w.temp(), "gavel.yaml")
	if err := os.WriteFile(settings, []byte(w.settings), 0o600); err != nil {
		failf("write settings: %v", err)
	}
	api := w.twilioAPI
	if api == nil {
		api = http.NotFoundHandler()
	}
	server := httptest.NewServer(api)
	w.ends = append(w.ends, server.Close)
	w.gavel = &process{public: "https://hooks.example.com"}
	args := append([]string{"serve", "--config", settings, "--data-dir", filepath.Join(w.temp(), "data"), "--listen", "127.0.0.1:0",
		"--nats-listen", "off", "--public-url", w.gavel.public, "--twilio-api", server.URL, "--sync", "interval"}, w.args...)
	ready := w.start("gavel: ready http=", args...)
	w.gavel.url = "http://" + ready
	return w.gavel
}

// start starts the binary and returns the word behind the mark in its output. It is
// killed at the end of the row.
func (w *world) start(mark string, args ...string) string {
	command := w.command(args...)
	out, err := command.StdoutPipe()
	if err != nil {
		failf("start: %v", err)
	}
	command.Stderr = &w.log
	if err := command.Start(); err != nil {
		failf("start: %v", err)
	}
	found, ended := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if _, rest, ok := strings.Cut(lines.Text(), mark); ok {
				word, _, _ := strings.Cut(rest, " ")
				select {
				case found <- word:
				default:
				}
			}
		}
		_ = command.Wait() // the row sees only what it printed
	}()
	w.ends = append(w.ends, func() {
		_ = command.Process.Kill() // it may have ended
		<-ended
	})
	select {
	case word := <-found:
		return word
	case <-ended:
		failf("%s ended before it was ready", args[0])
	case <-w.ctx.Done():
		failf("%s was not ready in time", args[0])
	}
	return ""
}

func (w *world) command(args ...string) *exec.Cmd {
	command := exec.CommandContext(w.ctx, w.binary, args...)
	command.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + w.temp()}, w.env...)
	if !strings.Contains(w.settings, "accounts:") {
		command.Env = append(command.Env, "TWILIO_ACCOUNT_SID="+account, "TWILIO_AUTH_TOKEN="+token)
	}
	command.Dir = w.temp()
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return command
}

// runs runs a command of the binary to its end, and returns its exit code and its output.
func (w *world) runs(args ...string) (code int, output string) {
	command := w.command(args...)
	out, err := command.CombinedOutput()
	if command.ProcessState == nil {
		failf("run %s: %v", args[0], err)
	}
	return command.ProcessState.ExitCode(), string(out)
}

// accountSettings is the part of gavel.yaml with the row's account, and more lines of it.
func accountSettings(more string) string {
	return "accounts:\n  - sid: " + account + "\n    auth_tokens: {current: " + token + "}\n    " + more + "\n"
}

// twilioForm is a callback of this event; changes are names and values, and "-" removes a parameter.
func twilioForm(event string, changes ...string) url.Values {
	form := url.Values{
		"AccountSid": {account}, "ConferenceSid": {conference}, "FriendlyName": {"room"}, "SequenceNumber": {"1"},
		"StatusCallbackEvent": {event}, "Timestamp": {time.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 +0000")},
	}
	if strings.HasPrefix(event, "participant-") {
		form.Set("CallSid", call)
		for _, flag := range []string{"Muted", "Hold", "Coaching", "EndConferenceOnExit"} {
			form.Set(flag, "false")
		}
		form.Set("StartConferenceOnEnter", "true")
	}
	for i := 0; i < len(changes); i += 2 {
		form.Set(changes[i], changes[i+1])
		if changes[i+1] == "-" {
			form.Del(changes[i])
		}
	}
	return form
}

// post signs a form, sends it to the path (with a query, if any) and returns the status.
func (w *world) post(path string, form url.Values) int {
	g := w.serve()
	signature := twiliofake.Signature(token, g.public+path, form)
	status, _ := w.send(http.MethodPost, path, form.Encode(), "Content-Type", "application/x-www-form-urlencoded", "X-Twilio-Signature", signature)
	return status
}

// callback posts to the conference's endpoint.
func (w *world) callback(event string, changes ...string) int {
	return w.post("/twilio/conference", twilioForm(event, changes...))
}

// stream signs and sends a batch of Event Streams with these items.
func (w *world) stream(items ...any) int {
	g := w.serve()
	body, err := json.Marshal(items)
	if err != nil {
		failf("encode items: %v", err)
	}
	sum := sha256.Sum256(body)
	path := "/twilio/events?bodySHA256=" + hex.EncodeToString(sum[:])
	signature := twiliofake.Signature(token, g.public+path, nil)
	status, _ := w.send(http.MethodPost, path, string(body), "Content-Type", "application/json", "X-Twilio-Signature", signature)
	return status
}

// get reads a path with the account's credentials.
func (w *world) get(path string) (status int, body string) {
	return w.send(http.MethodGet, path, "")
}

// send sends a request, by default with the account's credentials. It follows no redirect.
func (w *world) send(method, path, body string, headers ...string) (status int, answer string) {
	request, err := http.NewRequestWithContext(w.ctx, method, w.serve().url+path, strings.NewReader(body))
	if err != nil {
		failf("make request: %v", err)
	}
	request.SetBasicAuth(account, token)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		failf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		failf("%s %s: %v", method, path, err)
	}
	return response.StatusCode, string(text)
}

// field waits until the JSON that GET path answers has the member at the path of
// names, separated by dots, and returns it as JSON. A name may be the index of a list.
func (w *world) field(path, names string) string {
	return w.eventually(func() string {
		status, body := w.get(path)
		if status != http.StatusOK {
			return ""
		}
		return member(body, names)
	})
}

// until waits until the member has the value, and returns the last one that it had.
func (w *world) until(path, names, want string) (last string) {
	for w.ctx.Err() == nil && last != want {
		last = w.field(path, names)
		time.Sleep(checkEvery)
	}
	return last
}

func member(body, names string) string {
	var value any
	if json.Unmarshal([]byte(body), &value) != nil {
		return ""
	}
	for name := range strings.SplitSeq(names, ".") {
		switch v := value.(type) {
		case map[string]any:
			found, ok := v[name]
			if !ok {
				return ""
			}
			value = found
		case []any:
			var i int
			if _, err := fmt.Sscan(name, &i); err != nil || i >= len(v) {
				return ""
			}
			value = v[i]
		default:
			return ""
		}
	}
	if text, ok := value.(string); ok {
		return text
	}
	text, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	return string(text)
}

// metric returns the value of a series of /metrics, written as there: `name{label="x"}`.
func (w *world) metric(series string) string {
	_, body := w.get("/metrics")
	for line := range strings.Lines(body) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return "no series"
}

// eventually returns the first non-empty result of see.
func (w *world) eventually(see func() string) string {
	for {
		if seen := see(); seen != "" {
			return seen
		}
		select {
		case <-time.After(checkEvery):
		case <-w.ctx.Done():
			failf("nothing in %v", rowTime)
		}
	}
}
