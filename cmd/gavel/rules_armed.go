package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"

	"gavel/handlers/api"
	"gavel/views"
)

// rulesArmedCommand lists the deadlines that run down.
type rulesArmedCommand struct {
	clientFlags
	Account string `placeholder:"SID" help:"Only this account."`
	Limit   int    `default:"50" help:"At most this many, up to 200 (default ${default})."`
}

// Help is the longer help text.
func (rulesArmedCommand) Help() string {
	return `UNTIL says what a rule waits for: its "for" runs; a wait between steps; the next attempt (again); the end of quiet hours; "time" where time alone may turn its condition; the end of an exemption. At that moment the conference is judged: nothing is done where the condition does not hold any more.

gavel exempt keeps rules off a conference that is in the list.

Example:
  gavel rules armed`
}

// Run asks and shows.
func (c *rulesArmedCommand) Run(ctx context.Context, t *terminal) error {
	query := url.Values{"limit": {strconv.Itoa(c.Limit)}}
	if c.Account != "" {
		query.Set("account", c.Account)
	}
	return question[api.DeadlineList]{
		path:  "armed",
		query: query,
		json:  func(armed api.DeadlineList) any { return armed.Deadlines },
		text: func(w io.Writer, armed api.DeadlineList) error {
			if len(armed.Deadlines) > 0 {
				return armedTable(w, armed.Deadlines)
			}
			return question[api.RuleStatus]{path: "rules", text: nothingArmed}.run(ctx, c.clientFlags, t)
		},
	}.run(ctx, c.clientFlags, t)
}

// nothingArmed prints why the list is empty.
func nothingArmed(w io.Writer, status api.RuleStatus) error {
	_, err := fmt.Fprintln(w, either(status.InForce == nil, noRules, "nothing is armed"))
	return err
}

func armedTable(w io.Writer, armed []views.Deadline) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "DUE\tRULE\tUNTIL\tNAME\tCONFERENCE\tLEG")
	for _, d := range armed {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", dueIn(d.InSeconds), firstOf(d.Rule, "(all)"), until(d),
			clip(firstOf(d.FriendlyName, "-"), 20), d.ConferenceSid, firstOf(clip(d.Label, 14), shortSid(d.CallSid), "-"))
	}
	return table.Flush()
}

// until is what is waited for, with the place in the ladder.
func until(d views.Deadline) string {
	if d.Waits == views.WaitStep {
		return fmt.Sprintf("step %d/%d", d.Step, d.Steps)
	}
	return string(d.Waits)
}

// dueIn is "in 1m20s", or how long ago it should have been.
func dueIn(seconds float64) string {
	left := time.Duration(seconds * float64(time.Second))
	if left < 0 {
		return "overdue " + span(-left)
	}
	return "in " + span(left)
}

// span is a length of time in its two largest units.
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
