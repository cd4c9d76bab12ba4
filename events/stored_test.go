package events_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gavel/events"
)

// storedEntries are one entry of each kind, and one that cannot be read.
func storedEntries(t *testing.T) []events.Entry {
	t.Helper()
	files, err := filepath.Glob("testdata/callbacks/*.form")
	if err != nil {
		t.Fatal(err)
	}
	all := []events.Entry{entry(events.SourceCallback, "AccountSid=%2"), entry(events.SourceCallback, "")}
	for _, file := range files {
		all = append(all, entry(events.SourceCallback, sample(t, "callbacks/"+filepath.Base(file))))
	}
	for _, own := range ownEntries() {
		all = append(all, own.entry)
	}
	return all
}

// Entries that share the memory of one parser, and memory that was used before,
// read as each does alone.
func TestAStoredParserReadsEachEntryAsItStands(t *testing.T) {
	t.Parallel()
	var parser events.StoredParser
	for round := range 3 {
		var got, want []events.Event
		for _, e := range storedEntries(t) {
			parsed, err := parser.Parse(e)
			alone, aloneErr := events.Parse(e)
			if (err == nil) != (aloneErr == nil) {
				t.Fatalf("round %d: %v, alone %v, of %q", round, err, aloneErr, e.Form)
			}
			got, want = append(got, parsed), append(want, alone)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("round %d (-alone +together):\n%s", round, diff)
		}
		parser.Reset()
	}
}

// A record keeps texts of an event for longer than the parser keeps its parameters.
func TestTextsOutliveTheParsersMemory(t *testing.T) {
	t.Parallel()
	var parser events.StoredParser
	var texts, copies []string
	for range 3 {
		for _, e := range storedEntries(t) {
			parsed, _ := parser.Parse(e)
			for _, p := range parsed.Params {
				texts, copies = append(texts, p.Value), append(copies, strings.Clone(p.Value))
			}
		}
		parser.Reset()
	}
	if !slices.Equal(texts, copies) {
		t.Error("a text was overwritten")
	}
}

func BenchmarkParseStored(b *testing.B) {
	e := entry(events.SourceCallback, sample(b, "callbacks/participant-leave.form"))
	var parser events.StoredParser
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if _, err := parser.Parse(e); err != nil {
			b.Fatal(err)
		}
		if n%1000 == 0 {
			parser.Reset()
		}
	}
}
