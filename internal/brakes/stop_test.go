package brakes_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"gavel/internal/brakes"
	"gavel/internal/bus/jet"
)

// stopped returns the stop, and fails the test on an error.
func stopped(t *testing.T, b *brakes.Brakes) brakes.Stop {
	t.Helper()
	is, s, err := b.Stopped(t.Context())
	if err != nil || is != s.Stopped {
		t.Fatalf("%v, %+v, %v", is, s, err)
	}
	return s
}

func TestAStopAppliesToAllProcessesUntilAResume(t *testing.T) {
	t.Parallel()
	at, shared := noon(), bucket(t)
	here, there := brakes.New(shared, at.now), brakes.New(shared, at.now)
	if s := stopped(t, there); s.Stopped {
		t.Fatalf("stopped before the first stop: %+v", s)
	}
	for _, reason := range []string{"a customer was cut off", "and another one"} { // a second stop is not an error
		if err := here.Stop(t.Context(), reason, "SK1"); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(brakes.Stop{Stopped: true, Reason: reason, By: "SK1", At: at.now()}, stopped(t, there)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	if err := there.Resume(t.Context(), "it was the rule for nights", "SK2"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(brakes.Stop{Reason: "it was the rule for nights", By: "SK2", At: at.now()}, stopped(t, here)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if err := errors.Join(here.Stop(t.Context(), "", "SK1"), here.Resume(t.Context(), "", "SK1")); !errors.Is(err, brakes.ErrNoReason) {
		t.Errorf("without a reason: %v", err)
	}
}

// silent never answers.
type silent struct{ brakes.Bucket }

func (silent) Read(ctx context.Context, _ string) ([]byte, uint64, error) {
	<-ctx.Done()
	return nil, 0, ctx.Err()
}

func TestNoAnswerIsAStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bad := &weather{}
		bad.down.Store(true)
		for name, c := range map[string]brakes.Bucket{"down": bad, "silent": silent{}} {
			b, began := brakes.New(c, time.Now), time.Now()
			is, s, err := b.Stopped(t.Context())
			if !is || !s.Stopped || s.Reason != "no answer" || err == nil {
				t.Errorf("%s: %v, %+v, %v", name, is, s, err)
			}
			if took := time.Since(began); took > 500*time.Millisecond {
				t.Errorf("%s: the answer took %s", name, took)
			}
			if err := b.Stop(t.Context(), "x", "SK1"); !errors.Is(err, brakes.ErrNoAnswer) {
				t.Errorf("%s: stop: %v", name, err)
			}
			if took := time.Since(began); took > 5500*time.Millisecond {
				t.Errorf("%s: stop took %s", name, took)
			}
			if err := b.Resume(t.Context(), "x", "SK1"); err == nil {
				t.Errorf("%s: resumed", name)
			}
		}
	})
}

func TestAStopThatCannotBeReadStopsAndCanBeResumed(t *testing.T) {
	t.Parallel()
	shared := bucket(t)
	b := brakes.New(shared, noon().now)
	overwrite(t, shared, "stop", `"no"`)
	if s := stopped(t, b); !s.Stopped || !strings.Contains(s.Reason, "gavel resume") {
		t.Errorf("%+v", s)
	}
	if err := b.Resume(t.Context(), "mended", "SK1"); err != nil {
		t.Fatal(err)
	}
	if s := stopped(t, b); s.Stopped {
		t.Errorf("%+v", s)
	}
}

// racing lets another process write the stop between a read and the write after
// it.
type racing struct {
	brakes.Bucket
	rival *brakes.Brakes
}

func (r racing) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if err := r.rival.Stop(ctx, "rival", "SK9"); err != nil {
		return 0, err
	}
	return r.Bucket.Update(ctx, key, value, revision)
}

func TestAStopBeatsAResumeOfTheSameMoment(t *testing.T) {
	t.Parallel()
	shared := bucket(t)
	plain := brakes.New(shared, noon().now)
	if err := plain.Stop(t.Context(), "first", "SK1"); err != nil {
		t.Fatal(err)
	}
	if err := brakes.New(racing{shared, plain}, noon().now).Resume(t.Context(), "over", "SK2"); !errors.Is(err, brakes.ErrChanged) {
		t.Errorf("resume: %v", err)
	}
	if s := stopped(t, plain); s.Reason != "rival" {
		t.Errorf("%+v", s)
	}
}

func TestAFileStopsItsDataDirectory(t *testing.T) {
	t.Parallel()
	dir, shared := t.TempDir(), bucket(t)
	at := noon()
	here, there := brakes.New(shared, at.now, brakes.WithStopFile(dir)), brakes.New(shared, at.now)
	if s := stopped(t, here); s.Stopped {
		t.Fatalf("%+v", s)
	}
	if err := brakes.WriteStopFile(dir, brakes.Stop{Reason: "no Gavel answers", By: "kate", At: at.now()}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(brakes.Stop{Stopped: true, Reason: "no Gavel answers", By: "kate", At: at.now()}, stopped(t, here)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if s := stopped(t, there); s.Stopped {
		t.Errorf("another directory is stopped: %+v", s)
	}
	if err := here.Resume(t.Context(), "over", "SK1"); !errors.Is(err, brakes.ErrStopFile) {
		t.Errorf("resume beside the file: %v", err)
	}
	for _, want := range []bool{true, false} {
		if was, err := brakes.RemoveStopFile(dir); was != want || err != nil {
			t.Errorf("removed %v: %v", was, err)
		}
	}
	if s := stopped(t, here); s.Stopped {
		t.Errorf("%+v", s)
	}
}

// A process that reads the file while it is replaced reads one stop or the other, whole.
func TestAStopFileIsReplacedInOneStep(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := brakes.WriteStopFile(dir, brakes.Stop{Reason: "the first"}); err != nil {
		t.Fatal(err)
	}
	reading, err := os.Open(filepath.Join(dir, brakes.StopFile))
	if err != nil {
		t.Fatal(err)
	}
	defer reading.Close()
	if err := brakes.WriteStopFile(dir, brakes.Stop{Reason: "the second"}); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(reading); !strings.Contains(string(text), "the first") {
		t.Errorf("the open file holds %q, %v", text, err)
	}
	if s := stopped(t, brakes.New(silent{}, noon().now, brakes.WithStopFile(dir))); s.Reason != "the second" {
		t.Errorf("%+v", s)
	}
}

// An operator under pressure runs touch, or writes any text.
func TestAStopFileMayHoldAnything(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                         "file STOP",
		"  too many\x1b calls\n":   "too many  calls",
		`{"stopped":false}`:        `{"stopped":false}`,
		`{"reason":"r","by":"me"}`: "r",
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, brakes.StopFile)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s := stopped(t, brakes.New(silent{}, noon().now, brakes.WithStopFile(dir)))
		if !s.Stopped || s.Reason != want || s.At.IsZero() {
			t.Errorf("%q: %+v", text, s)
		}
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, brakes.StopFile), 0o700); err != nil {
		t.Fatal(err)
	}
	if s := stopped(t, brakes.New(silent{}, noon().now, brakes.WithStopFile(dir))); !s.Stopped {
		t.Error("a folder of that name does not stop the process")
	}
	if is, _, err := brakes.New(silent{}, noon().now, brakes.WithStopFile("no\x00path")).Stopped(t.Context()); !is || err == nil {
		t.Errorf("a path that cannot be read: %v, %v", is, err)
	}
}

var _ brakes.Bucket = (*jet.Guarded)(nil)
