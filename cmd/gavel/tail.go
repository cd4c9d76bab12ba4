package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"gavel/cmd/gavel/render"
)

// tailCommand shows events as they arrive.
type tailCommand struct {
	clientFlags
	Conference string `placeholder:"SID|NAME" help:"Only this conference."`
	Account    string `placeholder:"SID" help:"Only this account."`
	After      string `placeholder:"ID" help:"Start behind this id; 0 shows only new events (default)."`
}

// Run follows until ctx ends.
func (c *tailCommand) Run(ctx context.Context, t *terminal) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	show := func(cloudEvent []byte) error {
		_, err := fmt.Fprintf(t.out, "%s\n", cloudEvent)
		return err
	}
	if !c.json() {
		show = render.EventLines(t.out, render.PaletteFor(t.out, t.lookup))
	}
	query := queryOf(map[string]string{"conference": c.Conference, "account": c.Account, "after": c.After})
	f := follower{client: client, query: query, show: show, warn: t.err}
	return f.follow(ctx)
}

// follower reads the tail. After a lost connection it resumes behind the last event.
type follower struct {
	*client
	query url.Values
	show  func(cloudEvent []byte) error
	warn  io.Writer
	// connected, if set, is called each time the server has answered.
	connected func()

	last     string // id of the last event shown
	answered bool   // the server has answered once
}

// Pauses between connections: short, because events wait; bounded, because a person watches.
const (
	reconnectFirst = 250 * time.Millisecond
	reconnectMost  = 5 * time.Second
)

// follow returns when ctx ends, if the first connection fails, if the server refuses
// the request for good, or if an event cannot be shown.
func (f *follower) follow(ctx context.Context) error {
	pause := reconnectFirst
	for {
		began := f.last
		err := f.once(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case !f.answered || isFinal(err):
			return err
		case f.last != began:
			pause = reconnectFirst
		}
		fmt.Fprintf(f.warn, "gavel: connection lost, connecting again in %s (%v)\n", pause, err)
		if !sleep(ctx, pause) {
			return nil
		}
		pause = min(2*pause, reconnectMost)
	}
}

// isFinal reports whether a new connection would end the same way.
func isFinal(err error) bool {
	for _, status := range []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusUnprocessableEntity} {
		if refusedWith(err, status) {
			return true
		}
	}
	return errors.As(err, new(showError))
}

// showError is a failure to show an event.
type showError struct{ error }

func (e showError) Unwrap() error { return e.error }

// once reads one connection to its end.
func (f *follower) once(ctx context.Context) error {
	header := http.Header{"Accept": {"text/event-stream"}}
	if f.last != "" {
		header.Set("Last-Event-Id", f.last)
	}
	response, err := f.open(ctx, http.MethodGet, "tail", f.query, nil, header)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	f.answered = true
	if f.connected != nil {
		f.connected()
	}
	return readEvents(response.Body, func(id string, data []byte) error {
		if err := f.show(data); err != nil {
			return showError{fmt.Errorf("show event: %w", err)}
		}
		f.last = id
		return nil
	})
}

// maxEventLine bounds a line of the stream, in bytes: a CloudEvent holds a form of at
// most 64 KiB, whose encoding as JSON may take six times the space, twice.
const maxEventLine = 1 << 20

// readEvents reads server-sent events until the stream ends, which is io.EOF.
// It skips events without data, as the specification requires.
func readEvents(r io.Reader, fn func(id string, data []byte) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxEventLine)
	var id string
	var data []byte
	for lines.Scan() {
		line := lines.Bytes()
		if len(line) == 0 {
			if len(data) > 0 {
				if err := fn(id, data); err != nil {
					return err
				}
			}
			data = nil
			continue
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "id":
			id = string(value)
		case "data":
			if data != nil {
				data = append(data, '\n')
			}
			data = append(data, value...)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	return io.EOF
}

// sleep waits for d and reports false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
