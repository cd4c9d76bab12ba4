package render

import (
	"cmp"
	"fmt"
	"io"
	"time"

	"gavel/views"
)

// Armed prints pending deadlines, the earliest first.
func Armed(w io.Writer, armed []views.Deadline) error {
	return Table(w, "DUE\tRULE\tUNTIL\tNAME\tCONFERENCE\tLEG", armed, func(d views.Deadline) []any {
		return []any{
			dueIn(d.InSeconds), cmp.Or(d.Rule, "(all)"), until(d),
			Clip(cmp.Or(d.FriendlyName, "-"), 20), d.ConferenceSid, cmp.Or(Clip(d.Label, 14), ShortSid(d.CallSid), "-"),
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
