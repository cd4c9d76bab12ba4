package lanes

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"gavel/events"
	"gavel/projections"
	"gavel/rules"
)

// White box: bounds that no black-box test reaches in reasonable time.

// oneSet loads the same set for every version.
type oneSet struct{ set *rules.Set }

func (s oneSet) Set(context.Context, string) (*rules.Set, error) { return s.set, nil }

func testMachine(t *testing.T, text string) *Machine {
	t.Helper()
	set, err := rules.Parse(rules.File{Name: "rules.yaml", Text: text})
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(oneSet{set}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

const counting = `rules:
  - {name: storm, mode: live, when: 'event.kind == "participant-join"', count: {by: account, within: 1m, at_least: 100},
     do: [{publish: {subject: floor.storm}}]}`

var nine = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// own is one of Gavel's own entries as the lane reads it.
func own(t *testing.T, sequence int, raw events.Entry) *Entry {
	t.Helper()
	parsed, err := events.ParseStored(raw)
	if err != nil {
		t.Fatal(err)
	}
	return &Entry{Event: parsed, Raw: raw, At: events.Position{Sequence: uint64(sequence)}}
}

func (m *Machine) mustStep(t *testing.T, sequence int, raw events.Entry) {
	t.Helper()
	if _, err := m.Step(t.Context(), own(t, sequence, raw), nil); err != nil {
		t.Fatal(err)
	}
}

func TestALaneDropsTheOldestLoads(t *testing.T) {
	t.Parallel()
	m := testMachine(t, counting)
	var last events.Load
	for i := range keepLoads + 10 {
		last = events.Load{ID: events.NewULID(), Version: "abc", At: nine}
		m.mustStep(t, i+1, events.NewRulesLoaded(last))
		m.mustStep(t, i+1, events.NewRulesLoaded(last)) // repeated
	}
	if len(m.state.Loads) != keepLoads || !slices.Contains(m.Loads(), last.ID) {
		t.Errorf("%d loads are kept, the last of %v is %s", len(m.state.Loads), m.Loads(), last.ID)
	}
}

func TestALaneDropsTheOldestTallies(t *testing.T) {
	t.Parallel()
	m := testMachine(t, counting)
	m.mustStep(t, 1, events.NewRulesLoaded(events.Load{ID: events.NewULID(), Version: "abc", At: nine}))
	by := func(i int) string { return fmt.Sprintf("room-%05d", i) }
	for i := range maxMarks + 1 {
		match := rules.Decision{
			ID: fmt.Sprintf("%032x", i), Rule: "storm", Verdict: rules.Match, By: by(i),
			AccountSid: "AC00000000000000000000000000000001", AsOf: nine.Add(time.Duration(i) * time.Millisecond),
		}
		_, e, err := MatchEntry(match, nine)
		if err != nil {
			t.Fatal(err)
		}
		m.mustStep(t, i+2, e)
	}
	first := countKey("AC00000000000000000000000000000001", "storm", by(0))
	last := countKey("AC00000000000000000000000000000001", "storm", by(maxMarks))
	if m.marks != maxMarks/2 || len(m.state.Tallies) != maxMarks/2 {
		t.Errorf("%d marks in %d tallies are kept", m.marks, len(m.state.Tallies))
	}
	if len(m.state.Tallies[first].Marks) != 0 || len(m.state.Tallies[last].Marks) != 1 {
		t.Error("the wrong tallies are kept")
	}
	raw, err := m.MarshalState()
	if err != nil {
		t.Fatal(err)
	}
	again, err := New(m.loader, raw)
	if err != nil || again.marks != m.marks || !slices.Equal(again.state.Loads, m.state.Loads) {
		t.Errorf("saved and loaded again: %d marks, %v, %v", again.marks, again.state.Loads, err)
	}
}

func TestAWakeUpWithoutAnAlarmIsNotLate(t *testing.T) {
	t.Parallel()
	m := testMachine(t, counting)
	m.mustStep(t, 1, events.NewRulesLoaded(events.Load{ID: events.NewULID(), Version: "abc", At: nine}))
	key := events.Key{AccountSid: "AC00000000000000000000000000000001", ConferenceSid: "CF00000000000000000000000000000001"}
	wake := own(t, 2, events.NewWake(key, nine))
	for alarm, want := range map[time.Time]time.Duration{{}: 0, nine.Add(-time.Second): time.Second} {
		c := &Conference{
			Record: &projections.Conference{AccountSid: key.AccountSid, ConferenceSid: key.ConferenceSid},
			Rules:  &rules.State{Alarm: alarm},
		}
		r, err := m.Step(t.Context(), wake, c)
		if err != nil || r.Overdue != want {
			t.Errorf("with an alarm at %s it is overdue by %s, want %s; %v", alarm, r.Overdue, want, err)
		}
	}
}
