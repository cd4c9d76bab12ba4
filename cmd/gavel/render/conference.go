package render

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

	"gavel/events"
	"gavel/handlers/api"
	"gavel/rules"
	"gavel/views"
)

// Conferences prints conferences for people.
func Conferences(w io.Writer, conferences []views.Conference, now time.Time) error {
	if len(conferences) == 0 {
		_, err := fmt.Fprintln(w, "no conferences")
		return err
	}
	return Table(w, "STATUS\tAGE\tLIVE\tNAME\tSID\tWHY", conferences, func(c views.Conference) []any {
		status := c.Status
		if c.StaleSince != nil {
			status += " (stale " + Ago(c.StaleSince, now) + ")"
		}
		return []any{status, Ago(c.Created, now), c.Connected, Clip(c.FriendlyName, 40), c.Sid, Printable(c.Why)}
	})
}

// Table prints a header and a line for each row, in aligned columns.
func Table[T any](w io.Writer, header string, rows []T, cells func(T) []any) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, header)
	for _, row := range rows {
		all := cells(row)
		fmt.Fprintf(table, strings.Repeat("%v\t", len(all)-1)+"%v\n", all...)
	}
	return table.Flush()
}

// Ago returns how long before now t was, in its largest unit.
func Ago(t *time.Time, now time.Time) string {
	if t == nil {
		return "-"
	}
	return rough(now.Sub(*t))
}

// day is the largest unit of ages and of lengths of time.
const day = 24 * time.Hour

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

// Card prints a record for people.
func Card(w io.Writer, r views.Record) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(out, "%s\n%s\n\n", Printable(cmp.Or(r.FriendlyName, r.Sid)), Printable(r.Why))
	rows := [][2]string{
		{"sid", r.Sid},
		{"account", r.AccountSid},
		{"status", r.Status},
		{"created", Moment(r.Created)},
		{"started", Moment(r.Started)},
		{"ended", Moment(r.Ended)},
		{"silent since", Moment(r.StaleSince)},
		{"reason", r.Reason},
		{"ended by", r.EndedBy},
		{"not told", ranges(r.Gaps)},
	}
	for _, row := range rows {
		if row[1] != "" && row[1] != "-" {
			fmt.Fprintf(out, "  %s\t%s\n", row[0], Printable(row[1]))
		}
	}
	for _, p := range r.Participants {
		fmt.Fprintf(out, "\n  %s\t%s\n", Printable(cmp.Or(p.Label, "participant")), p.CallSid)
		fmt.Fprintf(out, "    %s\n", participantLine(p))
		for _, i := range p.Intervals {
			fmt.Fprintf(out, "    %s to %s\n", Moment(i.Joined), momentOr(i.Left, "now"))
		}
	}
	for _, l := range r.Dialling {
		fmt.Fprintf(out, "\n  %s\t%s\n    %s, until %s\n", Printable(cmp.Or(l.Label, "participant")), l.CallSid,
			Printable("is being called: "+cmp.Or(l.Status, "queued")), momentOr(l.Until, "-"))
	}
	for _, rec := range r.Recordings {
		fmt.Fprintf(out, "\n  recording\t%s\n    %s\n", cmp.Or(rec.Sid, rec.URL), recordingLine(rec))
	}
	for _, a := range r.Actions {
		fmt.Fprintf(out, "\n  %s\t%s\n    %s\n", a.Do, Moment(a.AskedAt), Printable(a.Words))
	}
	return out.Flush()
}

