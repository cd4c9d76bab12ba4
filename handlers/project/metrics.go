package project

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gavel/internal/measure"
	"gavel/lanes"
)

// Metrics show an operator whether the projector keeps up, misses entries or is stuck.
type Metrics struct {
	folded, duplicates, late, news prometheus.Counter
	missing, unfoldable, skipped   prometheus.Counter
	ahead                          prometheus.Counter
	restarts, fills                prometheus.Counter
	owned, lag                     *prometheus.GaugeVec
	visible                        prometheus.Histogram
	batchEntries                   prometheus.Histogram
	decisions, faults              *prometheus.CounterVec
	loads, overdue                 prometheus.Counter
	overslept                      prometheus.Histogram
}

// NewMetrics creates and registers the metrics. A rule's name may be a label: its
// author chose it, and rules are few.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := measure.With(reg)
	return &Metrics{
		folded:       m.Counter("gavel_folded_total", "Facts folded into the picture."),
		duplicates:   m.Counter("gavel_duplicates_total", "Entries that contain nothing new."),
		late:         m.Counter("gavel_late_total", "Facts folded after one with a greater SequenceNumber."),
		news:         m.Counter("gavel_told_total", "Facts published to GAVEL_EVENTS."),
		missing:      m.Counter("gavel_sequence_gaps_total", "Sequence numbers skipped when a fact was folded; late ones close gaps again."),
		unfoldable:   m.Counter("gavel_unfoldable_total", "Entries that became dead letters."),
		skipped:      m.Counter("gavel_skipped_total", "Entries of Gavel's own that this version does not understand; a newer version wrote them."),
		ahead:        m.Counter("gavel_entries_ahead_total", "Entries stamped more than 2 s ahead of NATS's clock, for which its time counts; normally 0."),
		restarts:     m.Counter("gavel_lane_restarts_total", "Times a lane was taken over again after a failure."),
		fills:        m.Counter("gavel_fills_total", "Times a lane's picture was filled from the journal."),
		owned:        m.Gauges("gavel_lane_owned", "1 where this process owns the lane; absent where another process does.", "lane"),
		lag:          m.Gauges("gavel_lag_seconds", "How long the newest processed entry had waited; 0 when no entry waits.", "lane"),
		visible:      m.Histogram("gavel_visible_seconds", "From the request's arrival to the record in the store.", prometheus.ExponentialBuckets(0.0001, 2.5, 14)),
		batchEntries: m.Histogram("gavel_batch_entries", "Entries processed in one batch.", prometheus.ExponentialBuckets(1, 3, 8)),
		loads:        m.Counter("gavel_rule_loads_total", "Sets of rules that came into force in a lane."),
		overdue:      m.Counter("gavel_rule_deadlines_overdue_total", "Deadlines more than 5 s late because no alarm was delivered; normally 0."),
		decisions:    m.Counters("gavel_rule_decisions_total", "Decisions of rules, by verdict: act, would, refused.", "rule", "verdict"),
		faults:       m.Counters("gavel_rule_faults_total", "Expressions of rules that could not be evaluated.", "rule"),
		overslept:    m.Histogram("gavel_rule_wake_lag_seconds", "From a deadline to its wake-up in the journal.", prometheus.ExponentialBuckets(0.001, 3, 12)),
	}
}

func laneLabel(lane int) string { return strconv.Itoa(lane) }

// own sets the metric of a lane that this process works.
func (m *Metrics) own(lane int) { m.owned.WithLabelValues(laneLabel(lane)).Set(1) }

// disown removes the lane's metrics. The next owner reports the lag.
func (m *Metrics) disown(lane int) {
	m.owned.DeleteLabelValues(laneLabel(lane))
	m.lag.DeleteLabelValues(laneLabel(lane))
}

// setLag sets how long the newest processed entry had waited.
func (m *Metrics) setLag(lane int, lag time.Duration) {
	m.lag.WithLabelValues(laneLabel(lane)).Set(lag.Seconds())
}

// count counts the results of one step.
func (m *Metrics) count(r *lanes.Ready) {
	switch {
	case r.Fresh:
		m.folded.Inc()
	case r.Double:
		m.duplicates.Inc()
	}
	if r.Late {
		m.late.Inc()
	}
	if r.Jumped > 0 {
		m.missing.Add(float64(r.Jumped))
	}
	if r.Skipped {
		m.skipped.Inc()
	}
	if r.Loaded {
		m.loads.Inc()
	}
	if r.Overdue > 0 {
		m.overslept.Observe(r.Overdue.Seconds())
	}
}
