package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gavel/internal/logtest"
)

// These tests run the whole house: real HTTP, the real embedded NATS with fsync, the real picture.
// Twilio alone is a stand-in. Most run in this process, so that the race detector sees them; those
// that kill run the built binary. They may assert what a user can see through HTTP, the command
// line and the exit code, and nothing of what is inside.

// buildDir holds the binary for as long as the tests run.
var buildDir string

func TestMain(m *testing.M) {
	time.Local = time.UTC // what terminals are shown is of one place
	os.Exit(func() int {
		var err error
		if buildDir, err = os.MkdirTemp("", "gavel-e2e-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(buildDir)
		return m.Run()
	}())
}

// patience is how long a test waits for something that should happen soon.
const patience = 30 * time.Second

// house is a running Gavel.
type house struct {
	t       *testing.T
	url     string // of the admin side
	public  string
	dataDir string
	sid     string // the account that get asks for (testAccount), and its
	token   string // auth token
	// stop ends it, as SIGTERM does, and returns the exit code.
	stop func() int
	// kill ends it at once, hangUp sends SIGHUP and log is what it wrote to
	// standard error; nil where it runs in this process.
	kill, hangUp func()
	log          func() string
}

// serveArgs are the flags of a Gavel that only this test reaches.
func serveArgs(dataDir string, more []string) []string {
	return append([]string{
		"serve", "--listen", "127.0.0.1:0", "--nats-listen", "off", "--data-dir", dataDir, "--log-level", "warn",
	}, more...)
}

// openHere runs serve in this process until the end of the test.
func openHere(t *testing.T, dataDir string, more ...string) *house {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, stdout := io.Pipe()
	var log logtest.Text
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, serveArgs(dataDir, more), terminal{strings.NewReader(""), stdout, &log, environment(oneAccount)})
		stdout.Close()
	}()
	h := &house{t: t, dataDir: dataDir}
	h.stop = sync.OnceValue(func() int { cancel(); return <-code })
	t.Cleanup(func() {
		if got := h.stop(); got != exitOK {
			t.Errorf("gavel serve ended with %d", got)
		}
		if t.Failed() {
			t.Logf("its log:\n%s", log.String())
		}
	})
	h.awaitReady(out)
	return h
}

// openProcess runs serve as a process of its own.
func openProcess(t *testing.T, dataDir string, more ...string) *house {
	t.Helper()
	command := exec.Command(binary(t), serveArgs(dataDir, more)...)
	command.Env = []string{"TWILIO_ACCOUNT_SID=" + testAccount, "TWILIO_AUTH_TOKEN=" + testToken}
	var log logtest.Text
	command.Stderr = &log
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, dataDir: dataDir}
	h.log = log.String
	h.hangUp = func() { _ = command.Process.Signal(syscall.SIGHUP) }
	signalled := func(signal os.Signal) int {
		_ = command.Process.Signal(signal)
		_ = command.Wait()
		return command.ProcessState.ExitCode()
	}
	ended := false
	h.stop = func() int { ended = true; return signalled(syscall.SIGTERM) }
	h.kill = func() { ended = true; signalled(syscall.SIGKILL) }
	t.Cleanup(func() {
		if !ended {
			h.kill()
		}
		if t.Failed() {
			t.Logf("log of the process:\n%s", log.String())
		}
	})
	h.awaitReady(out)
	return h
}

// awaitReady reads the ready line, and keeps reading after it so that
// the process never blocks on its output.
func (h *house) awaitReady(out io.Reader) {
	h.t.Helper()
	ready := make(chan [2]string, 1)
	go func() {
		defer close(ready)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var public, admin string
			if n, _ := fmt.Sscanf(lines.Text(), "gavel: ready http=%s admin=%s", &public, &admin); n == 2 {
				ready <- [2]string{"http://" + public, "http://" + admin}
			}
		}
	}()
	select {
	case at, ok := <-ready:
		if !ok {
			h.t.Fatal("gavel ended before it was ready")
		}
		h.public, h.url = at[0], at[1]
	case <-time.After(patience):
		h.t.Fatal("gavel is not ready")
	}
}

var buildOnce = sync.OnceValues(func() (string, error) {
	path := filepath.Join(buildDir, "gavel")
	build := exec.Command("go", "build", "-trimpath", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as the Makefile builds it
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build gavel: %w\n%s", err, out)
	}
	return path, nil
})

// binary builds gavel once for all tests.
func binary(t *testing.T) string {
	t.Helper()
	path, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// asks runs a command of the CLI against the house.
func (h *house) asks(args ...string) said {
	h.t.Helper()
	return gavelSays(h.t, nil, append(args, "--server", h.url, "--data-dir", h.dataDir)...)
}

// asksJSON is asks with the answer decoded.
func (h *house) asksJSON(answer any, args ...string) {
	h.t.Helper()
	got := h.asks(append(args, "--output", "json")...)
	if got.code != exitOK {
		h.t.Fatalf("gavel %s: exit code %d: %s", strings.Join(args, " "), got.code, got.err)
	}
	if err := json.Unmarshal([]byte(got.out), answer); err != nil {
		h.t.Fatalf("gavel %s: %v", strings.Join(args, " "), err)
	}
}

// sends runs gavel send against the house.
func (h *house) sends(args ...string) said {
	h.t.Helper()
	return gavelSays(h.t, oneAccount, append([]string{"send", "--to", h.public}, args...)...)
}

// get sends a GET with the account's own token.
func (h *house) get(path string) (status int, body []byte) {
	h.t.Helper()
	request, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, h.url+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	request.SetBasicAuth(cmp.Or(h.sid, testAccount), cmp.Or(h.token, testToken))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		h.t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err = io.ReadAll(response.Body); err != nil {
		h.t.Fatal(err)
	}
	return response.StatusCode, body
}

// eventually waits until done, and fails with what done returns as missing.
func eventually(t *testing.T, done func() (missing string)) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		missing := done()
		if missing == "" {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal(missing)
		}
	}
}

// freePort returns an address that was free a moment ago, for a Gavel that is
// to come back at the same place.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
