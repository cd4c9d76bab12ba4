package lanes_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

// Each file in testdata is a scenario: rule files, and a story. A line of the story that is not
// indented is a command; the indented lines below it are the machine's log, which -update writes.
// Empty lines and lines that begin with # are comments.
//
//	TIME load FILE                       a rule set comes into force
//	TIME callback ROOM EVENT [LEG] ...   a callback; seq=N is its SequenceNumber, happened=TIME its
//	                                     Timestamp, Name=value any parameter
//	TIME double                          the last entry, stored again
//	TIME form TEXT                       a callback of exactly that form
//	TIME healed ROOM EVENT [LEG [FLAGS]] a fact from Twilio's REST API
//	TIME wake ROOM                       a wake-up
//	TIME reread ROOM                     the end of a re-read of Twilio
//	TIME exempt ROOM UNTIL [RULE]        an operator's exemption
//	TIME outcome RULE RESULT             the last decision of that rule ended
//	TIME newer                           an entry of Gavel's own that this build does not understand
//	engine N                             a build with engine N owns the lane from here on
//	fill                                 the picture is made again from the whole journal
//	damaged                              a journal message that cannot be split
//	acknowledge                          the news so far is acknowledged
//	crash-and-step-again N [unsaved]     a crash after the last N messages were saved, or before
//
// TIME counts from the beginning of the story. Matches are appended to the journal at once, as the
// host must do; alarms ring only where the story has a wake-up.
var update = flag.Bool("update", false, "rewrite the logs in testdata/*.txt")

func TestScenariosLeadToTheirLogs(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d scenarios found: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			archive := txtar.Parse(raw)
			story := &archive.Files[len(archive.Files)-1]
			first, second := newHost(t, archive.Files), newHost(t, archive.Files)
			got := runStory(first, string(story.Data))
			runStory(second, string(story.Data))
			if diff := cmp.Diff(first.saved(), second.saved()); diff != "" {
				t.Errorf("the same entries led to different bytes:\n%s", diff)
			}
			if *update {
				story.Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(story.Data), got); diff != "" {
				t.Errorf("the log differs (-want +got); check it, and run with -update if it is right:\n%s", diff)
			}
		})
	}
}

// runStory runs a story and returns it with the log of its commands.
func runStory(h *host, story string) string {
	var out strings.Builder
	for line := range strings.Lines(story) {
		if strings.HasPrefix(line, " ") {
			continue
		}
		out.WriteString(line)
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			h.log.Reset()
			h.command(strings.Fields(line))
			out.WriteString(h.log.String())
		}
	}
	return out.String()
}
