package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gavel/handlers/api"
	"gavel/internal/keys"
)

// builder holds a rebuild until the test releases it.
type builder struct {
	step  chan func(progress func(lane int, done, total uint64))
	end   chan error
	ended chan struct{}
}

func newBuilder() builder {
	return builder{
		step: make(chan func(func(int, uint64, uint64))), end: make(chan error), ended: make(chan struct{}),
	}
}

func (b builder) Rebuild(ctx context.Context, progress func(lane int, done, total uint64)) error {
	defer close(b.ended)
	for {
		select {
		case step := <-b.step:
			step(progress)
		case err := <-b.end:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *stack) rebuild(ctx context.Context) (next func() api.Progress) {
	s.Helper()
	response := s.open(ctx, s.all, http.MethodPost, "rebuild", "")
	s.Cleanup(func() { _ = response.Body.Close() })
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "application/x-ndjson" {
		s.Fatalf("%d %s", response.StatusCode, response.Header.Get("Content-Type"))
	}
	lines := bufio.NewScanner(response.Body)
	return func() (p api.Progress) {
		s.Helper()
		if !lines.Scan() {
			s.Fatalf("the answer ended: %v", lines.Err())
		}
		if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
			s.Fatal(err)
		}
		return p
	}
}

func TestRebuildReportsItsProgress(t *testing.T) {
	t.Parallel()
	b := newBuilder()
	s := start(t, nil, func(c *api.Config) { c.Rebuild = b })
	go func() {
		b.step <- func(progress func(int, uint64, uint64)) { progress(0, 10, 100) }
		b.step <- func(progress func(int, uint64, uint64)) { progress(1, 5, 50); progress(0, 20, 100) }
		b.step <- func(progress func(int, uint64, uint64)) { progress(0, 100, 100); progress(1, 50, 50) }
		b.end <- nil
	}()
	next := s.rebuild(t.Context())
	if diff := cmp.Diff(api.Progress{Done: 10, Total: 100}, next()); diff != "" {
		t.Errorf("first (-want +got):\n%s", diff)
	}
	p := next()
	for !p.Finished { // how many lines there are depends on the clock
		p = next()
	}
	if diff := cmp.Diff(api.Progress{Done: 150, Total: 150, Finished: true}, p); diff != "" {
		t.Errorf("last (-want +got):\n%s", diff)
	}
}

func TestOneRebuildAtATime(t *testing.T) {
	t.Parallel()
	b := newBuilder()
	s := start(t, nil, func(c *api.Config) { c.Rebuild = b })
	go func() { b.step <- func(progress func(int, uint64, uint64)) { progress(0, 1, 2) } }()
	next := s.rebuild(t.Context())
	next()
	if a := s.as(s.all, http.MethodPost, "rebuild", ""); a.status != http.StatusConflict {
		t.Errorf("a second one: %d %s", a.status, a.body)
	}
	b.end <- errors.New("journal is gone")
	if p := next(); p.Finished || p.Error != "journal is gone" {
		t.Errorf("after a failure: %+v", p)
	}
}

func TestARebuildEndsWithItsClient(t *testing.T) {
	t.Parallel()
	b := newBuilder()
	s := start(t, nil, func(c *api.Config) { c.Rebuild = b })
	ctx, leave := context.WithCancel(t.Context())
	go func() { b.step <- func(progress func(int, uint64, uint64)) { progress(0, 1, 2) } }()
	s.rebuild(ctx)()
	leave()
	<-b.ended
}

func TestRebuildIsNotForEverybody(t *testing.T) {
	t.Parallel()
	s := start(t, nil, func(c *api.Config) { c.Rebuild = newBuilder() })
	for _, who := range []credentials{s.key(), s.keyOf(keys.Operator), {account, token}} {
		if a := s.as(who, http.MethodPost, "rebuild", ""); a.status != http.StatusForbidden {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	reader := start(t, nil)
	if a := reader.as(reader.all, http.MethodPost, "rebuild", ""); a.status != http.StatusNotImplemented {
		t.Errorf("a process that does not project: %d %s", a.status, a.body)
	}
}
