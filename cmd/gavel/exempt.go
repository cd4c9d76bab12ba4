package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"gavel/cmd/gavel/render"
	"gavel/handlers/api"
)

// exemptCommand keeps rules off one conference.
type exemptCommand struct {
	clientFlags
	conferenceArgument
	For    string `required:"" placeholder:"AGE" help:"How long: 30m, 2h, at most 7d; 0s ends the exemption."`
	Rule   string `placeholder:"RULE" help:"Only this rule (default all)."`
	Reason string `required:"" placeholder:"TEXT" help:"Why; the journal keeps it."`
}

// Run exempts.
func (c *exemptCommand) Run(ctx context.Context, t *terminal) error {
	length, err := c.length()
	if err != nil {
		return usageError{fmt.Errorf("--for: %w", err)}
	}
	body := struct {
		For  string `json:"for"`
		Rule string `json:"rule,omitempty"`
		because
	}{length.String(), c.Rule, because{c.Reason}}
	return request[api.Exemption]{
		method: http.MethodPost,
		path:   c.path() + "/exempt",
		query:  c.query(),
		body:   body,
		text: func(w io.Writer, x api.Exemption) error {
			_, err := fmt.Fprintln(w, exemptWords(x, length))
			return err
		},
	}.run(ctx, c.clientFlags, t)
}

func (c *exemptCommand) length() (time.Duration, error) {
	if length, err := time.ParseDuration(c.For); err == nil && length == 0 {
		return 0, nil
	}
	return parseAge(c.For)
}

func exemptWords(x api.Exemption, length time.Duration) string {
	name := render.Printable(cmp.Or(x.FriendlyName, x.Conference)) + " (" + x.Conference + ")"
	if x.Conference == "" {
		name = fmt.Sprintf("%s (every conference of that name in %s; live now: %d)", render.Printable(x.FriendlyName), x.AccountSid, len(x.Live))
	}
	which := "no rule touches " + name
	if x.Rule != "" {
		which = "rule " + x.Rule + " does not touch " + name
	}
	if length == 0 {
		return "the exemption of " + name + " is ended" + either(x.Rule != "", " for rule "+x.Rule, "")
	}
	return which + " until " + x.Until.Local().Format(time.DateTime)
}
