package act

import (
	"github.com/prometheus/client_golang/prometheus"

	"gavel/internal/measure"
)

// Metrics are the metrics of the performer.
type Metrics struct {
	actions *prometheus.CounterVec
	waiting *prometheus.CounterVec
	seconds *prometheus.HistogramVec
	fetches *prometheus.CounterVec
}

// NewMetrics creates and registers the metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	metrics := measure.With(reg)
	m := &Metrics{
		actions: metrics.Counters("gavel_actions_total", "Decisions with an outcome, by rule, action and result.", "rule", "do", "result"),
		waiting: metrics.Counters("gavel_action_waits_total", "Attempts to perform a decision that are repeated later, by reason.", "why"),
		seconds: metrics.Histograms("gavel_action_seconds", "Time from a decision to its outcome, waits included, by action.", prometheus.ExponentialBuckets(0.01, 2, 16), "do"),
		fetches: metrics.Counters("gavel_ended_fetches_total", "Conferences fetched from Twilio after their end, by result: recorded, missing, retried, failed, late, open.", "result"),
	}
	for _, result := range []string{fetchRecorded, fetchMissing, fetchRetried, fetchFailed, fetchLate, fetchStillOpen} {
		m.fetches.WithLabelValues(result) // an alarm needs the series before its first count
	}
	for _, why := range whys {
		m.waiting.WithLabelValues(why)
	}
	return m
}
