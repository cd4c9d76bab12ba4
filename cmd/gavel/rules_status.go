package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"gavel/handlers/api"
	"gavel/internal/brakes"
)

// rulesStatusCommand shows which rules are in force, and their state.
type rulesStatusCommand struct{ clientFlags }

// noRules is the output if no rules are in force.
const noRules = "no rules are in force: start serve with --rules PATH"

// Run shows them.
func (c *rulesStatusCommand) Run(ctx context.Context, t *terminal) error {
	return request[api.RuleStatus]{path: "rules", text: func(w io.Writer, s api.RuleStatus) error {
		return statusTable(w, s, time.Now())
	}}.run(ctx, c.clientFlags, t)
}

func statusTable(w io.Writer, s api.RuleStatus, now time.Time) error {
	if s.Stop.Stopped {
		fmt.Fprintln(w, stopText(s.Stop, now))
	}
	if s.InForce == nil {
		fmt.Fprintln(w, noRules)
	} else {
		fmt.Fprintf(w, "in force: version %s since %s, from %s\n", s.InForce.Version, moment(&s.InForce.Since), printable(s.InForce.Origin))
	}
	if s.InForce != nil && s.InForce.Unreadable != "" {
		fmt.Fprintf(w, "the Gavel at this address cannot read them: %s\n", printable(s.InForce.Unreadable))
	}
	if s.InForce != nil && len(s.InForce.Warnings) > 0 {
		fmt.Fprintf(w, "WARNING: new checks find %s in them: they stay in force, and would be refused as a proposal\n", plural(len(s.InForce.Warnings), "fault"))
		for _, fault := range s.InForce.Warnings {
			fmt.Fprintf(w, "  %s\n", printable(fault))
		}
	}
	if s.OwnVersion != "" {
		fmt.Fprintf(w, "the Gavel at this address follows these; its own files are version %s:\nSIGHUP puts them in force\n", s.OwnVersion)
	}
	if len(s.Rules) == 0 {
		return nil
	}
	err := printTable(w, "\nRULE\tMODE\tMINUTE\tHOUR\tFAULTS\tSTATE\tDESCRIPTION", s.Rules, func(r api.Rule) []any {
		return []any{
			r.Name, r.Mode, admitted(r.LastMinute, r.PerMinute), admitted(r.LastHour, r.TripAfter),
			faults(r), tripped(r, now), clip(cmp.Or(r.Description, "-"), 30),
		}
	})
	if err != nil {
		return fmt.Errorf("print the rules: %w", err)
	}
	return resetList(w, s.Rules, now)
}

// resetList prints the last reset of each rule whose last change it is.
func resetList(w io.Writer, all []api.Rule, now time.Time) error {
	for _, r := range all {
		if len(r.Past) == 0 || r.Past[len(r.Past)-1].What != brakes.WasReset {
			continue
		}
		last := r.Past[len(r.Past)-1]
		_, err := fmt.Fprintf(w, "%s was reset %s ago by %s: %s\n", r.Name, ago(&last.At, now), printable(last.By), printable(last.Reason))
		if err != nil {
			return err
		}
	}
	return nil
}

func stopText(s api.Stop, now time.Time) string {
	words := "STOPPED"
	if s.Since != nil {
		words += " " + ago(s.Since, now) + " ago"
	}
	if s.By != "" {
		words += " by " + printable(s.By)
	}
	return words + ": " + printable(cmp.Or(s.Reason, "no reason given"))
}

// admitted returns "3/10": how many of at most how many. Without a limit it returns
// only the first number.
func admitted(n, most int) string {
	if most == 0 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%d/%d", n, most)
}

func tripped(r api.Rule, now time.Time) string {
	if r.TrippedSince == nil {
		return "-"
	}
	return "TRIPPED " + ago(r.TrippedSince, now) + " ago"
}

func faults(r api.Rule) (n int) {
	for _, f := range r.Faults {
		n += f.Count
	}
	return n
}
