package projections_test

import (
	"testing"
	"time"

	"gavel/events"
	"gavel/projections"
)

// TestTheRegionIsThatOfTheFirstRegionalKey: in any order, also when the first callback was signed
// by a shared key, which belongs to no region, and when a duplicate has another region.
func TestTheRegionIsThatOfTheFirstRegionalKey(t *testing.T) {
	t.Parallel()
	nine := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	in := func(seq, region string) *events.Event {
		e := undated(t, seq, events.ConferenceStart, nine)
		e.Region = region
		return e
	}
	all := []*events.Event{in("1", ""), in("2", "ie1"), in("3", "au1"), in("2", "us1"), in("4", "")}
	for first := range all {
		var c *projections.Conference
		for i := range all {
			var err error
			if c, _, err = projections.Fold(c, all[(first+i)%len(all)]); err != nil {
				t.Fatal(err)
			}
		}
		if want := (projections.Stated[string]{Seq: 2, Value: "ie1"}); c.KeyRegion != want {
			t.Errorf("from event %d on: %+v, want %+v", first, c.KeyRegion, want)
		}
	}
}
