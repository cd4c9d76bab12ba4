//go:build linux

package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"gavel/internal/logtest"
)

const (
	account = "AC25e16e9a716a4a8617a7c83f58e30482"
	token   = "12345abcdef67890fedcba0987654321"
	// patience is how long a round waits for something that should happen soon.
	patience = 90 * time.Second
	// checkEvery is the interval between checks while a round waits.
	checkEvery = 50 * time.Millisecond
	// logShown is how much of the log a failed round prints.
	logShown = 3 << 10
)

// world is what one round starts and counts.
type world struct {
	ctx           context.Context
	binary        string
	server        string // binary of nats-server
	control, full bool
	round         int
	random        *rand.Rand
	counts        counts
	dir           string
	ends          []func()
	log           logtest.Text
}

// failure ends a round that cannot go on.
type failure string

func failf(format string, args ...any) { panic(failure(fmt.Sprintf(format, args...))) }

func must(what string, err error) {
	if err != nil {
		failf("%s: %v", what, err)
	}
}

// try runs a round and returns why it failed, with the end of the log, or "".
func (w *world) try(round func(*world)) (fault string) {
	defer func() {
		for i := len(w.ends) - 1; i >= 0; i-- {
			w.ends[i]()
		}
	}()
	defer func() {
		if reason := recover(); reason != nil {
			f, ours := reason.(failure)
			if !ours {
				panic(reason)
			}
			fault = string(f) + "\n" + w.log.Tail(logShown)
		}
	}()
	dir, err := os.MkdirTemp("", "gavel-campaign-")
	must("make a directory", err)
	w.dir = dir
	w.ends = append(w.ends, func() { _ = os.RemoveAll(dir) })
	round(w)
	return ""
}

// pass waits while a load runs.
func (w *world) pass(d time.Duration) {
	select {
	case <-time.After(d):
	case <-w.ctx.Done():
		failf("interrupted")
	}
}

// between returns a random duration.
func (w *world) between(least, most time.Duration) time.Duration {
	return least + time.Duration(w.random.Int64N(int64(most-least)))
}

// process is one Gavel, everything embedded unless its arguments differ.
type process struct {
	w       *world
	url     string
	command *exec.Cmd
	ended   chan struct{}
}

// starting is how a process is started.
type starting struct {
	data string // directory of its data
	args []string
	// under is a command that runs the binary, such as strace with its arguments.
	under []string
	// listen is an address instead of any free port; begin does not wait for readiness then.
	listen string
	// natsListen is where the embedded NATS listens; empty is off.
	natsListen string
}

// gavel starts a process and waits until it is ready.
func (w *world) gavel(s starting) *process {
	p, err := w.begin(s)
	must("start", err)
	return p
}

var errEnded = errors.New("it ended before it was ready")

// begin starts a process and waits until it is ready, or has ended.
func (w *world) begin(s starting) (*process, error) {
	args := append(s.under, w.binary, "serve", "--data-dir", s.data, "--listen", cmp.Or(s.listen, "127.0.0.1:0"), "--nats-listen", cmp.Or(s.natsListen, "off"))
	command := exec.Command(args[0], append(args[1:], s.args...)...)
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "TWILIO_ACCOUNT_SID=" + account, "TWILIO_AUTH_TOKEN=" + token}
	command.Dir, command.Stderr = w.dir, &w.log
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	out, err := command.StdoutPipe()
	must("start", err)
	must("start", command.Start())
	p := &process{w: w, command: command, ended: make(chan struct{})}
	w.ends = append(w.ends, p.kill)
	ready := make(chan string, 1)
	go func() {
		defer close(p.ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var address string
			if n, _ := fmt.Sscanf(lines.Text(), "gavel: ready http=%s", &address); n == 1 {
				ready <- "http://" + address // it has room for the one line
			}
		}
		_ = command.Wait() // the round sees only its answers
	}()
	if s.listen != "" {
		p.url = "http://" + s.listen
		return p, nil
	}
	select {
	case p.url = <-ready:
		return p, nil
	case <-p.ended:
		return nil, errEnded
	case <-time.After(w.patience()):
		p.kill()
		return nil, fmt.Errorf("it is not ready after %v", w.patience())
	}
}

// patience is shorter in a control, where what should happen may never happen.
func (w *world) patience() time.Duration {
	if w.control {
		return patience / 6
	}
	return patience
}

// kill kills the process and everything it runs under. It may have ended.
func (p *process) kill() {
	_ = syscall.Kill(-p.command.Process.Pid, syscall.SIGKILL)
	<-p.ended
}

// stop ends the process by SIGTERM.
func (p *process) stop() {
	must("stop", syscall.Kill(-p.command.Process.Pid, syscall.SIGTERM))
	<-p.ended
}

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// get returns status 0 if the process does not answer.
func (p *process) get(path string) (status int, body []byte) {
	ctx, cancel := context.WithTimeout(p.w.ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+path, nil)
	must("make a request", err)
	request.SetBasicAuth(account, token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil
	}
	defer response.Body.Close()
	body, _ = io.ReadAll(response.Body) // a cut body is no JSON
	return response.StatusCode, body
}

// within reports whether check becomes true in that time.
func (w *world) within(limit time.Duration, check func() bool) bool {
	for deadline := time.Now().Add(limit); ; w.pass(checkEvery) {
		if check() {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
	}
}

// shown returns the ConferenceSids that the process lists.
func (p *process) shown() map[string]bool {
	all := map[string]bool{}
	for path := "/2010-04-01/Accounts/" + account + "/Conferences.json?PageSize=1000"; path != ""; {
		var page struct {
			Conferences []struct{ Sid string }
			NextPageURI string `json:"next_page_uri"`
		}
		if _, body := p.get(path); json.Unmarshal(body, &page) != nil {
			return all
		}
		for _, c := range page.Conferences {
			all[c.Sid] = true
		}
		path = page.NextPageURI
	}
	return all
}

// missing returns which acknowledged conferences the process does not show once it has folded
// all that it has.
func (p *process) missing(acknowledged []string) (gone []string) {
	p.w.within(patience/3, func() bool {
		shown := p.shown()
		gone = gone[:0]
		for _, sid := range acknowledged {
			if !shown[sid] {
				gone = append(gone, sid)
			}
		}
		return len(gone) == 0
	})
	return gone
}

// ready reports whether /readyz answers 200.
func (p *process) ready() bool {
	status, _ := p.get("/readyz")
	return status == http.StatusOK
}

// runs runs another command of the binary.
func (w *world) runs(args ...string) error {
	command := exec.CommandContext(w.ctx, w.binary, args...)
	command.Dir = w.dir
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", args[0], err, out)
	}
	return nil
}

// files returns the files of the data directory that match a pattern behind the streams' folder.
func files(data, pattern string) []string {
	found, err := filepath.Glob(filepath.Join(data, "nats", "jetstream", "*", "streams", pattern))
	must("list files", err)
	return found
}
