package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// readyWithin bounds the start of a server.
	readyWithin = 2 * time.Minute
	// doneWithin stops a child that hangs; the longest mode runs for about twenty seconds.
	doneWithin = 5 * time.Minute
	// stopWithin is how long a server may take to shut down, 15 s for Gavel.
	stopWithin = 20 * time.Second
	// outputLines is how many lines of a child's output are kept for its error.
	outputLines = 20
)

// child is a server in its own process.
type child struct {
	name string
	cmd  *exec.Cmd
	// ready is what the first group of the pattern matched.
	ready      string
	lastOutput *lastOutput
	ended      chan struct{}
	err        error // once ended
}

// start runs a server and waits until a line of its output matches ready.
func start(ctx context.Context, name string, ready *regexp.Regexp, cmd *exec.Cmd) (*child, error) {
	output, input, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	cmd.Stdout, cmd.Stderr = input, input
	err = cmd.Start()
	input.Close()
	if err != nil {
		output.Close()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	c := &child{name: name, cmd: cmd, lastOutput: newOutput(ready), ended: make(chan struct{})}
	go c.watch(output)
	return c, c.waitReady(ctx)
}

// watch reads the child's output until the child ends.
func (c *child) watch(output io.ReadCloser) {
	defer close(c.ended)
	defer output.Close()
	c.lastOutput.read(output)
	c.err = c.cmd.Wait()
}

func (c *child) waitReady(ctx context.Context) error {
	late := time.NewTimer(readyWithin)
	defer late.Stop()
	var err error
	select {
	case c.ready = <-c.lastOutput.ready:
		return nil
	case <-c.ended:
		err = fmt.Errorf("it ended: %w", c.err)
	case <-late.C:
		err = fmt.Errorf("not ready after %s", readyWithin)
	case <-ctx.Done():
		err = ctx.Err()
	}
	return errors.Join(fmt.Errorf("start %s: %w\n%s", c.name, err, c.lastOutput), c.stop())
}

// stop ends the child and waits for it. An exit caused by our signal is not an error.
func (c *child) stop() error {
	c.cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(stopWithin, func() { c.cmd.Process.Kill() })
	<-c.ended
	var exit *exec.ExitError
	if !late.Stop() || c.err != nil && !(errors.As(c.err, &exit) && signalled(exit)) {
		return fmt.Errorf("stop %s: %w\n%s", c.name, c.err, c.lastOutput)
	}
	return nil
}

func signalled(exit *exec.ExitError) bool {
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGTERM
}

// lastOutput holds the last lines of a child's output and the first line that matches ready.
type lastOutput struct {
	pattern *regexp.Regexp
	ready   chan string
	mu      sync.Mutex
	lines   []string
}

func newOutput(ready *regexp.Regexp) *lastOutput {
	return &lastOutput{pattern: ready, ready: make(chan string, 1)}
}

func (s *lastOutput) read(output io.Reader) {
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		s.keep(lines.Text())
		if s.pattern == nil {
			continue
		}
		if match := s.pattern.FindStringSubmatch(lines.Text()); match != nil {
			s.ready <- match[len(match)-1]
			s.pattern = nil
		}
	}
}

func (s *lastOutput) keep(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lines = append(s.lines, line); len(s.lines) > outputLines {
		s.lines = s.lines[1:]
	}
}

// String returns the last lines.
func (s *lastOutput) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return "  " + strings.Join(s.lines, "\n  ")
}

// runMode runs a mode of the measured program in its own process and reads its
// result, one JSON value.
func runMode[T any](ctx context.Context, shop *workshop, mode string, args ...string) (answer T, err error) {
	answer, _, err = runModeOf[T](ctx, shop, shop.self, mode, args...)
	return answer, err
}

// runModeOf is runMode for any build of this program. It also returns the CPU time of the process.
func runModeOf[T any](ctx context.Context, shop *workshop, program, mode string, args ...string) (answer T, cpu time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, doneWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append([]string{mode}, args...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopWithin
	cmd.Env = append(os.Environ(), shop.profiled(mode)...)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	raw, err := cmd.Output()
	if err != nil {
		return answer, 0, fmt.Errorf("run %s: %w\n%s", mode, err, complaint.String())
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return answer, 0, fmt.Errorf("read the result of %s: %w", mode, err)
	}
	return answer, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}
