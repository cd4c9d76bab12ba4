package main

import (
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

// deadLettersCommand is about what could not go on.
type deadLettersCommand struct {
	List    deadLettersList    `cmd:"" help:"List dead letters, newest first."`
	Show    deadLettersShow    `cmd:"" help:"Show one with what came."`
	Redrive deadLettersRedrive `cmd:"" help:"Send one on its way again."`
}

// deadLettersList lists them.
type deadLettersList struct {
	clientFlags
	Limit int `default:"50" help:"At most this many, up to 200 (default ${default})."`
}

// Help is the longer help text.
func (deadLettersList) Help() string {
	return `A letter is refused (genuine, but the door could not accept its form), unfoldable (the picture could not take it in) or unperformed (a rule decided it, and it could not be done in time). Each kind keeps the last 1,000 of an account.

Example:
  gavel deadletters list`
}

// Run lists them.
func (c *deadLettersList) Run(ctx context.Context, t *terminal) error {
	return question[api.DeadLetterList]{
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
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tAGE\tKIND\tACCOUNT\tWHY")
	for _, l := range letters {
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\n", l.ID, ago(&l.At, now), l.Kind, firstOf(shortSid(l.AccountSid), "-"), clip(letterWhy(l), 60))
	}
	return table.Flush()
}

func letterWhy(l api.DeadLetter) string {
	if l.Field == "" {
		return l.Reason
	}
	return l.Field + ": " + l.Reason
}

// letterArgument names one.
type letterArgument struct {
	ID uint64 `arg:"" help:"Its number, as list shows it."`
}

func (a letterArgument) path() string { return "deadletters/" + strconv.FormatUint(a.ID, 10) }

// deadLettersShow shows one.
type deadLettersShow struct {
	clientFlags
	letterArgument
}

// Help is the longer help text.
func (deadLettersShow) Help() string {
	return `What came is shown as it came, with the names and numbers of people in it.

Example:
  gavel deadletters show 17`
}

// Run shows it.
func (c *deadLettersShow) Run(ctx context.Context, t *terminal) error {
	return question[api.DeadLetterContent]{path: c.path(), text: letterCard}.run(ctx, c.clientFlags, t)
}

func letterCard(w io.Writer, l api.DeadLetterContent) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range [][2]string{
		{"id", strconv.FormatUint(l.ID, 10)},
		{"kind", l.Kind},
		{"why", letterWhy(l.DeadLetter)},
		{"put aside", moment(&l.At)},
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

// deadLettersRedrive sends one on its way again.
type deadLettersRedrive struct {
	clientFlags
	letterArgument
}

// Help is the longer help text.
func (deadLettersRedrive) Help() string {
	return `A callback goes into the journal, if this version and the settings let it in now. It counts as late: rules ask Twilio before they act on it. What a rule decided gets a new id and your name, and passes Twilio's own word, the brakes and the stop like any other. The letter stays.

Example:
  gavel deadletters redrive 17`
}

// Run redrives it.
func (c *deadLettersRedrive) Run(ctx context.Context, t *terminal) error {
	return question[api.Redriven]{method: http.MethodPost, path: c.path() + "/redrive", text: redrivenWords}.run(ctx, c.clientFlags, t)
}

func redrivenWords(w io.Writer, r api.Redriven) (err error) {
	if r.Decision != "" {
		_, err = fmt.Fprintf(w, "letter %d is decision %s now: it is performed if it still holds\n", r.ID, r.Decision)
	} else {
		_, err = fmt.Fprintf(w, "letter %d is in the journal\n", r.ID)
	}
	return err
}
