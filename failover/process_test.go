package failover_test

import (
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"gavel/internal/logtest"
)

const (
	// patience is how long a test waits for something that should happen soon,
	// on a machine that also runs other tests.
	patience = 2 * time.Minute
	// checkEvery is the interval between checks while a test waits.
	checkEvery = 10 * time.Millisecond
	// stopsWithin is the maximum time a process may take to exit after SIGTERM:
	// Gavel drains for up to 15 s.
	stopsWithin = 20 * time.Second
	// logShown is how much of a process's log a failed test prints.
	logShown = 8 << 10
)

// workshop is the directory of the binaries while the tests run.
var workshop string

// testsAtOnce is how many tests run in parallel without -parallel. They wait for processes, leases
// and deadlines for most of their time: one for each core would leave the cores idle.
const testsAtOnce = 4

func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", strconv.Itoa(max(testsAtOnce, runtime.GOMAXPROCS(0)))); err != nil {
		panic(err)
	}
	flag.Parse() // what the caller states replaces it
	os.Exit(func() int {
		var err error
		if workshop, err = os.MkdirTemp("", "gavel-failover-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(workshop)
		return m.Run()
	}())
}

// The programs under test. nats-server is the one that go.mod names.
var (
	gavelBinary = built("gavel", "gavel/cmd/gavel")
	natsBinary  = built("nats-server", "github.com/nats-io/nats-server/v2")
)

// goBuild is a build with these arguments, as the Makefile builds: the libraries are compiled once for
// all.
func goBuild(args ...string) *exec.Cmd {
	build := exec.Command("go", append([]string{"build", "-trimpath"}, args...)...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	return build
}

// built builds a program once for all tests.
func built(name, pkg string, flags ...string) func(t *testing.T) string {
	build := sync.OnceValues(func() (string, error) {
		path := filepath.Join(workshop, name)
		if out, err := goBuild(append(append([]string{"-o", path}, flags...), pkg)...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
		return path, nil
	})
	return func(t *testing.T) string {
		t.Helper()
		path, err := build()
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
}

// process is one started process of a program.
type process struct {
	t       *testing.T
	command *exec.Cmd
	log     logtest.Text
	ended   chan struct{}
}

// startProcess starts a program. It is killed at the end of the test unless it exited
// before. Its standard output goes to out.
func startProcess(t *testing.T, name string, command *exec.Cmd, out io.Writer) *process {
	t.Helper()
	p := &process{t: t, command: command, ended: make(chan struct{})}
	command.Stdout, command.Stderr = out, &p.log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = command.Wait() // ProcessState holds the result
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("log of %s (process %d):\n%s", name, command.Process.Pid, p.log.Tail(logShown))
		}
	})
	return p
}

// kill kills the process, as a crash would.
func (p *process) kill() {
	_ = p.command.Process.Kill() // it may have exited
	<-p.ended
}

// stop sends SIGTERM and returns the exit code.
func (p *process) stop() int {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(stopsWithin):
		p.t.Fatalf("process %d does not exit", p.command.Process.Pid)
	}
	return p.command.ProcessState.ExitCode()
}

// freeze suspends the process, and thaw resumes it.
func (p *process) freeze() { p.signal(syscall.SIGSTOP) }
func (p *process) thaw()   { p.signal(syscall.SIGCONT) }

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.command.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// reservedPorts holds the ports that freePorts has returned.
var reservedPorts sync.Map

// freePorts returns ports that were free a moment ago. A process needs a given port if it restarts
// at the same address, or if others need its address before it starts. No port is returned twice,
// so that no story reaches the servers of another.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	var free []int
	for len(free) < n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		port := l.Addr().(*net.TCPAddr).Port
		if _, before := reservedPorts.LoadOrStore(port, true); !before {
			free = append(free, port)
		}
	}
	return free
}

// eventually waits until check reports nothing missing, and fails with its last report.
func eventually(t *testing.T, check func() (missing string)) {
	t.Helper()
	within(t, patience, check)
}

func within(t *testing.T, limit time.Duration, check func() (missing string)) {
	t.Helper()
	withinChecking(t, limit, checkEvery, check)
}

// withinChecking is within for checks that are expensive for the servers.
func withinChecking(t *testing.T, limit, every time.Duration, check func() (missing string)) {
	t.Helper()
	tick := time.NewTicker(every)
	defer tick.Stop()
	deadline := time.After(limit)
	for {
		missing := check()
		if missing == "" {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("after %s: %s", limit, missing)
		}
	}
}

// pass waits while something happens that sends no signal, such as a running load.
func pass(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal("the test ended")
	}
}