func participantLine(p views.Participant) string {
	words := []string{"gone"}
	switch {
	case p.Connected:
		words[0] = "in the conference"
	case len(p.Intervals) == 0:
		why := strings.ReplaceAll(cmp.Or(p.CallStatus, p.ReasonLeft), "_", " ")
		return Printable(strings.TrimSuffix("never joined: "+why, ": "))
	}
	flags := []struct {
		word string
		on   bool
	}{
		{"muted", p.Connected && p.Muted},
		{"on hold", p.Connected && p.Hold},
		{"coaching", p.Connected && p.Coaching},
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
	return Printable(strings.Join(words, ", "))
}

func recordingLine(r views.Recording) string {
	line := r.Status
	if r.Seconds != nil {
		line += ", " + seconds(*r.Seconds)
	}
	return line
}

func seconds(n int64) string { return (time.Duration(n) * time.Second).String() }

// Moment returns a time in the local zone, "-" without one.
func Moment(t *time.Time) string { return momentOr(t, "-") }

func momentOr(t *time.Time, otherwise string) string {
	if t == nil {
		return otherwise
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

// Timeline prints the events of a conference and, behind the last event that was in the journal when
// it was decided, what rules in shadow would have done and what was refused.
func Timeline(w io.Writer, body api.TimelineBody, p Palette) error {
	fmt.Fprintf(w, "%s  %s\n%s\n\n", Printable(body.Conference.FriendlyName), body.Conference.Sid, Printable(body.Conference.Why))
	plays, after := map[string]string{}, make([]string, len(body.Facts)+1)
	for _, d := range slices.Backward(body.Decisions) {
		if plays[d.ID] = d.Announces(); d.Verdict != rules.Act {
			after[placeOf(d.Position, body.Facts)] += timelineLine("-", d.AsOf, p.Paint("35", fmt.Sprintf("%-24s", d.Verdict+" "+rules.Verdict(d.Do))),
				cmp.Or(d.Label, ShortSid(d.CallSid)), decisionDetail(&d), p)
		}
	}
	text := after[0]
	for i, fact := range body.Facts {
		e, err := ParseEvent(fact.Event)
		if err != nil {
			return err
		}
		e.plays = plays[e.Params.Get("Id")]
		text += timelineLine(e.Params.Get("SequenceNumber"), e.Time, p.event(fmt.Sprintf("%-24s", e.name())), e.who(), e.detail(), p) + after[i+1]
	}
	if body.Truncated {
		text += "the list is cut off: the conference has more events\n"
	}
	_, err := io.WriteString(w, text)
	return err
}

func timelineLine(number string, at time.Time, name, who, detail string, p Palette) string {
	line := fmt.Sprintf("%4s  %s  %s  %-16s %s", cmp.Or(number, "-"), p.Dim(at.Local().Format(time.TimeOnly)), name, Clip(who, 16), p.Dim(detail))
	return strings.TrimRight(line, " ") + "\n"
}

// placeOf returns behind how many facts a position of the journal is.
func placeOf(position string, facts []views.Fact) (place int) {
	at, _ := events.ParsePosition(position) // a wrong one is before all facts
	for i := range facts {
		if is, err := events.ParsePosition(facts[i].Position); err == nil && !is.After(at) {
			place = i + 1
		}
	}
	return place
}

// decisionDetail names the rule, what it would announce, and why a decision was refused.
func decisionDetail(d *views.Decision) string {
	text := "rule " + d.Rule
	if plays := d.Announces(); plays != "" {
		text += ": " + strconv.Quote(plays)
	}
	if d.Reason != "" {
		text += ": " + string(d.Reason)
	}
	return Printable(text)
}

// Curtain prints for each conference how long it lasted, why it ended and the
// participant that ended it.
func Curtain(w io.Writer, conferences []views.Conference, now time.Time) error {
	reasons := map[string]int{}
	err := Table(w, "NAME\tSID\tLEGS\tLASTED\tENDED BY\tREASON", conferences, func(c views.Conference) []any {
		until, by, reason := now, "-", c.Status
		if c.Ended != nil {
			until, by, reason = *c.Ended, c.EndedBy, c.Reason
			reasons[reason]++
		}
		lasted := "-"
		if c.Created != nil {
			lasted = rough(until.Sub(*c.Created))
		}
		return []any{Clip(c.FriendlyName, 20), ShortSid(c.Sid), c.Joined, lasted, Clip(by, 20), reason}
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

// Plural returns "1 rule", or "2 rules".
func Plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
