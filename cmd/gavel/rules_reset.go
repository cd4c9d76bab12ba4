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
	Reason string `required:"" placeholder:"TEXT" help:"Why it may act again. It is kept with the rule's brakes."`
}

// Help is the longer help text.
func (rulesResetCommand) Help() string {
	return `A rule trips when it was let through trip_after times within an hour. What it decided since was not done and is not done later; a condition that holds again begins anew.

Example:
  gavel rules reset end-orphaned --reason "the carrier's outage is over"`
}

// Run resets it.
func (c *rulesResetCommand) Run(ctx context.Context, t *terminal) error {
	return question[done]{
		method: http.MethodPost,
		path:   "rules/" + url.PathEscape(c.Rule) + "/reset",
		body:   because{c.Reason},
		json:   didTo("reset", c.Rule),
		text:   sentence("rule " + c.Rule + " may act again"),
	}.run(ctx, c.clientFlags, t)
}
