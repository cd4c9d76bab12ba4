package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"gavel/handlers/api"
)

// conferencesCommand asks about conferences.
type conferencesCommand struct {
	List     conferencesList     `cmd:"" help:"List conferences, newest first."`
	Get      conferencesGet      `cmd:"" help:"Show everything about one conference."`
	Timeline conferencesTimeline `cmd:"" help:"Show what happened in one conference, in order."`
}

// conferencesList lists conferences.
type conferencesList struct {
	clientFlags
	Status  string `enum:",init,in-progress,completed" default:"" placeholder:"STATUS" help:"init, in-progress or completed."`
	Name    string `placeholder:"NAME" help:"Only this friendly name."`
	Account string `placeholder:"SID" help:"Only this account."`
	Since   string `placeholder:"AGE" help:"Only those created within this age: 2h, 30d."`
	Limit   int    `default:"50" help:"At most this many (default ${default})."`
}

// Help is the longer help text.
func (conferencesList) Help() string {
	return `A conference of which nothing was heard for hours although it did not end is marked stale: its end was probably lost.

Example:
  gavel conferences list --status in-progress --since 8h`
}

// pageSize is how many conferences are asked for at a time, the most that /v1
// gives.
const pageSize = 200

// Run lists.
func (c *conferencesList) Run(ctx context.Context, t *terminal) error {
	asker, err := c.client()
	if err != nil {
		return err
	}
	query, err := c.query()
	if err != nil {
		return usageError{err}
	}
	found, err := asker.conferences(ctx, query, c.Limit)
	if err != nil {
		return err
	}
	if c.json() {
		return writeJSON(t.out, found)
	}
	return conferenceTable(t.out, found, time.Now())
}

func (c *conferencesList) query() (url.Values, error) {
	query := url.Values{}
	for name, value := range map[string]string{"status": c.Status, "friendly_name": c.Name, "account": c.Account} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if c.Since != "" {
		since, err := parseAge(c.Since)
		if err != nil {
			return nil, fmt.Errorf("--since: %w", err)
		}
		query.Set("created_from", time.Now().Add(-since).UTC().Format(time.RFC3339))
	}
	if c.Limit < 1 {
		return nil, fmt.Errorf("--limit: %d is less than 1", c.Limit)
	}
	return query, nil
}

// conferences reads pages until there are enough.
func (c *client) conferences(ctx context.Context, query url.Values, limit int) ([]api.Conference, error) {
	found := []api.Conference{}
	for {
		query.Set("limit", strconv.Itoa(min(limit-len(found), pageSize)))
		var page api.Conferences
		if err := c.ask(ctx, http.MethodGet, "conferences", query, nil, &page); err != nil {
			return nil, err
		}
		found = append(found, page.Conferences...)
		if page.Next == "" || len(found) >= limit {
			return found, nil
		}
		query.Set("cursor", page.Next)
	}
}

// conferenceTable prints conferences for people.
func conferenceTable(w io.Writer, conferences []api.Conference, now time.Time) error {
	if len(conferences) == 0 {
		_, err := fmt.Fprintln(w, "no conferences")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "STATUS\tAGE\tLIVE\tNAME\tSID\tWHY")
	for _, c := range conferences {
		status := c.Status
		if c.StaleSince != nil {
			status += " (stale " + ago(c.StaleSince, now) + ")"
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\t%s\n",
			status, ago(c.Created, now), c.Connected, clip(c.FriendlyName, 40), c.Sid, printable(c.Why))
	}
	return table.Flush()
}

// ago is how long before now something was, in its largest unit.
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

// conferenceArgument names one conference.
type conferenceArgument struct {
	Conference string `arg:"" placeholder:"SID|NAME" help:"ConferenceSid, or a friendly name for the newest conference of that name."`
	Account    string `placeholder:"SID" help:"Only this account."`
}

func (a conferenceArgument) path() string { return "conferences/" + url.PathEscape(a.Conference) }

func (a conferenceArgument) query() url.Values {
	if a.Account == "" {
		return nil
	}
	return url.Values{"account": {a.Account}}
}

// conferencesGet shows one conference.
type conferencesGet struct {
	clientFlags
	conferenceArgument
}

// Help is the longer help text.
func (conferencesGet) Help() string {
	return `Example:
  gavel conferences get support-103`
}

// Run shows it.
func (c *conferencesGet) Run(ctx context.Context, t *terminal) error {
	asker, err := c.client()
	if err != nil {
		return err
	}
	var record api.Record
	if err := asker.ask(ctx, http.MethodGet, c.path(), c.query(), nil, &record); err != nil {
		return err
	}
	if c.json() {
		return writeJSON(t.out, record)
	}
	return card(t.out, record)
}

// card prints a record for people.
func card(w io.Writer, r api.Record) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(out, "%s\n%s\n\n", printable(firstOf(r.FriendlyName, r.Sid)), printable(r.Why))
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
		fmt.Fprintf(out, "\n  %s\t%s\n", printable(firstOf(p.Label, "participant")), p.CallSid)
		fmt.Fprintf(out, "    %s\n", participantLine(p))
		for _, i := range p.Intervals {
			fmt.Fprintf(out, "    %s to %s\n", moment(i.Joined), either(i.Left != nil, moment(i.Left), "now"))
		}
	}
	for _, rec := range r.Recordings {
		fmt.Fprintf(out, "\n  recording\t%s\n    %s\n", firstOf(rec.Sid, rec.URL), recordingLine(rec))
	}
	return out.Flush()
}

func participantLine(p api.Participant) string {
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

func recordingLine(r api.Recording) string {
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

// conferencesTimeline shows what happened in one conference.
type conferencesTimeline struct {
	clientFlags
	conferenceArgument
}

// Help is the longer help text.
func (conferencesTimeline) Help() string {
	return `Events are in the order of Twilio's SequenceNumber; one that came late says so.

Example:
  gavel conferences timeline support-103`
}

// Run shows it.
func (c *conferencesTimeline) Run(ctx context.Context, t *terminal) error {
	asker, err := c.client()
	if err != nil {
		return err
	}
	var body api.TimelineBody
	if err := asker.ask(ctx, http.MethodGet, c.path()+"/timeline", c.query(), nil, &body); err != nil {
		return err
	}
	if c.json() {
		return writeJSON(t.out, body)
	}
	return timelineList(t.out, body, paletteFor(t.out, t.lookup))
}

func timelineList(w io.Writer, body api.TimelineBody, p palette) error {
	fmt.Fprintf(w, "%s  %s\n%s\n\n", printable(body.Conference.FriendlyName), body.Conference.Sid, printable(body.Conference.Why))
	for _, fact := range body.Facts {
		e, err := parseTold(fact.Event)
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%4s  %s  %s  %-16s %s", firstOf(e.Data.SequenceNumber, "-"), p.dim(e.Time.Local().Format(time.TimeOnly)),
			p.event(fmt.Sprintf("%-24s", e.event())), clip(e.who(), 16), p.dim(e.detail()))
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " ")); err != nil {
			return err
		}
	}
	if body.Truncated {
		_, err := fmt.Fprintln(w, "there are more events than are shown here")
		return err
	}
	return nil
}

func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}
