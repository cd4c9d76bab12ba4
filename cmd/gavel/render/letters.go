package render

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"gavel/events"
	"gavel/handlers/api"
)

// DeadLetters prints dead letters, the newest first.
func DeadLetters(w io.Writer, letters []api.DeadLetter, now time.Time) error {
	if len(letters) == 0 {
		_, err := fmt.Fprintln(w, "no dead letters")
		return err
	}
	return Table(w, "ID\tAGE\tKIND\tACCOUNT\tWHY", letters, func(l api.DeadLetter) []any {
		return []any{l.ID, Ago(&l.At, now), l.Kind, cmp.Or(ShortSid(l.AccountSid), "-"), Clip(letterWhy(l), 60)}
	})
}

func letterWhy(l api.DeadLetter) string {
	if l.Field == "" {
		return l.Reason
	}
	return l.Field + ": " + l.Reason
}

// DeadLetter prints one with its content.
func DeadLetter(w io.Writer, l api.DeadLetterContent) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range [][2]string{
		{"id", strconv.FormatUint(l.ID, 10)},
		{"kind", l.Kind},
		{"why", letterWhy(l.DeadLetter)},
		{"stored", Moment(&l.At)},
		{"received", Moment(&l.ReceivedAt)},
		{"account", l.AccountSid},
		{"conference", l.ConferenceSid},
		{"decision", l.Decision},
		{"position", l.Position},
		{"query", l.Query},
	} {
		if row[1] != "" {
			fmt.Fprintf(out, "%s\t%s\n", row[0], Printable(row[1]))
		}
	}
	params, err := events.ParseForm(l.Form, events.MaxParams)
	if err != nil {
		fmt.Fprintf(out, "form\t%s\n", Printable(l.Form))
	}
	for _, p := range params {
		fmt.Fprintf(out, "  %s\t%s\n", Printable(p.Name), Printable(p.Value))
	}
	if len(l.Raw) > 0 {
		fmt.Fprintf(out, "raw\t%s\n", Printable(string(l.Raw)))
	}
	return out.Flush()
}
