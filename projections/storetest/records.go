package storetest

import (
	"testing"

	"gavel/projections"
)

func savedIsLoaded(t *testing.T, h Harness) {
	p := filled(t, h, 1)
	c := conference(1, noon)
	absent, err := p.tryLoad(keyOf(c))
	p.must(err, "load")
	p.same(absent, projections.Stored{})

	p.save(c)
	c = with(started(c), func(c *projections.Conference) {
		c.Participants = []*projections.Participant{leg(2, noon), leg(5, noon)}
		c.SpeechDropped = projections.Ranges{{6, 8}}
		c.Truncated = true
		c.KeyRegion = projections.Stated[string]{Seq: 2, Value: "ie1"}
		c.Undated = []projections.Undated{{Seq: 2, Kind: "conference-start", At: noon}, {Seq: 3, Kind: "participant-join", CallSid: "CA2", At: noon + 9}}
	})
	p.save(c)
	c = with(c, func(c *projections.Conference) {
		c.Requests = []*projections.APIRequest{{ID: "VW1", Kind: "api-request-participant-deleted", CallSid: "CA2", Asked: "Hold=true", Status: 204, At: noon}}
		c.Summaries = []string{"0123456789abcdef"}
		c.Actions = []*projections.ActionRecord{action(2, noon), action(4, noon)}
	})
	p.save(c)
	c = with(ended(c, noon+hour), func(c *projections.Conference) {
		c.Participants = []*projections.Participant{leg(1, noon), c.Participants[0], leg(3, noon), leg(5, noon+9)}
		c.Actions = []*projections.ActionRecord{c.Actions[0], answered(c.Actions[1], noon+1), action(5, noon+hour)}
		c.Recordings = []*projections.Recording{
			{URL: "https://api.example/a.wav", Duration: 3, FileSize: 99},
			{URL: "https://api.example/b.wav", Duration: 4},
			{Sid: "RE1", URL: "https://api.example/RE1", Statuses: []string{"completed"}, Duration: -1, Channels: 2},
		}
	})
	p.save(c)

	other := open(t, h, 1)
	other.check(p.at.Sequence)
	got, err := other.tryLoad(keyOf(c))
	p.must(err, "load")
	p.same(got, p.known[keyOf(c)])
	p.shows(c)
	other.shows(c)

	_, err = p.store.Conference(p.ctx(), keyOf(conference(2, noon)))
	wantErr(t, "read of a conference that never existed", err, projections.ErrNotFound)
}

func growsTo250Legs(t *testing.T, h Harness) {
	p := filled(t, h, 1)
	c := conference(1, noon)
	for n := range 250 {
		c = with(c, func(c *projections.Conference) {
			c.Participants = append(c.Participants[:n:n], leg(n, noon))
		})
		p.save(c)
	}
	p.shows(c)
}

func staleWriterIsRefused(t *testing.T, h Harness) {
	p := filled(t, h, 1)
	c := conference(1, noon)
	p.save(c)
	old := p.known[keyOf(c)]
	p.save(started(c))

	p.known[keyOf(c)] = old
	wantErr(t, "save over a newer version", p.trySave(named(c, "Stale")), projections.ErrConflict)
	p.known[keyOf(c)] = projections.Stored{}
	wantErr(t, "save of an existing record as a new one", p.trySave(named(c, "New")), projections.ErrConflict)
	p.known[keyOf(conference(2, noon))] = old
	wantErr(t, "save over a record that does not exist", p.trySave(conference(2, noon)), projections.ErrConflict)
	p.shows(started(c))
}

func conflictingBatchAgain(t *testing.T, h Harness) {
	p := filled(t, h, 1)
	var records []*projections.Conference
	for n := range 200 {
		records = append(records, conference(n, noon+projections.Instant(n)))
	}
	p.save(records[77])
	delete(p.known, keyOf(records[77]))

	wantErr(t, "save with one conflict", p.trySave(records...), projections.ErrConflict)
	p.load(records...)
	p.save(records...)
	p.shows(records...)
}

func twoProcessesTakeTurns(t *testing.T, h Harness) {
	c, d := conference(1, noon), conference(2, noon)
	first := filled(t, h, 1, c, d)
	second := open(t, h, 1)
	second.check(0)
	second.load(c, d)
	second.at = first.at
	second.save(started(c))

	wantErr(t, "save by the process that was replaced", first.trySave(ended(c, noon)), projections.ErrConflict)
	first.load(c, d)
	first.at = second.at
	first.save(ended(c, noon), started(d))
	second.shows(ended(c, noon), started(d))
	second.at = first.at
	second.check(first.at.Sequence)
}

func uncheckedLane(t *testing.T, h Harness) {
	c := conference(1, noon)
	filled(t, h, 1, c)
	p := open(t, h, 1)
	_, err := p.tryLoad(keyOf(c))
	wantErr(t, "load", err, projections.ErrLost)
	wantErr(t, "save", p.store.Save(p.ctx(), 0, p.writes([]*projections.Conference{c})), projections.ErrLost)
	wantErr(t, "note", p.store.NoteApplied(p.ctx(), 0, p.at, nil, ""), projections.ErrLost)
	_, err = p.store.Expire(p.ctx(), 0, noon.Time())
	wantErr(t, "expire", err, projections.ErrLost)
	_, err = p.store.LaneState(p.ctx(), 0)
	wantErr(t, "state", err, projections.ErrLost)
	_, err = p.store.Due(p.ctx(), 0, noon.Time(), 9)
	wantErr(t, "deadlines", err, projections.ErrLost)
}

func numbersOfLanes(t *testing.T, h Harness) {
	var records []*projections.Conference
	for n := range 130 {
		records = append(records, conference(n, noon+projections.Instant(n%7)))
	}
	for _, lanes := range []int{1, 3, 8, 64} {
		h.Empty(t)
		p := filled(t, h, lanes, records[:100]...)
		p.save(records[100:]...)
		p.shows(records...)
		p.check(p.at.Sequence)
	}
}
