package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"gavel/cmd/gavel/render"
	"gavel/handlers/api"
)

// deadLettersCommand lists, shows and redrives dead letters.
type deadLettersCommand struct {
	List    deadLettersList    `cmd:"" help:"List dead letters, newest first."`
	Show    deadLettersShow    `cmd:"" help:"Show a dead letter and its content."`
	Redrive deadLettersRedrive `cmd:"" help:"Process a dead letter again."`
}

// deadLettersList lists them.
type deadLettersList struct {
	clientFlags
	Limit int `default:"50" help:"At most this many, up to 200 (default ${default})."`
}

// Run lists them.
func (c *deadLettersList) Run(ctx context.Context, t *terminal) error {
	return request[api.DeadLetterList]{
		path:  "deadletters",
		query: url.Values{"limit": {strconv.Itoa(c.Limit)}},
		json:  func(all api.DeadLetterList) any { return all.DeadLetters },
		text: func(w io.Writer, all api.DeadLetterList) error {
			return render.DeadLetters(w, all.DeadLetters, time.Now())
		},
	}.run(ctx, c.clientFlags, t)
}

// letterArgument names a dead letter.
type letterArgument struct {
	ID uint64 `arg:"" help:"Its id, as list shows it."`
}

func (a letterArgument) path() string { return "deadletters/" + strconv.FormatUint(a.ID, 10) }

// deadLettersShow shows one.
type deadLettersShow struct {
	clientFlags
	letterArgument
}

// Run shows it.
func (c *deadLettersShow) Run(ctx context.Context, t *terminal) error {
	return request[api.DeadLetterContent]{path: c.path(), text: render.DeadLetter}.run(ctx, c.clientFlags, t)
}

// deadLettersRedrive processes one again.
type deadLettersRedrive struct {
	clientFlags
	letterArgument
}

// Run redrives it.
func (c *deadLettersRedrive) Run(ctx context.Context, t *terminal) error {
	return request[api.Redriven]{method: http.MethodPost, path: c.path() + "/redrive", text: redrivenText}.run(ctx, c.clientFlags, t)
}

func redrivenText(w io.Writer, r api.Redriven) (err error) {
	if r.Decision != "" {
		_, err = fmt.Fprintf(w, "dead letter %d is now decision %s: it is performed if it still holds\n", r.ID, r.Decision)
	} else {
		_, err = fmt.Fprintf(w, "dead letter %d is in the journal\n", r.ID)
	}
	return err
}
