package events_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gavel/events"
)

// TestTheJournalKeepsTheRegionOfAKey: entries without a region have the bytes that older builds
// write, and an older build, which knows no region, still reads the form of one that has it.
func TestTheJournalKeepsTheRegionOfAKey(t *testing.T) {
	t.Parallel()
	var data []byte
	var want []events.Entry
	for _, e := range []events.Entry{
		{Query: "queue=sales", Region: "ie1", Form: "A=1"}, {Region: "au1", Form: "A=2"}, {Query: "queue=sales", Form: "A=3"}, {Form: "A=4"},
	} {
		e.Source, e.ReceivedAt = events.SourceCallback, received
		data, want = events.AppendEntry(data, e), append(want, e)
	}
	got, err := splitAll(events.Group{Data: data})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	old := events.AppendEntry(nil, events.Entry{Source: events.SourceCallback, ReceivedAt: received, Query: "queue=sales", Form: "A=3"})
	if !bytes.Contains(data, old[1:]) || bytes.Contains(old, []byte(" ")) {
		t.Error("an entry without a region has other bytes than before")
	}
}
