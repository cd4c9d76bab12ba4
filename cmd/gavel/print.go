package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"gavel/handlers/api"
	"gavel/views"
)

// conferenceTable prints conferences for people.
func conferenceTable(w io.Writer, conferences []views.Conference, now time.Time) error {
	if len(conferences) == 0 {
		_, err := fmt.Fprintln(w, "no conferences")
		return err
	}
	return printTable(w, "STATUS\tAGE\tLIVE\tNAME\tSID\tWHY", conferences, func(c views.Conference) []any {
		status := c.Status
		if c.StaleSince != nil {
			status += " (stale " + ago(c.StaleSince, now) + ")"
		}
		return []any{status, ago(c.Created, now), c.Connected, clip(c.FriendlyName, 40), c.Sid, printable(c.Why)}
	})
}

// printTable prints a header and a line for each row, in aligned columns.
func printTable[T any](w io.Writer, header string, rows []T, cells func(T) []any) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, header)
	for _, row := range rows {
		all := cells(row)
		fmt.Fprintf(table, strings.Repeat("%v\t", len(all)-1)+"%v\n", all...)
	}
	return table.Flush()
}

// ago returns how long before now t was, in its largest unit.
func ago(t *time.Time, now time.Time) string {
	if t == nil {
		return "-"
	}
	return rough(now.Sub(*t))
}

func rough(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 2*day:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/day)
}

// card prints a record for people.
func card(w io.Writer, r views.Record) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(out, "%s\n%s\n\n", printable(cmp.Or(r.FriendlyName, r.Sid)), printable(r.Why))
	rows := [][2]string{
		{"sid", r.Sid},
		{"account", r.AccountSid},
		{"status", r.Status},
		{"created", moment(r.Created)},
		{"started", moment(r.Started)},
		{"ended", moment(r.Ended)},
		{"silent since", either(r.StaleSince != nil, moment(r.StaleSince), "")},
		{"reason", r.Reason},
		{"ended by", r.EndedBy},
		{"not told", ranges(r.Gaps)},
	}
	for _, row := range rows {
		if row[1] != "" && row[1] != "-" {
			fmt.Fprintf(out, "  %s\t%s\n", row[0], printable(row[1]))
		}
	}
	for _, p := range r.Participants {
		fmt.Fprintf(out, "\n  %s\t%s\n", printable(cmp.Or(p.Label, "participant")), p.CallSid)
		fmt.Fprintf(out, "    %s\n", participantLine(p))
		for _, i := range p.Intervals {
			fmt.Fprintf(out, "    %s to %s\n", moment(i.Joined), either(i.Left != nil, moment(i.Left), "now"))
		}
	}
	for _, rec := range r.Recordings {
		fmt.Fprintf(out, "\n  recording\t%s\n    %s\n", cmp.Or(rec.Sid, rec.URL), recordingLine(rec))
	}
	for _, a := range r.Actions {
		fmt.Fprintf(out, "\n  %s\t%s\n    %s\n", a.Do, moment(a.AskedAt), printable(a.Words))
	}
	return out.Flush()
}

func participantLine(p views.Participant) string {
	words := []string{either(p.Connected, "in the conference", "gone")}
	flags := []struct {
		word string
		on   bool
	}{
		{"muted", p.Muted},
		{"on hold", p.Hold},
		{"coaching", p.Coaching},
		{"ends the conference on exit", p.EndConferenceOnExit},
	}
	for _, f := range flags {
		if f.on {
			words = append(words, f.word)
		}
	}
	words = append(words, fmt.Sprintf("present %s", seconds(p.PresentSeconds)))
	if p.HeldSeconds > 0 {
		words = append(words, "held "+seconds(p.HeldSeconds))
	}
	if p.MutedSeconds > 0 {
		words = append(words, "muted "+seconds(p.MutedSeconds))
	}
	if p.ReasonLeft != "" {
		words = append(words, "left: "+strings.ReplaceAll(p.ReasonLeft, "_", " "))
	}
	return printable(strings.Join(words, ", "))
}

func recordingLine(r views.Recording) string {
	line := r.Status
	if r.Seconds != nil {
		line += ", " + seconds(*r.Seconds)
	}
	return line
}

func seconds(n int64) string { return (time.Duration(n) * time.Second).String() }

func moment(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}

// ranges writes inclusive ranges as "3, 5-9".
func ranges(all [][2]int64) string {
	words := make([]string, len(all))
	for i, r := range all {
		words[i] = strconv.FormatInt(r[0], 10)
		if r[1] != r[0] {
			words[i] += "-" + strconv.FormatInt(r[1], 10)
		}
	}
	return strings.Join(words, ", ")
}

func timelineList(w io.Writer, body api.TimelineBody, p palette) error {
	fmt.Fprintf(w, "%s  %s\n%s\n\n", printable(body.Conference.FriendlyName), body.Conference.Sid, printable(body.Conference.Why))
	for _, fact := range body.Facts {
		e, err := parseEvent(fact.Event)
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%4s  %s  %s  %-16s %s", cmp.Or(e.Params.Get("SequenceNumber"), "-"), p.dim(e.Time.Local().Format(time.TimeOnly)),
			p.event(fmt.Sprintf("%-24s", e.name())), clip(e.who(), 16), p.dim(e.detail()))
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " ")); err != nil {
			return err
		}
	}
	if body.Truncated {
		_, err := fmt.Fprintln(w, "the list is cut off: the conference has more events")
		return err
	}
	return nil
}

// curtainTable prints for each conference how long it lasted, why it ended and the
// participant that ended it.
func curtainTable(w io.Writer, conferences []views.Conference, now time.Time) error {
	reasons := map[string]int{}
	err := printTable(w, "NAME\tSID\tLEGS\tLASTED\tENDED BY\tREASON", conferences, func(c views.Conference) []any {
		until, by, reason := now, "-", c.Status
		if c.Ended != nil {
			until, by, reason = *c.Ended, c.EndedBy, c.Reason
			reasons[reason]++
		}
		lasted := "-"
		if c.Created != nil {
			lasted = rough(until.Sub(*c.Created))
		}
		return []any{clip(c.FriendlyName, 20), shortSid(c.Sid), c.Joined, lasted, clip(by, 20), reason}
	})
	if err != nil {
		return fmt.Errorf("print the conferences: %w", err)
	}
	_, err = fmt.Fprintf(w, "\n%d conferences, %s\n", len(conferences), reasonCounts(reasons))
	return err
}

func reasonCounts(reasons map[string]int) string {
	if len(reasons) == 0 {
		return "none has ended yet"
	}
	words := make([]string, 0, len(reasons))
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		words = append(words, fmt.Sprintf("%d %s", reasons[reason], reason))
	}
	return "ended: " + strings.Join(words, ", ")
}
