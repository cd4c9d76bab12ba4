package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"time"

	"gavel/cmd/gavel/render"
	"gavel/handlers/api"
	"gavel/internal/brakes"
)

// switchFlags are those of stop and resume.
type switchFlags struct {
	clientFlags
	Reason string `required:"" placeholder:"TEXT" help:"Why; it is stored and shown with the stop."`
}

// stopWithin bounds the wait for the answer to a stop, which is urgent.
const stopWithin = 5 * time.Second

// stopFile stops rules in every process on the data directory, even if NATS does not answer.
func (f switchFlags) stopFile() string { return filepath.Join(f.DataDir, brakes.StopFile) }

// call sends a request to a running Gavel; a POST carries the reason.
func (f switchFlags) call(ctx context.Context, method, path string, answer any) error {
	client, err := f.client()
	if err != nil {
		return err
	}
	var body any
	if method == http.MethodPost {
		body = because{f.Reason}
	}
	ctx, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()
	return client.call(ctx, method, path, nil, body, answer)
}

// because is why a person does something, as /v1 requires it.
type because struct {
	Reason string `json:"reason"`
}

// stopCommand stops the calls of rules to Twilio.
type stopCommand struct{ switchFlags }

// Run stops.
func (c *stopCommand) Run(ctx context.Context, t *terminal) error {
	var answer api.Stopping
	if err := c.call(ctx, http.MethodPost, "stop", &answer); err != nil {
		return c.byFile(t, err)
	}
	return c.print(t, answer, func(w io.Writer) error {
		fmt.Fprintln(w, "rules are stopped: none calls Twilio until `gavel resume`")
		return render.Wire(w, answer, time.Now())
	})
}

// byFile writes the stop into a file that processes read even if the request did not
// reach them. It does not override a Gavel that answered and refused.
func (c *stopCommand) byFile(t *terminal, failure error) error {
	if r := (*refused)(nil); errors.As(failure, &r) && r.status < http.StatusInternalServerError {
		return failure
	}
	if usage := (usageError{}); errors.As(failure, &usage) {
		return failure
	}
	if err := brakes.WriteStopFile(c.DataDir, brakes.Stop{Reason: render.Printable(c.Reason), At: time.Now().UTC()}); err != nil {
		return fmt.Errorf("stop: NOTHING IS STOPPED: %w; and the stop file could not be written: %w; --data-dir names the data directory of a Gavel", failure, err)
	}
	return c.print(t, map[string]any{"stopped": true, "file": c.stopFile()}, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "no Gavel confirmed the stop (%v)\n\nWrote %s: processes on that data directory read it before each call and stop.\n"+
			"Processes on other machines or directories do not; `gavel resume` removes it.\n", failure, c.stopFile())
		return err
	})
}

// resumeCommand ends a stop.
type resumeCommand struct{ switchFlags }

// Run ends the stop.
func (c *resumeCommand) Run(ctx context.Context, t *terminal) error {
	var answer api.Stopping
	if err := c.call(ctx, http.MethodPost, "resume", &answer); err != nil {
		return fmt.Errorf("resume: the stop stays: %w", err)
	}
	removed, err := brakes.RemoveStopFile(c.DataDir)
	if err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	if removed { // until now its Gavel reported a stop
		if err := c.call(ctx, http.MethodGet, "stop", &answer.Stop); err != nil {
			return fmt.Errorf("resume: %w", err)
		}
	}
	if c.json() {
		return writeJSON(t.out, answer)
	}
	if removed {
		fmt.Fprintf(t.out, "removed %s\n", c.stopFile())
	}
	if answer.Stopped {
		return fmt.Errorf("resume: rules are still stopped: %s", render.Printable(cmp.Or(answer.Reason, "no reason given")))
	}
	fmt.Fprintln(t.out, "rules go on")
	return render.Wire(t.out, answer, time.Now())
}
