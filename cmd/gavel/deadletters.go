package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"

	"gavel/events"
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
		text:  func(w io.Writer, all api.DeadLetterList) error { return letterTable(w, all.DeadLetters, time.Now()) },
	}.run(ctx, c.clientFlags, t)
}

func letterTable(w io.Writer, letters []api.DeadLetter, now time.Time) error {
	if len(letters) == 0 {
		_, err := fmt.Fprintln(w, "no dead letters")
		return err
	}
	return printTable(w, "ID\tAGE\tKIND\tACCOUNT\tWHY", letters, func(l api.DeadLetter) []any {
		return []any{l.ID, ago(&l.At, now), l.Kind, cmp.Or(shortSid(l.AccountSid), "-"), clip(letterWhy(l), 60)}
	})
}

func letterWhy(l api.DeadLetter) string {
	if l.Field == "" {
		return l.Reason
	}
	return l.Field + ": " + l.Reason
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
	return request[api.DeadLetterContent]{path: c.path(), text: letterCard}.run(ctx, c.clientFlags, t)
}

func letterCard(w io.Writer, l api.DeadLetterContent) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range [][2]string{
		{"id", strconv.FormatUint(l.ID, 10)},
		{"kind", l.Kind},
		{"why", letterWhy(l.DeadLetter)},
		{"stored", moment(&l.At)},
		{"received", moment(&l.ReceivedAt)},
		{"account", l.AccountSid},
		{"conference", l.ConferenceSid},
		{"decision", l.Decision},
		{"position", l.Position},
		{"query", l.Query},
	} {
		if row[1] != "" {
			fmt.Fprintf(out, "%s\t%s\n", row[0], printable(row[1]))
		}
	}
	params, err := events.ParseForm(l.Form, events.MaxParams)
	if err != nil {
		fmt.Fprintf(out, "form\t%s\n", printable(l.Form))
	}
	for _, p := range params {
		fmt.Fprintf(out, "  %s\t%s\n", printable(p.Name), printable(p.Value))
	}
	if len(l.Raw) > 0 {
		fmt.Fprintf(out, "raw\t%s\n", printable(string(l.Raw)))
	}
	return out.Flush()
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
