package project

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gavel/events"
	"gavel/projections"
)

// White box: the check of every minute.

var nine = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// dueStore has deadlines without a wake-up.
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
	metrics := NewMetrics(registry)
	status := newStatus(numbered{}, metrics)
	a := &alarmKeeper{
		store: dueStore{due: []projections.Due{due("CFlost", time.Minute), due("CFrings", time.Second)}}, journal: journal,
		status: status, log: slog.New(slog.DiscardHandler), metrics: metrics, now: func() time.Time { return nine },
	}

	status.set(State{Ready: true, Lag: time.Minute})
	if err := a.wakeOverdue(t.Context()); err != nil || len(journal.to) != 0 {
		t.Errorf("while the lane is behind, %d are woken; %v", len(journal.to), err)
	}
	status.set(State{Ready: true})
	if err := a.wakeOverdue(t.Context()); err != nil || len(journal.to) != 1 || <-journal.to != "CFlost" {
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
