package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"text/tabwriter"
	"time"

	"gavel/handlers/api"
	"gavel/internal/brakes"
)

// switchFlags are those of stop and resume.
type switchFlags struct {
	clientFlags
	Reason string `required:"" placeholder:"TEXT" help:"Why. It is kept, and shown to whoever asks."`
}

// stopWithin bounds the wait for an answer to a stop: a person who needs one
// does not wait for long.
const stopWithin = 5 * time.Second

// stopFile stops rules in every process on the data directory, whether NATS
// answers or not.
func (f switchFlags) stopFile() string { return filepath.Join(f.DataDir, brakes.StopFile) }

// tell asks a running Gavel; a question about the stop has no body.
func (f switchFlags) tell(ctx context.Context, method, path string, answer any) error {
	asker, err := f.client()
	if err != nil {
		return err
	}
	var body any
	if method == http.MethodPost {
		body = because{f.Reason}
	}
	ctx, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()
	return asker.ask(ctx, method, path, nil, body, answer)
}

// because is why a person does something, as /v1 wants to be told.
type because struct {
	Reason string `json:"reason"`
}

// stopCommand stops what rules do.
type stopCommand struct{ switchFlags }

// Help is the longer help text.
func (stopCommand) Help() string {
	return `From its answer on no rule calls Twilio, in any process, and what was on its way there is listed. Rules are judged as before, and people's own writes go on. What is stopped waits until its deadline, 5 minutes, and expires then.

Where no Gavel answers within 5 s, the stop is written into a file named STOP in the data directory, which every process on it reads before each call.

Example:
  gavel stop --reason "ends the wrong calls since 14:05"`
}

// Run stops.
func (c *stopCommand) Run(ctx context.Context, t *terminal) error {
	var answer api.Stopping
	if err := c.tell(ctx, http.MethodPost, "stop", &answer); err != nil {
		return c.byFile(t, err)
	}
	return c.print(t, answer, func(w io.Writer) error {
		fmt.Fprintln(w, "rules are stopped: none calls Twilio until `gavel resume`")
		return wireList(w, answer, time.Now())
	})
}

// byFile leaves the stop where processes find it that could not be asked. A
// Gavel that answered and refused has its reasons, and is not gone around.
func (c *stopCommand) byFile(t *terminal, asked error) error {
	if r := (*refused)(nil); errors.As(asked, &r) && r.status < http.StatusInternalServerError {
		return asked
	}
	if usage := (usageError{}); errors.As(asked, &usage) {
		return asked
	}
	if err := brakes.WriteStopFile(c.DataDir, brakes.Stop{Reason: printable(c.Reason), At: time.Now().UTC()}); err != nil {
		return fmt.Errorf("stop: NOTHING IS STOPPED: %w; and no file could be left: %w; --data-dir names the data directory of a Gavel", asked, err)
	}
	return c.print(t, map[string]any{"stopped": true, "file": c.stopFile()}, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "no Gavel did it (%v)\n\nWrote %s: processes on that data directory read it before each call and stop.\n"+
			"Processes on other machines or directories do not; `gavel resume` removes it.\n", asked, c.stopFile())
		return err
	})
}

// resumeCommand ends a stop.
type resumeCommand struct{ switchFlags }

// Help is the longer help text.
func (resumeCommand) Help() string {
	return `What was stopped and is still within its deadline is tried again: Twilio is asked how things stand first, and the brakes count. The rest expires. A file named STOP in the data directory is removed.

Example:
  gavel resume --reason "rule is in shadow again"`
}

// Run ends the stop.
func (c *resumeCommand) Run(ctx context.Context, t *terminal) error {
	var answer api.Stopping
	if err := c.tell(ctx, http.MethodPost, "resume", &answer); err != nil {
		return fmt.Errorf("resume: the stop stays: %w", err)
	}
	removed, err := brakes.RemoveStopFile(c.DataDir)
	if err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	if removed { // its Gavel called itself stopped until now
		if err := c.tell(ctx, http.MethodGet, "stop", &answer.Stop); err != nil {
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
		return fmt.Errorf("resume: rules are still stopped: %s", printable(firstOf(answer.Reason, "nobody said why")))
	}
	fmt.Fprintln(t.out, "rules go on")
	return wireList(t.out, answer, time.Now())
}

// wireList shows what may happen still.
func wireList(w io.Writer, s api.Stopping, now time.Time) error {
	if s.Unsure {
		fmt.Fprintln(w, "the picture lags behind: more may be on its way to Twilio than can be told now")
	}
	if len(s.OnTheWire) == 0 && !s.Unsure {
		fmt.Fprintln(w, "nothing is on its way to Twilio")
	}
	if len(s.OnTheWire) == 0 {
		return nil
	}
	fmt.Fprintln(w, "on their way to Twilio, and may happen still:")
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ASKED\tDO\tRULE\tNAME\tCONFERENCE\tCALL")
	for _, a := range s.OnTheWire {
		fmt.Fprintf(table, "%s ago\t%s\t%s\t%s\t%s\t%s\n", ago(a.AskedAt, now), a.Do, clip(a.ActorRule, 24),
			clip(a.FriendlyName, 20), a.ConferenceSid, firstOf(shortSid(a.CallSid), "-"))
	}
	return table.Flush()
}
