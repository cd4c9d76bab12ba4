package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// workshop is what all measurements share: settings, a directory for files, and
// the programs built for this run.
type workshop struct {
	settings
	lasting time.Duration // length of one load

	root string // of the module
	dir  string // temporary
	self string // the measured build of this program, for its other modes
	// loader is the build of this program that sends loads: the same for both
	// sides of a comparison.
	loader string

	made map[string]string // paths of what was built, by name
	runs int               // of everything so far, for names of directories
}

func openWorkshop(ctx context.Context, from settings) (*workshop, error) {
	gomod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return nil, fmt.Errorf("find the module: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	dir, err := os.MkdirTemp("", "gavel-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a temporary directory: %w", err)
	}
	root := filepath.Dir(strings.TrimSpace(string(gomod)))
	return &workshop{
		settings: from,
		lasting:  time.Duration(from.seconds * float64(time.Second)),
		root:     root, dir: dir, self: self, loader: self,
		made: make(map[string]string),
	}, nil
}

func (s *workshop) close() error { return os.RemoveAll(s.dir) }

// once makes something when it is first needed.
func (s *workshop) once(name string, produce func(path string) error) (string, error) {
	if path, ok := s.made[name]; ok {
		return path, nil
	}
	path := filepath.Join(s.dir, name)
	if err := produce(path); err != nil {
		return "", fmt.Errorf("make %s: %w", name, err)
	}
	s.made[name] = path
	return path, nil
}

// build builds a program of this module, or of a module it requires in the
// version that go.mod names.
func (s *workshop) build(ctx context.Context, name, pkg string, flags ...string) (string, error) {
	return s.once(name, func(path string) error {
		args := append(append([]string{"build", "-o", path}, flags...), pkg)
		return s.run(ctx, s.root, "go", args...)
	})
}

// run runs a tool and returns an error with its output if it fails.
func (s *workshop) run(ctx context.Context, dir, tool string, args ...string) error {
	cmd := exec.CommandContext(ctx, tool, args...)
	cmd.Dir = dir
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", tool, strings.Join(args, " "), err, output)
	}
	return nil
}

// signedRequests returns the file of requests, enough for one load at full speed.
func (s *workshop) signedRequests() (string, error) {
	return s.once("requests", func(path string) error {
		return writeRequests(path, int(s.lasting.Seconds()*requestsPerSecond))
	})
}

// tempDir makes a new directory for one run; the caller removes it.
func (s *workshop) tempDir(name string) (dir string, remove func() error, err error) {
	s.runs++
	dir = filepath.Join(s.dir, fmt.Sprintf("%s-%d", name, s.runs))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, fmt.Errorf("make a directory for %s: %w", name, err)
	}
	return dir, func() error { return os.RemoveAll(dir) }, nil
}

// load runs the loader in its own process.
func (s *workshop) load(ctx context.Context, l load) (loaded, error) {
	l.requests = s.made["requests"]
	done, _, err := runModeOf[loaded](ctx, s, s.loader, "loader", l.args()...)
	return done, err
}

// join adds an error of clean-up to err.
func join(err *error, clearUp func() error) { *err = errors.Join(*err, clearUp()) }
