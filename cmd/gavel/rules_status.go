package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"gavel/handlers/api"
	"gavel/internal/brakes"
)

// rulesStatusCommand says which rules are in force and how they fare.
type rulesStatusCommand struct{ clientFlags }

// Help is the longer help text.
func (rulesStatusCommand) Help() string {
	return `MINUTE and HOUR are the actions that were let through in the last one, and how many may be; a rule over its hour is TRIPPED and only says what it would do until gavel rules reset. FAULTS counts expressions that had no value.

Example:
  gavel rules status`
}

// noRules is what is said where nothing is in force.
const noRules = "no rules are in force: start serve with --rules PATH"

// Run asks and shows.
func (c *rulesStatusCommand) Run(ctx context.Context, t *terminal) error {
	return question[api.RuleStatus]{path: "rules", text: func(w io.Writer, s api.RuleStatus) error {
		return statusTable(w, s, time.Now())
	}}.run(ctx, c.clientFlags, t)
}

func statusTable(w io.Writer, s api.RuleStatus, now time.Time) error {
	if s.Stop.Stopped {
		fmt.Fprintln(w, stopWords(s.Stop, now))
	}
	if s.InForce == nil {
		fmt.Fprintln(w, noRules)
	} else {
		fmt.Fprintf(w, "in force: version %s since %s, from %s\n", s.InForce.Version, moment(&s.InForce.Since), printable(s.InForce.Origin))
	}
	if s.InForce != nil && s.InForce.Unreadable != "" {
		fmt.Fprintf(w, "the Gavel that answers cannot read them: %s\n", printable(s.InForce.Unreadable))
	}
	if s.OwnVersion != "" {
		fmt.Fprintf(w, "the Gavel that answers follows these; its own files are version %s:\nSIGHUP puts them in force\n", s.OwnVersion)
	}
	if len(s.Rules) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nRULE\tMODE\tMINUTE\tHOUR\tFAULTS\tSTATE\tDESCRIPTION")
	for _, r := range s.Rules {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n", r.Name, r.Mode, admitted(r.LastMinute, r.PerMinute),
			admitted(r.LastHour, r.TripAfter), faults(r), tripped(r, now), clip(firstOf(r.Description, "-"), 30))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print the rules: %w", err)
	}
	return resetList(w, s.Rules, now)
}

// resetList says of each rule who let it act again the last time.
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

func stopWords(s api.Stop, now time.Time) string {
	words := "STOPPED"
	if s.Since != nil {
		words += " " + ago(s.Since, now) + " ago"
	}
	if s.By != "" {
		words += " by " + printable(s.By)
	}
	return words + ": " + printable(firstOf(s.Reason, "nobody said why"))
}

// admitted is how many of how many; a rule without a limit has only the first.
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
