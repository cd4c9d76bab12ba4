package main

import (
	"context"
	"io"
	"net/url"
	"time"

	"gavel/cmd/gavel/render"
	"gavel/handlers/api"
	"gavel/views"
)

// decisionsCommand lists what rules decided.
type decisionsCommand struct {
	clientFlags
	Rule       string `placeholder:"RULE" help:"Only this rule."`
	Verdict    string `enum:",act,would,refused" default:"" placeholder:"VERDICT" help:"act (to be performed), would (the rule is in shadow) or refused."`
	Since      string `placeholder:"AGE" help:"Only those within this age: 2h, 30d."`
	Conference string `placeholder:"SID|NAME" help:"Only this conference."`
	Account    string `placeholder:"SID" help:"Only this account."`
	Limit      int    `default:"50" help:"At most this many (default ${default})."`
}

// Run lists them.
func (c *decisionsCommand) Run(ctx context.Context, t *terminal) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	query, err := c.query()
	if err != nil {
		return usageError{err}
	}
	found, err := pages(ctx, client, "decisions", query, c.Limit, func(p api.DecisionList) ([]views.Decision, string) { return p.Decisions, p.Next })
	if err != nil {
		return err
	}
	return c.print(t, found, func(w io.Writer) error { return render.Decisions(w, found, time.Now()) })
}

func (c *decisionsCommand) query() (url.Values, error) {
	query := queryOf(map[string]string{"rule": c.Rule, "verdict": c.Verdict, "conference": c.Conference, "account": c.Account})
	return query, narrow(query, "since", c.Since, c.Limit)
}
