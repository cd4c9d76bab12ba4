package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"gavel/cmd/gavel/render"
	"gavel/handlers/api"
	"gavel/internal/chain"
)

// rebuildCommand fills a new picture.
type rebuildCommand struct{ clientFlags }

// Run prints the progress of the rebuild until it ends.
func (c *rebuildCommand) Run(ctx context.Context, t *terminal) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	response, err := client.open(ctx, http.MethodPost, "rebuild", nil, nil, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	show := func(p api.Progress) error { return json.NewEncoder(t.out).Encode(p) }
	if !c.json() {
		show = progressBar(t.out, render.IsTerminal(t.out))
	}
	return followRebuild(response.Body, show)
}

// followRebuild shows each line of progress. It fails if the stream ends before the
// line that reports the end of the rebuild.
func followRebuild(r io.Reader, show func(api.Progress) error) error {
	lines := json.NewDecoder(r)
	for {
		var p api.Progress
		if err := lines.Decode(&p); err != nil {
			return fmt.Errorf("rebuild: the connection ended before the rebuild did: %w", err)
		}
		if err := show(p); err != nil {
			return fmt.Errorf("show progress: %w", err)
		}
		switch {
		case p.Error != "":
			return errors.New("rebuild: " + p.Error)
		case p.Finished:
			return nil
		}
	}
}

// progressBar redraws one line on a terminal; otherwise it writes only the last line.
func progressBar(w io.Writer, terminal bool) func(api.Progress) error {
	const width = 40
	return func(p api.Progress) error {
		share := 1.0
		if p.Total > 0 {
			share = min(1, float64(p.Done)/float64(p.Total))
		}
		full := int(share * width)
		line := fmt.Sprintf("[%s%s] %3.0f %%  %d of %d journal messages",
			strings.Repeat("#", full), strings.Repeat(".", width-full), share*100, p.Done, p.Total)
		end := p.Finished || p.Error != ""
		var err error
		switch {
		case terminal:
			_, err = fmt.Fprintf(w, "\r%s%s", line, either(end, "\n", ""))
		case end:
			_, err = fmt.Fprintln(w, line)
		}
		return err
	}
}

// journalCommand is about the journal of a running Gavel.
type journalCommand struct {
	Verify journalVerify `cmd:"" help:"Verify that the journal is the one that Gavel processed."`
	Accept journalAccept `cmd:"" help:"Go on with the journal as it is."`
}

// journalVerify verifies all lanes, and shows which are held.
type journalVerify struct {
	clientFlags
	Show bool `help:"Only show the state, without a verification."`
}

// errHeld makes the exit code 1.
var errHeld = errors.New("the journal is not the one that Gavel processed: restore the right one, or run gavel journal accept --reason TEXT")

const (
	// verifyPoll is how often the progress of a verification is read.
	verifyPoll = 500 * time.Millisecond
	// verifySilence is how long a lane may show no progress: its owner starts within two seconds, records
	// it every second, and a lost owner is replaced within five.
	verifySilence = 30 * time.Second
)

// verify requests a verification and follows it until each lane is verified or held.
func (c *journalVerify) verify(ctx context.Context, t *terminal) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	var asked chain.Verification
	if err := client.call(ctx, http.MethodPost, "journal/verify", nil, nil, &asked); err != nil {
		return err
	}
	show, moved, before := progressBar(t.err, render.IsTerminal(t.err)), time.Now(), api.Progress{}
	for {
		var s api.JournalState
		if err := client.call(ctx, http.MethodGet, "journal", nil, nil, &s); err != nil {
			return err
		}
		p := verifyProgress(s)
		if err := show(p); err != nil {
			return fmt.Errorf("show progress: %w", err)
		}
		switch {
		case p.Finished:
			return nil
		case s.Verification == nil || s.Verification.Number != asked.Number:
			return errors.New("another verification has begun: gavel journal verify --show has its state")
		case p != before:
			before, moved = p, time.Now()
		case time.Since(moved) > verifySilence:
			return fmt.Errorf("a lane shows no progress for %s: is a projector of this version ready? See /readyz", verifySilence)
		}
		select {
		case <-time.After(verifyPoll):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// verifyProgress is the progress over all lanes.
func verifyProgress(s api.JournalState) (p api.Progress) {
	if s.Verification == nil {
		return p
	}
	p.Finished = s.Verification.Finished
	for _, lane := range s.Verification.Verified {
		p.Done += lane.Done
		p.Total += lane.To
	}
	return p
}

// Run verifies them, and fails if any is held.
func (c *journalVerify) Run(ctx context.Context, t *terminal) error {
	if !c.Show {
		if err := c.verify(ctx, t); err != nil {
			return err
		}
	}
	waiting := false
	err := request[api.JournalState]{path: "journal", text: journalText, json: func(s api.JournalState) any {
		waiting = len(s.Held) > 0
		return s
	}}.run(ctx, c.clientFlags, t)
	if err == nil && waiting {
		return errHeld
	}
	return err
}

func journalText(w io.Writer, s api.JournalState) error {
	if n := len(s.Accepted); n > 0 {
		last := s.Accepted[n-1]
		fmt.Fprintf(w, "last accepted at %s: %s\n", render.Moment(&last.At), render.Printable(last.Reason))
	}
	if v := s.Verification; v != nil && v.Finished {
		for _, lane := range v.Verified {
			fmt.Fprintf(w, "lane %d: verified from %d to %d at %s\n", lane.Lane, lane.From, lane.To, render.Moment(&lane.At))
		}
	}
	if len(s.Held) == 0 {
		_, err := fmt.Fprintln(w, "the journal is the one that Gavel processed")
		return err
	}
	return render.Table(w, "LANE\tFROM\tTO\tFAULT\tSINCE\tSTATE\tWHY", s.Held, func(h api.HeldLane) []any {
		state := "waits"
		if h.Accepted > 0 {
			state = "is filled"
		}
		return []any{h.Lane, h.From, h.To, h.Kind, render.Moment(&h.Since), state, h.Why}
	})
}

// journalAccept accepts the journal.
type journalAccept struct {
	clientFlags
	Reason string `required:"" placeholder:"TEXT" help:"Why; it is stored."`
}

// Run accepts it.
func (c *journalAccept) Run(ctx context.Context, t *terminal) error {
	return request[chain.Acceptance]{method: http.MethodPost, path: "journal/accept", body: because{c.Reason}, text: func(w io.Writer, a chain.Acceptance) error {
		_, err := fmt.Fprintf(w, "accepted; %d lanes are filled from the journal, and readable after that\n", len(a.Lanes))
		return err
	}}.run(ctx, c.clientFlags, t)
}
