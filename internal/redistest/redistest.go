// Package redistest starts real redis-server processes for tests: each with its own directory, a
// unix socket and a random port of the loopback interface, killed when the test ends.
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
	"syscall"
	"testing"
	"time"
)

const (
	// startWithin bounds the wait for a server to answer PING.
	startWithin = time.Minute
	// pollEvery is the interval between two polls.
	pollEvery = 5 * time.Millisecond
	// portTries is how many ports are tried before giving up: another process
	// may bind a free port first.
	portTries = 5
)

// TLSPort is a placeholder for a free port in the arguments of Start, as in "--tls-port", TLSPort.
const TLSPort = "{tls-port}"

// Server is one redis-server process and its directory.
type Server struct {
	tb      testing.TB
	binary  string
	dir     string
	port    int
	tlsPort int
	before  []string
	after   []string
	run     *running
}

// running is one run of the process.
type running struct {
	cmd   *exec.Cmd
	log   *bytes.Buffer
	ended chan struct{} // closed when the process has ended
}

// Start starts a server and waits until it answers. args are further settings
// ("--appendonly", "yes"). Without any, the server writes to disk only on SAVE.
func Start(tb testing.TB, args ...string) *Server {
	tb.Helper()
	return start(tb, nil, append([]string{
		"--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction",
	}, args...))
}

// start starts a process with arguments before and after its addresses.
func start(tb testing.TB, before, after []string) *Server {
	tb.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		tb.Fatal("redis-server is missing; install it: apt-get install redis-server")
	}
	s := &Server{tb: tb, binary: binary, dir: shortTempDir(tb), before: before, after: after}
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

// memoryDir is where Linux keeps files in memory. Redis stops serving while it waits for its disk
// (a snapshot, a cluster's nodes.conf), and the disk of a machine that runs tests is busy.
const memoryDir = "/dev/shm"

// shortTempDir is like tb.TempDir, with a name short enough for a socket, whose
// address has at most 107 bytes.
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

// URL is the server's address as a setting, by its port.
func (s *Server) URL() string { return "redis://" + s.Addr() }

// TLSURL is the server's address by its TLS port.
func (s *Server) TLSURL() string {
	return "rediss://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(s.tlsPort))
}

// UnixURL is the server's address by its socket.
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

// start starts the process and waits until it answers.
func (s *Server) start() error {
	r := &running{log: new(bytes.Buffer), ended: make(chan struct{})}
	args := slices.Concat(s.before, []string{
		"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1",
		"--unixsocket", s.Socket(), "--dir", s.dir,
	}, s.after)
	if i := slices.Index(args, TLSPort); i >= 0 {
		args[i] = strconv.Itoa(s.tlsPort)
	}
	r.cmd = exec.Command(s.binary, args...)
	r.cmd.Stdout, r.cmd.Stderr = r.log, r.log
	if err := r.cmd.Start(); err != nil {
		return err
	}
	go func() {
		defer close(r.ended)
		_ = r.cmd.Wait() // the exit status of a killed process does not matter
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
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		select {
		case <-r.ended:
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

// Kill ends the process as a crash does, and waits until it has ended.
func (s *Server) Kill() {
	_ = s.run.cmd.Process.Kill() // it may have ended already
	<-s.run.ended
}

// Pause stops the process: it accepts connections and answers nothing. Calling the result lets it
// go on, which the end of the test does in any case.
func (s *Server) Pause() (goOn func()) {
	s.tb.Helper()
	process := s.run.cmd.Process
	if err := process.Signal(syscall.SIGSTOP); err != nil {
		s.tb.Fatalf("pause redis: %v", err)
	}
	goOn = func() { _ = process.Signal(syscall.SIGCONT) } // it may have ended
	s.tb.Cleanup(goOn)
	return goOn
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

// FlushAll removes all data.
func (s *Server) FlushAll() {
	s.tb.Helper()
	s.Do("FLUSHALL")
}

// KeepSnapshot copies the server's data. Calling the result kills the server
// and starts it again with that data.
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
