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
	"github.com/oklog/ulid/v2"
	"golang.org/x/tools/txtar"

	"gavel/events"
	"gavel/projections"
)

// A story in testdata/*.txtar is a conference on a call floor: one callback a line in "events", the
// resulting record in "says". Fold is real and nothing else is needed. Each story is folded in
// order and in reverse, because the order must not matter.
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
				rewrite(t, file, summarize(t, events))
				return
			}
			if diff := cmp.Diff(says, summarize(t, events)); diff != "" {
				t.Errorf("folded in order (-want +got):\n%s", diff)
			}
			slices.Reverse(events)
			if diff := cmp.Diff(says, summarize(t, events)); diff != "" {
				t.Errorf("folded in reverse (-want +got):\n%s", diff)
			}
		})
	}
}

// update rewrites the "says" sections; check the difference before you commit it.
var update = flag.Bool("update", false, "rewrite the says sections of testdata/*.txtar")

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

func readStory(t *testing.T, file string) (all []events.Event, says string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range txtar.Parse(raw).Files {
		switch part.Name {
		case "events":
			for line := range strings.Lines(string(part.Data)) {
				all = append(all, parseLine(t, strings.TrimSpace(line)))
			}
		case "says":
			says = string(part.Data)
		default:
			t.Fatalf("%s: unknown section %q", file, part.Name)
		}
	}
	return all, says
}

const (
	account    = "AC00000000000000000000000000000001"
	conference = "CF00000000000000000000000000000001"
)

func call(n int) string      { return fmt.Sprintf("CA%032x", n) }
func recording(n int) string { return fmt.Sprintf("RE%032x", n) }

// parseLine reads "3 09:00:12 participant-hold CA1 Hold=true label=agent".
// Flags that are not named are false. In place of the number, a recording has
// "-", an action its actor ("kate") and a healed fact "healed".
func parseLine(t *testing.T, line string) events.Event {
	t.Helper()
	words := strings.Fields(line)
	if words[0] == "healed" {
		return parseHealed(t, words)
	}
	if _, err := strconv.Atoi(words[0]); err != nil && words[0] != "-" {
		return parseAction(t, words)
	}
	e := events.Event{
		AccountSid: account, ConferenceSid: conference,
		SequenceNumber: events.NoSequence, Kind: events.Kind(words[2]),
		Params: events.Params{{Name: "FriendlyName", Value: "room"}},
	}
	var err error
	e.OccurredAt = parseClock(t, words[1])
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

func parseClock(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.TimeOnly, s)
	if err != nil {
		t.Fatal(err)
	}
	return time.Date(2026, 8, 3, at.Hour(), at.Minute(), at.Second(), 0, time.UTC)
}

// parseAction reads an intent, "kate 09:00:12 kick CA1", or the outcome of the same action, "kate
// 09:00:12 kick CA1 done 204" or "kate 09:00:12 end failed 404/20404".
func parseAction(t *testing.T, words []string) events.Event {
	t.Helper()
	a := events.Action{
		AccountSid: account, ConferenceSid: conference, Do: events.Do(words[2]),
		Actor: events.Actor{Sid: "SK" + account[2:], Name: words[0]}, At: parseClock(t, words[1]),
	}
	if rule, ok := strings.CutPrefix(words[0], "rule:"); ok {
		a.Actor = events.Actor{Rule: rule}
	}
	a.ID = ulid.MustNew(ulid.Timestamp(a.At), strings.NewReader(words[0]+"0123456789")).String()
	var answer []string
	for i, word := range words[3:] {
		if !strings.HasPrefix(word, "CA") {
			answer = words[3+i:]
			break
		}
		a.CallSid = call(number(t, word[2:]))
	}
	entry := events.NewIntent(a)
	if len(answer) > 0 {
		o := events.Outcome{Result: events.Result(answer[0]), At: a.At.Add(time.Second)}
		status, code, _ := strings.Cut(strings.Join(answer[1:], ""), "/")
		o.Status, o.Code = number(t, "0"+status), number(t, "0"+code)
		entry = events.NewOutcome(a, o)
	}
	e, err := events.Parse(entry)
	if err != nil {
		t.Fatalf("%v: %v", words, err)
	}
	return e
}

// parseHealed reads "healed 09:00:50 behind 7 participant-join CA1 muted&hold".
func parseHealed(t *testing.T, words []string) events.Event {
	t.Helper()
	h := events.Healed{
		Key: events.Key{AccountSid: account, ConferenceSid: conference},
		At:  parseClock(t, words[1]), Behind: int64(number(t, words[3])), Fact: events.Kind(words[4]),
	}
	h.ID = ulid.MustNew(ulid.Timestamp(h.At), strings.NewReader(strings.Join(words, "")+"0123456789")).String()
	if len(words) > 5 {
		h.CallSid = call(number(t, words[5][2:]))
	}
	h.Flags = strings.Join(words[min(6, len(words)):], "")
	e, err := events.Parse(events.NewHealed(h))
	if err != nil {
		t.Fatalf("%v: %v", words, err)
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

// summarize folds the events and writes the record as text.
func summarize(t *testing.T, all []events.Event) string {
	t.Helper()
	c := foldAll(t, all)
	end := projections.At(time.Date(2026, 8, 3, 12, 0, 0, 0, time.UTC))
	var b strings.Builder
	fmt.Fprintf(&b, "status: %s\n", c.Status())
	fmt.Fprintf(&b, "created %s, updated %s\n", clock(c.Created), clock(c.Updated))
	fmt.Fprintf(&b, "why: %s\n", projections.Why(c))
	if by := projections.EndedBy(c); by != "" {
		fmt.Fprintf(&b, "ended by: %s\n", by)
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
		if left := p.Leaving(); left != nil {
			fmt.Fprintf(&b, ", left: %s", left.Reason)
			if left.Healed {
				fmt.Fprintf(&b, "by %s", clock(left.At))
			}
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "live: %d\n", len(c.Live()))
	for _, r := range c.Recordings {
		fmt.Fprintf(&b, "recording: %s, %ds\n", r.Status(), r.Duration)
	}
	for _, a := range c.Actions {
		fmt.Fprintf(&b, "%s %s", clock(a.At), a.Words())
		if a.Outcome != nil {
			fmt.Fprintf(&b, ". %s", a.Outcome.Words(a.Do))
		}
		b.WriteByte('\n')
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

func foldAll(t *testing.T, all []events.Event) *projections.Conference {
	t.Helper()
	var c *projections.Conference
	for i := range all {
		after, _, err := projections.Fold(c, &all[i])
		if err != nil {
			t.Fatalf("fold %s: %v", all[i].Kind, err)
		}
		c = after
	}
	return c
}
