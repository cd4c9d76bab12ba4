package failover_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

const (
	account = "AC25e16e9a716a4a8617a7c83f58e30482"
	token   = "12345abcdef67890fedcba0987654321"
)

// gavel is one process of Gavel.
type gavel struct {
	*process
	name string
	url  string
}

// command returns the command line of a process with these roles. The world
// adds everything that has to be the same for all processes.
func (w *world) command(roles string, more ...string) *exec.Cmd {
	w.t.Helper()
	nats, redis := urls(w.nats), w.redis
	if w.embedded {
		nats, redis = "embedded", "embedded"
	}
	dir := w.dataDir
	if dir == "" {
		dir = w.t.TempDir()
	}
	args := append([]string{
		"serve", "--roles", roles, "--listen", "127.0.0.1:0", "--nats", nats, "--nats-listen", "off", "--redis", redis,
		"--config", w.settings, "--data-dir", dir, "--log-level", "info",
	}, more...)
	command := exec.Command(w.binary(w.t), args...)
	command.Env = []string{"TWILIO_ACCOUNT_SID=" + account, "TWILIO_AUTH_TOKEN=" + token}
	return command
}

// gavel starts a process and waits until it prints that it is ready.
func (w *world) gavel(roles string, more ...string) *gavel {
	w.t.Helper()
	return w.awaitReady(w.begin(roles, more...))
}

// beginning is a process that may not be ready yet.
type beginning struct {
	*gavel
	ready <-chan string
}

// begin starts a process.
func (w *world) begin(roles string, more ...string) beginning {
	w.t.Helper()
	out, stdout := io.Pipe()
	ready := make(chan string, 1)
	go announce(out, ready)
	w.started++
	g := &gavel{name: fmt.Sprintf("%s-%d", roles, w.started)}
	g.process = startProcess(w.t, g.name, w.command(roles, more...), stdout)
	w.t.Cleanup(func() { stdout.Close() })
	return beginning{g, ready}
}

// announce sends the address of the ready line, and keeps reading so that the
// process does not block on a full pipe.
func announce(out io.Reader, ready chan<- string) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var address string
		if n, _ := fmt.Sscanf(lines.Text(), "gavel: ready http=%s", &address); n == 1 {
			ready <- "http://" + address
		}
	}
}

func (w *world) awaitReady(b beginning) *gavel {
	w.t.Helper()
	eventually(w.t, func() string {
		select {
		case b.url = <-b.ready:
			return ""
		case <-b.ended:
			w.t.Fatalf("%s exited with %d before it was ready:\n%s", b.name, b.command.ProcessState.ExitCode(), b.log.Tail(logShown))
		default:
		}
		return b.name + " is not ready"
	})
	return b.gavel
}

// get fetches a path from a process.
func (g *gavel) get(path string) (status int, body []byte, err error) {
	request, err := http.NewRequestWithContext(g.t.Context(), http.MethodGet, g.url+path, nil)
	if err != nil {
		return 0, nil, err
	}
	request.SetBasicAuth(account, token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

var ownedLine = regexp.MustCompile(`(?m)^gavel_lane_owned\{lane="(\d+)"\} 1$`)

// owned returns the lanes that the process reports as its own.
func (g *gavel) owned() map[int]bool {
	g.t.Helper()
	_, body, err := g.get("/metrics")
	if err != nil {
		g.t.Fatal(err)
	}
	lanes := map[int]bool{}
	for _, match := range ownedLine.FindAllSubmatch(body, -1) {
		lane, err := strconv.Atoi(string(match[1]))
		if err != nil {
			g.t.Fatal(err)
		}
		lanes[lane] = true
	}
	return lanes
}

// counted returns the value of a counter without labels.
func (g *gavel) counted(metric string) float64 {
	g.t.Helper()
	_, body, err := g.get("/metrics")
	if err != nil {
		g.t.Fatal(err)
	}
	for line := range bytes.Lines(body) {
		if value, ok := strings.CutPrefix(string(line), metric+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				g.t.Fatal(err)
			}
			return n
		}
	}
	g.t.Fatalf("%s has no metric %s", g.name, metric)
	return 0
}
