package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"gavel/handlers/api"
	"gavel/views"
)

// rulesArmedCommand lists the pending deadlines.
type rulesArmedCommand struct {
	clientFlags
	Account string `placeholder:"SID" help:"Only this account."`
	Limit   int    `default:"50" help:"At most this many, up to 200 (default ${default})."`
}

// Run lists them.
func (c *rulesArmedCommand) Run(ctx context.Context, t *terminal) error {
	return request[api.DeadlineList]{
		path:  "armed",
		query: queryOf(map[string]string{"account": c.Account, "limit": strconv.Itoa(c.Limit)}),
		json:  func(armed api.DeadlineList) any { return armed.Deadlines },
		text: func(w io.Writer, armed api.DeadlineList) error {
			if len(armed.Deadlines) > 0 {
				return armedTable(w, armed.Deadlines)
			}
			return request[api.RuleStatus]{path: "rules", text: nothingArmed}.run(ctx, c.clientFlags, t)
		},
	}.run(ctx, c.clientFlags, t)
}

// nothingArmed prints why the list is empty.
func nothingArmed(w io.Writer, status api.RuleStatus) error {
	_, err := fmt.Fprintln(w, either(status.InForce == nil, noRules, "nothing is armed"))
	return err
}

func armedTable(w io.Writer, armed []views.Deadline) error {
	return printTable(w, "DUE\tRULE\tUNTIL\tNAME\tCONFERENCE\tLEG", armed, func(d views.Deadline) []any {
		return []any{
			dueIn(d.InSeconds), cmp.Or(d.Rule, "(all)"), until(d),
			clip(cmp.Or(d.FriendlyName, "-"), 20), d.ConferenceSid, cmp.Or(clip(d.Label, 14), shortSid(d.CallSid), "-"),
		}
	})
}

// until returns what the rule waits for; for a step, also its place in the ladder.
func until(d views.Deadline) string {
	if d.Waits == views.WaitStep {
		return fmt.Sprintf("step %d/%d", d.Step, d.Steps)
	}
	return string(d.Waits)
}

// dueIn returns "in 1m20s", or how long a deadline is overdue.
func dueIn(seconds float64) string {
	left := time.Duration(seconds * float64(time.Second))
	if left < 0 {
		return "overdue " + span(-left)
	}
	return "in " + span(left)
}

// span returns a length of time in its two largest units.
func span(d time.Duration) string {
	d = d.Round(time.Second)
	switch {
	case d < time.Hour:
		return d.String()
	case d < day:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
}
