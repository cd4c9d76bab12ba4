package lanes_test

import (
	"strings"
	"testing"
	"time"

	"gavel/events"
	"gavel/lanes"
	"gavel/projections"
)

// The timeline lists where Twilio's summary differs from the callbacks.
func TestNewsOfASummaryListsDifferences(t *testing.T) {
	t.Parallel()
	key := events.Key{AccountSid: "AC00000000000000000000000000000001", ConferenceSid: "CF00000000000000000000000000000001"}
	e, err := events.Parse(events.NewStreamed(events.InsightsConferenceSummary, key, "", "VW1", time.Time{}, time.Unix(1_800_000_000, 0),
		events.Params{{Name: "Summary.friendly_name", Value: "other"}}))
	if err != nil {
		t.Fatal(err)
	}
	record := &projections.Conference{AccountSid: key.AccountSid, ConferenceSid: key.ConferenceSid, FriendlyName: projections.Stated[string]{Seq: 1, Value: "room"}}
	news := lanes.News{Entry: &lanes.Entry{Event: e}, After: record}
	if got := string(news.AppendCloudEvent(nil)); !strings.Contains(got, `"Differences":"friendly_name: callbacks room, summary other"`) {
		t.Errorf("got %s", got)
	}
	if len(e.Params) != 5 {
		t.Errorf("the event itself has %v", e.Params)
	}
}
