package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"gavel/handlers/api"
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
		show = progressBar(t.out, isTerminal(t.out))
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
