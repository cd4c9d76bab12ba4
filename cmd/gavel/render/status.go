package render

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"time"

	"gavel/handlers/api"
	"gavel/internal/brakes"
	"gavel/views"
)

// NoRules is the output if no rules are in force.
const NoRules = "no rules are in force: start serve with --rules PATH"

// Status prints which rules are in force, and their state at the moment now.
func Status(w io.Writer, s api.RuleStatus, now time.Time) error {
	if s.Stop.Stopped {
		fmt.Fprintln(w, stopText(s.Stop, now))
	}
	if s.InForce == nil {
		fmt.Fprintln(w, NoRules)
	} else {
		fmt.Fprintf(w, "in force: version %s since %s, from %s\n", s.InForce.Version, Moment(&s.InForce.Since), Printable(s.InForce.Origin))
	}
	if s.InForce != nil && s.InForce.Unreadable != "" {
		fmt.Fprintf(w, "the Gavel at this address cannot read them: %s\n", Printable(s.InForce.Unreadable))
	}
	if s.InForce != nil && len(s.InForce.Warnings) > 0 {
		fmt.Fprintf(w, "WARNING: new checks find %s in them: they stay in force, and would be refused as a proposal\n", Plural(len(s.InForce.Warnings), "fault"))
		for _, fault := range s.InForce.Warnings {
			fmt.Fprintf(w, "  %s\n", Printable(fault))
		}
	}
	refusedFiles(w, s.Refused, now)
	if s.OwnVersion != "" {
		fmt.Fprintf(w, "the Gavel at this address follows these; its own files are version %s:\nSIGHUP puts them in force\n", s.OwnVersion)
	}
	if b := s.Backlog; b != nil && b.Deferred+b.Queued > 0 {
		fmt.Fprintf(w, "without an outcome yet: %s deferred, %d queued\n", Plural(b.Deferred, "decision"), b.Queued)
	}
	if len(s.Rules) == 0 {
		return nil
	}
	err := Table(w, "\nRULE\tMODE\tMINUTE\tHOUR\tACTED\tWOULD\tLAST\tFAULTS\tSTATE", s.Rules, func(r api.Rule) []any {
		return []any{
			r.Name, r.Mode, admitted(r.LastMinute, r.PerMinute), admitted(r.LastHour, r.TripAfter), r.Acts, r.Would,
			Ago(r.LastFired, now), faults(r), tripped(r, now),
		}
	})
	if err != nil {
		return fmt.Errorf("print the rules: %w", err)
	}
	if err := faultList(w, s.Rules, now); err != nil {
		return err
	}
	return resetList(w, s.Rules, now)
}

// refusedFiles prints that the own files of the process that answers have faults, and which.
func refusedFiles(w io.Writer, r *api.RefusedFiles, now time.Time) {
	if r == nil {
		return
	}
	fmt.Fprintf(w, "FAULTS %s ago in the changed files at %s: the rules in force stay\n", Ago(&r.Since, now), Printable(r.Origin))
	for _, fault := range r.Faults {
		fmt.Fprintf(w, "  %s\n", Printable(fault))
	}
}

// faultList prints the expressions that had no value, with their rules.
func faultList(w io.Writer, all []api.Rule, now time.Time) error {
	for _, r := range all {
		for _, f := range r.Faults {
			_, err := fmt.Fprintf(w, "%s: %s could not be evaluated %s, the last time %s ago\n", r.Name, f.In, Plural(f.Count, "time"), Ago(&f.Last, now))
			if err != nil {
				return err
			}
			for _, line := range []string{f.Text, f.Error} {
				if line != "" {
					fmt.Fprintf(w, "  %s\n", Clip(line, faultWidth))
				}
			}
		}
	}
	return nil
}

// faultWidth is how much of an expression or an error a line shows.
const faultWidth = 96

// resetList prints the last reset of each rule whose last change it is.
func resetList(w io.Writer, all []api.Rule, now time.Time) error {
	for _, r := range all {
		if len(r.Past) == 0 || r.Past[len(r.Past)-1].What != brakes.WasReset {
			continue
		}
		last := r.Past[len(r.Past)-1]
		_, err := fmt.Fprintf(w, "%s was reset %s ago by %s: %s\n", r.Name, Ago(&last.At, now), Printable(last.By), Printable(last.Reason))
		if err != nil {
			return err
		}
	}
	return nil
}

func stopText(s api.Stop, now time.Time) string {
	words := "STOPPED"
	if s.Since != nil {
		words += " " + Ago(s.Since, now) + " ago"
	}
	if s.By != "" {
		words += " by " + Printable(s.By)
	}
	return words + ": " + Printable(cmp.Or(s.Reason, "no reason given"))
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
	return "TRIPPED " + Ago(r.TrippedSince, now) + " ago"
}

func faults(r api.Rule) (n int) {
	for _, f := range r.Faults {
		n += f.Count
	}
	return n
}

// Wire prints the actions that may still happen.
func Wire(w io.Writer, s api.Stopping, now time.Time) error {
	if s.Unsure {
		fmt.Fprintln(w, "the picture lags behind: more may be on its way to Twilio than is listed here")
	}
	if len(s.OnTheWire) == 0 && !s.Unsure {
		fmt.Fprintln(w, "nothing is on its way to Twilio")
	}
	if len(s.OnTheWire) == 0 {
		return nil
	}
	fmt.Fprintln(w, "on their way to Twilio, and may still happen:")
	return Table(w, "ASKED\tDO\tRULE\tNAME\tCONFERENCE\tCALL", s.OnTheWire, func(a views.WireAction) []any {
		return []any{
			Ago(a.AskedAt, now) + " ago", a.Do, Clip(a.ActorRule, 24),
			Clip(a.FriendlyName, 20), a.ConferenceSid, cmp.Or(ShortSid(a.CallSid), "-"),
		}
	})
}
