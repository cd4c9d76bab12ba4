//go:build failover

package failover_test

import (
	"fmt"
	"testing"
	"time"
)

const (
	// floodTogether is how many callbacks are in flight at a time: enough to
	// fill groups in every lane.
	floodTogether = 256
	// floodTime is short: the ratios settle within seconds.
	floodTime = 4 * time.Second
)

// measured is the cost and the throughput of a number of lanes.
type measured struct {
	lanes           int
	door, projector float64 // callbacks and facts a second
	takeover        time.Duration
}

// The measurement that docs/adr/0010-lanes.md is based on: the same story with
// different numbers of lanes, in one run, as ratios to one lane.
func TestTheNumberOfLanes(t *testing.T) {
	var all []measured
	for _, lanes := range []int{1, 4, 8, 16} {
		t.Run("", func(t *testing.T) { all = append(all, measure(t, lanes)) })
	}
	t.Logf("lanes  door  projector  take-over")
	for _, m := range all {
		t.Logf("%5d  %.2f  %9.2f  %s", m.lanes, m.door/all[0].door, m.projector/all[0].projector,
			m.takeover.Round(time.Millisecond))
	}
}

func measure(t *testing.T, lanes int) measured {
	w := newWorld(t, shape{lanes: lanes})
	m := measured{lanes: lanes}
	door := w.gavel("door")
	flood := w.flood(floodTogether, door.url)
	pass(t, floodTime)
	answers := flood.stop()
	if missing := unanswered(answers); missing != "" {
		t.Error(missing)
	}
	m.door = float64(len(answers)) / floodTime.Seconds()

	first := w.begin("project")
	m.projector = w.catchUp(len(answers))
	w.awaitReady(first)
	second := w.gavel("project")
	news := w.watchNews()
	load := w.callbacks(takeoverLoad, door.url)
	w.shared(first.gavel, second)
	m.takeover = w.takesOver(news, first.gavel)
	load.stop()
	w.converges()
	return m
}

// catchUp waits until this many facts are published and returns the rate per
// second, from the first fact on.
func (w *world) catchUp(facts int) (rate float64) {
	w.t.Helper()
	var began time.Time
	var had uint64
	eventually(w.t, func() string {
		count, err := messages(w.t, w.nats, "GAVEL_EVENTS")
		if err != nil {
			return err.Error()
		}
		if began.IsZero() && count > 0 {
			began, had = time.Now(), count
		}
		if count < uint64(facts) {
			return fmt.Sprintf("%d of %d facts are published", count, facts)
		}
		rate = float64(count-had) / time.Since(began).Seconds()
		return ""
	})
	return rate
}
