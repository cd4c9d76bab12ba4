package projections_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"gavel/events"
	"gavel/projections"
)

// The stories in testdata/*.txtar are told in the words of a telephone floor:
// one callback a line in "events", what the record says afterwards in "says".
// Fold is real and nothing else is needed. Each story is told in the order it
// stands and backwards, for the order must not matter.
func TestStories(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories found: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			events, says := readStory(t, file)
			if *update {
				rewrite(t, file, retell(t, events))
				return
			}
			if diff := cmp.Diff(says, retell(t, events)); diff != "" {
				t.Errorf("told in order (-want +got):\n%s", diff)
			}
			slices.Reverse(events)
			if diff := cmp.Diff(says, retell(t, events)); diff != "" {
				t.Errorf("told backwards (-want +got):\n%s", diff)
			}
		})
	}
}

// update rewrites what the stories say; read the difference before believing it.
var update = flag.Bool("update", false, "rewrite the says of testdata/*.txtar")

func rewrite(t *testing.T, file, says string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	story := txtar.Parse(raw)
	story.Files[len(story.Files)-1].Data = []byte(says)
	if err := os.WriteFile(file, txtar.Format(story), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readStory(t *testing.T, file string) (told []events.Event, says string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range txtar.Parse(raw).Files {
		switch part.Name {
		case "events":
			for line := range strings.Lines(string(part.Data)) {
				told = append(told, parseLine(t, strings.TrimSpace(line)))
			}
		case "says":
			says = string(part.Data)
		default:
			t.Fatalf("%s: unknown section %q", file, part.Name)
		}
	}
	return told, says
}

const (
	account    = "AC00000000000000000000000000000001"
	conference = "CF00000000000000000000000000000001"
)

func call(n int) string      { return fmt.Sprintf("CA%032x", n) }
func recording(n int) string { return fmt.Sprintf("RE%032x", n) }

// parseLine reads "3 09:00:12 participant-hold CA1 Hold=true label=agent".
// Flags not named are false; a recording's line has "-" for its number.
func parseLine(t *testing.T, line string) events.Event {
	t.Helper()
	words := strings.Fields(line)
	e := events.Event{
		AccountSid: account, ConferenceSid: conference,
		SequenceNumber: events.NoSequence, Kind: events.Kind(words[2]),
		Params: events.Params{{Name: "FriendlyName", Value: "room"}},
	}
	at, err := time.Parse(time.TimeOnly, words[1])
	if err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	e.OccurredAt = time.Date(2026, 8, 3, at.Hour(), at.Minute(), at.Second(), 0, time.UTC)
	if words[0] != "-" {
		if e.SequenceNumber, err = strconv.ParseInt(words[0], 10, 64); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
	}
	for _, word := range words[3:] {
		describe(t, &e, word)
	}
	if strings.HasPrefix(words[2], "participant-") {
		fillFlags(&e)
	}
	return e
}

// describe adds one word of a story's line to the event.
func describe(t *testing.T, e *events.Event, word string) {
	t.Helper()
	name, value, named := strings.Cut(word, "=")
	switch {
	case named && name == "label":
		name = "ParticipantLabel"
	case named && name == "ended-by":
		name, value = "CallSidEndingConference", call(number(t, value[2:]))
	case strings.HasPrefix(word, "CA"):
		e.CallSid = call(number(t, word[2:]))
		name, value = "CallSid", e.CallSid
	case strings.HasPrefix(word, "RE"):
		e.RecordingSid = recording(number(t, word[2:]))
		e.Params = append(e.Params,
			events.Param{Name: "RecordingStatus", Value: strings.TrimPrefix(string(e.Kind), "recording-")},
			events.Param{Name: "RecordingStartTime", Value: e.OccurredAt.Format(time.RFC1123Z)})
		e.OccurredAt = time.Time{}
		return
	}
	e.Params = append(e.Params, events.Param{Name: name, Value: strings.ReplaceAll(value, "_", " ")})
	if name == "ReasonParticipantLeft" {
		e.Params[len(e.Params)-1].Value = value
	}
}

func fillFlags(e *events.Event) {
	for _, flag := range []string{"Muted", "Hold", "Coaching", "EndConferenceOnExit", "StartConferenceOnEnter"} {
		if _, ok := e.Params.Lookup(flag); !ok {
			e.Params = append(e.Params, events.Param{Name: flag, Value: "false"})
		}
	}
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// retell folds the events and puts into words what the record says.
func retell(t *testing.T, told []events.Event) string {
	t.Helper()
	c := foldAll(t, told)
	end := projections.At(time.Date(2026, 8, 3, 12, 0, 0, 0, time.UTC))
	var b strings.Builder
	fmt.Fprintf(&b, "status: %s\n", c.Status())
	fmt.Fprintf(&b, "created %s, updated %s\n", clock(c.Created), clock(c.Updated))
	fmt.Fprintf(&b, "why: %s\n", projections.Why(c))
	if who := projections.EndedBy(c); who != "" {
		fmt.Fprintf(&b, "ended by: %s\n", who)
	}
	for _, p := range c.Participants {
		name := p.Label.Value
		if name == "" {
			name = p.CallSid
		}
		fmt.Fprintf(&b, "%s:", name)
		for _, i := range c.Intervals(p) {
			fmt.Fprintf(&b, " %s-%s", clock(i.From), clock(i.Until))
		}
		fmt.Fprintf(&b, ", held %ds, muted %ds", c.HeldSeconds(p, end), c.MutedSeconds(p, end))
		if p.Left != nil {
			fmt.Fprintf(&b, ", left: %s", p.Left.Reason)
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "live: %d\n", len(c.Live()))
	for _, r := range c.Recordings {
		fmt.Fprintf(&b, "recording: %s, %ds\n", r.Status(), r.Duration)
	}
	if gaps := c.Gaps(); len(gaps) > 0 {
		fmt.Fprintf(&b, "gaps: %v\n", gaps)
	}
	return b.String()
}

func clock(i projections.Instant) string {
	if i == 0 {
		return "..."
	}
	return i.Time().Format(time.TimeOnly)
}

func foldAll(t *testing.T, told []events.Event) *projections.Conference {
	t.Helper()
	var c *projections.Conference
	for i := range told {
		after, _, err := projections.Fold(c, &told[i])
		if err != nil {
			t.Fatalf("fold %s: %v", told[i].Kind, err)
		}
		c = after
	}
	return c
}
