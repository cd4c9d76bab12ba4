package main

import (
	"context"
	"net/http"
	"net/url"
)

// rulesResetCommand lets a tripped rule act again.
type rulesResetCommand struct {
	clientFlags
	Rule   string `arg:"" help:"The rule's name."`
	Reason string `required:"" placeholder:"TEXT" help:"Why the rule may act again; the rule's brakes keep it."`
}

// Run resets it.
func (c *rulesResetCommand) Run(ctx context.Context, t *terminal) error {
	return request[done]{
		method: http.MethodPost,
		path:   "rules/" + url.PathEscape(c.Rule) + "/reset",
		body:   because{c.Reason},
		json:   didTo("reset", c.Rule),
		text:   sentence("rule " + c.Rule + " may act again"),
	}.run(ctx, c.clientFlags, t)
}
