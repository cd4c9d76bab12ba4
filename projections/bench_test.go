package projections_test

import (
	"testing"

	"gavel/events"
	"gavel/projections"
)

// BenchmarkFold folds one hold after the other into a conference of three
// legs, which is what a floor does most.
func BenchmarkFold(b *testing.B) {
	var c *projections.Conference
	for leg := range 3 {
		c, _, _ = projections.Fold(c, participantEvent(int64(leg), events.ParticipantJoin, leg))
	}
	hold := participantEvent(0, events.ParticipantHold, 1)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		hold.SequenceNumber = int64(i + 3)
		c, _, _ = projections.Fold(c, hold)
	}
}

func BenchmarkAppendConference(b *testing.B) {
	c, _, _ := projections.Fold(nil, participantEvent(0, events.ParticipantJoin, 1))
	b.ReportAllocs()
	var buf []byte
	for b.Loop() {
		buf = projections.AppendConference(buf[:0], c)
	}
}
