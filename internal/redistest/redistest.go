// Package redistest starts real redis-server processes for tests: each with a
// directory of its own, reachable by a unix socket and by a random port of the
// loopback interface, killed when the test is over.
package redistest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	// startWithin bounds the wait for a server to answer PING.
	startWithin = 20 * time.Second
	// lookEvery is how often it is asked meanwhile.
	lookEvery = 5 * time.Millisecond
	// portTries is how many ports are tried before giving up: another process
	// may take a free one first.
	portTries = 5
)

// TLSPort stands for a free port in the arguments of Start, as in "--tls-port",
// TLSPort.
const TLSPort = "{tls-port}"

// Server is one redis-server process and its directory.
type Server struct {
	tb      testing.TB
	binary  string
	dir     string
	port    int
	tlsPort int
	before  []string
	behind  []string
	run     *running
}

// running is one life of the process.
type running struct {
	cmd  *exec.Cmd
	log  *bytes.Buffer
	gone chan struct{} // closed when the process ended
}

// Start starts a server and waits until it answers. args are further settings
// ("--appendonly", "yes"); without any, nothing is written to disk unless the
// test asks for it.
func Start(tb testing.TB, args ...string) *Server {
	tb.Helper()
	return start(tb, nil, append([]string{
		"--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction",
	}, args...))
}

// start starts a process with arguments before and behind its addresses.
func start(tb testing.TB, before, behind []string) *Server {
	tb.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		tb.Fatal("redis-server is missing; install it: apt-get install redis-server")
	}
	s := &Server{tb: tb, binary: binary, dir: shortTempDir(tb), before: before, behind: behind}
	tb.Cleanup(func() {
		if s.run != nil {
			s.Kill()
		}
	})
	for range portTries {
		s.port, s.tlsPort = freePort(tb), freePort(tb)
		if err = s.start(); err == nil {
			return s
		}
	}
	tb.Fatalf("start redis-server: %v", err)
	return nil
}

// memoryDir is where Linux keeps files in memory. Redis waits for its disk with
// everything else standing still (a snapshot, a cluster's nodes.conf), and the
// disk of a machine that runs tests is busy.
const memoryDir = "/dev/shm"

// shortTempDir is like tb.TempDir, with a name that leaves room for a socket,
// whose address has 107 bytes.
func shortTempDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp(memoryDir, "redis")
	if err != nil {
		dir, err = os.MkdirTemp("", "redis")
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Error(err)
		}
	})
	return dir
}

func freePort(tb testing.TB) int {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// Socket is the path of the unix socket.
func (s *Server) Socket() string { return filepath.Join(s.dir, "redis.sock") }

// Addr is host and port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// URL is the server as a setting names it, by its port.
func (s *Server) URL() string { return "redis://" + s.Addr() }

// TLSURL is the same by its TLS port.
func (s *Server) TLSURL() string {
	return "rediss://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(s.tlsPort))
}

// UnixURL is the same by its socket.
func (s *Server) UnixURL() string { return "unix://" + s.Socket() }

// Snapshot is the path of the file that SAVE writes and a start reads.
func (s *Server) Snapshot() string { return filepath.Join(s.dir, "dump.rdb") }

// CPU is the processor time that the server has used.
func (s *Server) CPU() time.Duration {
	s.tb.Helper()
	info, err := s.bulk("INFO", "cpu")
	if err != nil {
		s.tb.Fatal(err)
	}
	var sum float64
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_user" || name == "used_cpu_sys" {
			seconds, err := strconv.ParseFloat(value, 64)
			if err != nil {
				s.tb.Fatal(err)
			}
			sum += seconds
		}
	}
	return time.Duration(sum * float64(time.Second))
}

// start begins a life of the process.
func (s *Server) start() error {
	r := &running{log: new(bytes.Buffer), gone: make(chan struct{})}
	args := slices.Concat(s.before, []string{
		"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1",
		"--unixsocket", s.Socket(), "--dir", s.dir,
	}, s.behind)
	if i := slices.Index(args, TLSPort); i >= 0 {
		args[i] = strconv.Itoa(s.tlsPort)
	}
	r.cmd = exec.Command(s.binary, args...)
	r.cmd.Stdout, r.cmd.Stderr = r.log, r.log
	if err := r.cmd.Start(); err != nil {
		return err
	}
	go func() {
		defer close(r.gone)
		_ = r.cmd.Wait() // how a killed process ended is no news
	}()
	s.run = r
	if err := s.await(r); err != nil {
		s.Kill()
		return fmt.Errorf("%w\n%s", err, r.log)
	}
	return nil
}

// await waits until the server answers.
func (s *Server) await(r *running) error {
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-r.gone:
			return errors.New("redis-server ended")
		case <-ctx.Done():
			return errors.New("redis-server does not answer")
		case <-tick.C:
			answer, err := s.do("PING")
			if err == nil && (answer == "+PONG" || strings.HasPrefix(answer, "-NOAUTH")) {
				return nil
			}
		}
	}
}

// Kill ends the process as a crash does, and waits until it is gone.
func (s *Server) Kill() {
	_ = s.run.cmd.Process.Kill() // it may have ended already
	<-s.run.gone
}

// Restart starts the process again, with the same directory and addresses.
func (s *Server) Restart() {
	s.tb.Helper()
	if err := s.start(); err != nil {
		s.tb.Fatalf("restart redis-server: %v", err)
	}
}

// Do sends a command and returns the first line of the answer ("+OK", ":3").
func (s *Server) Do(args ...string) string {
	s.tb.Helper()
	answer, err := s.do(args...)
	if err != nil {
		s.tb.Fatalf("redis %s: %v", args[0], err)
	}
	if strings.HasPrefix(answer, "-") {
		s.tb.Fatalf("redis %s: %s", args[0], answer)
	}
	return answer
}

// FlushAll removes everything.
func (s *Server) FlushAll() {
	s.tb.Helper()
	s.Do("FLUSHALL")
}

// KeepSnapshot keeps all that the server holds now. Calling the result kills
// the server and starts it again with that.
func (s *Server) KeepSnapshot() (rollBack func()) {
	s.tb.Helper()
	s.Do("SAVE")
	kept, err := os.ReadFile(s.Snapshot())
	if err != nil {
		s.tb.Fatal(err)
	}
	return func() {
		s.tb.Helper()
		s.Kill()
		if err := os.WriteFile(s.Snapshot(), kept, 0o600); err != nil {
			s.tb.Fatal(err)
		}
		s.Restart()
	}
}
