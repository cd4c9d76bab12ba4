package project

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gavel/events"
	"gavel/projections"
	"gavel/rules"
)

// White box: bounds that no test reaches from outside in reasonable time, and
// the look of every minute.

// oneBook has one set under every version.
type oneBook struct{ set *rules.Set }

func (b oneBook) Active() (events.Load, bool)                         { return events.Load{}, false }
func (b oneBook) Set(_ context.Context, _ string) (*rules.Set, error) { return b.set, nil }
func (b oneBook) Fault(string, string)                                {}

func testDocket(t *testing.T, text string) *docket {
	t.Helper()
	set, err := rules.Parse(rules.File{Name: "rules.yaml", Text: text})
	if err != nil {
		t.Fatal(err)
	}
	d, err := openDocket(oneBook{set}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const counting = `rules:
  - {name: storm, mode: live, when: 'event.kind == "participant-join"', count: {by: account, within: 1m, at_least: 100},
     do: [{publish: {subject: floor.storm}}]}`

var nine = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// ownEvent is one of our own entries as the lane meets it.
func ownEvent(t *testing.T, e events.Entry) *events.Event {
	t.Helper()
	parsed, err := events.ParseStored(e)
	if err != nil {
		t.Fatal(err)
	}
	return &parsed
}

func (d *docket) mustHear(t *testing.T, sequence int, e events.Entry) {
	t.Helper()
	if _, err := d.hear(t.Context(), ownEvent(t, e), events.Position{Sequence: uint64(sequence)}); err != nil {
		t.Fatal(err)
	}
}

func TestALaneForgetsTheOldestLoads(t *testing.T) {
	t.Parallel()
	d := testDocket(t, counting)
	var last events.Load
	for i := range keepLoads + 10 {
		last = events.Load{ID: events.NewULID(), Version: "abc", At: nine}
		d.mustHear(t, i+1, events.NewRulesLoaded(last))
		d.mustHear(t, i+1, events.NewRulesLoaded(last)) // worked again
	}
	if len(d.state.Loads) != keepLoads || !d.has(last.ID) {
		t.Errorf("%d loads are kept, the last one %v", len(d.state.Loads), d.has(last.ID))
	}
}

func TestALaneForgetsTheOldestTallies(t *testing.T) {
	t.Parallel()
	d := testDocket(t, counting)
	d.mustHear(t, 1, events.NewRulesLoaded(events.Load{ID: events.NewULID(), Version: "abc", At: nine}))
	by := func(i int) string { return fmt.Sprintf("room-%05d", i) }
	for i := range maxMarks + 1 {
		match := rules.Decision{
			ID: fmt.Sprintf("%032x", i), Rule: "storm", Verdict: rules.Match, By: by(i),
			AccountSid: "AC00000000000000000000000000000001", AsOf: nine.Add(time.Duration(i) * time.Millisecond),
		}
		_, e, err := newMatch(match, nine)
		if err != nil {
			t.Fatal(err)
		}
		d.mustHear(t, i+2, e)
	}
	first := countKey("AC00000000000000000000000000000001", "storm", by(0))
	last := countKey("AC00000000000000000000000000000001", "storm", by(maxMarks))
	if d.marks != maxMarks/2 || len(d.state.Tallies) != maxMarks/2 {
		t.Errorf("%d marks in %d tallies are kept", d.marks, len(d.state.Tallies))
	}
	if len(d.state.Tallies[first].Marks) != 0 || len(d.state.Tallies[last].Marks) != 1 {
		t.Error("the wrong tallies are kept")
	}
	raw, err := d.encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := openDocket(d.book, raw)
	if err != nil || again.marks != d.marks || !slices.Equal(again.state.Loads, d.state.Loads) {
		t.Errorf("kept and read again: %d marks, %v, %v", again.marks, again.state.Loads, err)
	}
}

func TestAWakeUpWithoutAnAlarmIsNotLate(t *testing.T) {
	t.Parallel()
	d := testDocket(t, counting)
	d.mustHear(t, 1, events.NewRulesLoaded(events.Load{ID: events.NewULID(), Version: "abc", At: nine}))
	key := events.Key{AccountSid: "AC00000000000000000000000000000001", ConferenceSid: "CF00000000000000000000000000000001"}
	wake := ownEvent(t, events.NewWake(key, nine))
	for alarm, want := range map[time.Time]time.Duration{{}: 0, nine.Add(-time.Second): time.Second} {
		record := &projections.Conference{AccountSid: key.AccountSid, ConferenceSid: key.ConferenceSid}
		f := &dossier{Stored: projections.Stored{Conference: record}, state: &rules.State{Alarm: alarm}}
		s, err := d.judge(t.Context(), f, heard{event: wake, at: events.Position{Sequence: 2}, before: record})
		if err != nil || s.overslept != want {
			t.Errorf("with an alarm at %s it overslept %s, not %s; %v", alarm, s.overslept, want, err)
		}
	}
}

// dueStore has deadlines that nothing woke anybody for.
type dueStore struct {
	projections.Writer
	due []projections.Due
}

func (s dueStore) Due(_ context.Context, _ int, until time.Time, _ int) (late []projections.Due, err error) {
	for _, d := range s.due {
		if !d.At.After(until) {
			late = append(late, d)
		}
	}
	return late, nil
}

// noted is a journal that remembers where entries went.
type noted struct {
	Journal
	to chan string
}

func (j noted) Append(_ context.Context, conferenceSid string, _ events.Entry) error {
	j.to <- conferenceSid
	return nil
}

func TestWhatNoAlarmWokeIsWokenAndCounted(t *testing.T) {
	t.Parallel()
	due := func(sid string, ago time.Duration) projections.Due {
		return projections.Due{Key: events.Key{AccountSid: "AC", ConferenceSid: sid}, At: nine.Add(-ago)}
	}
	registry := prometheus.NewRegistry()
	journal := noted{to: make(chan string, 10)}
	k := newKeeper(&Projector{Config: Config{
		Store: dueStore{due: []projections.Due{due("CFlost", time.Minute), due("CFrings", time.Second)}}, Journal: journal,
		Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(registry), Now: func() time.Time { return nine },
	}}, numbered{})
	s := &session{keeper: k}

	k.state.Store(&State{Ready: true, Lag: time.Minute})
	if err := s.wakeOverdue(t.Context()); err != nil || len(journal.to) != 0 {
		t.Errorf("while the lane is behind, %d are woken; %v", len(journal.to), err)
	}
	k.state.Store(&State{Ready: true})
	if err := s.wakeOverdue(t.Context()); err != nil || len(journal.to) != 1 || <-journal.to != "CFlost" {
		t.Errorf("not the one that was lost is woken; %v", err)
	}
	if got := valueOf(t, registry, "gavel_rule_deadlines_overdue_total"); got != 1 {
		t.Errorf("%v are counted", got)
	}
}

func valueOf(t *testing.T, from prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	return -1
}

// numbered is a lane that has a number and no more.
type numbered struct{ Lane }

func (numbered) Number() int { return 0 }
