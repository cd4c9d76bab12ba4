package act

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gavel/events"
)

// Metrics are what the performer counts.
type Metrics struct {
	actions *prometheus.CounterVec
	waiting *prometheus.CounterVec
	seconds *prometheus.HistogramVec
}

// NewMetrics makes and registers them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		actions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gavel_actions_total",
			Help: "Decisions of rules that ended, by rule, action and result.",
		}, []string{"rule", "do", "result"}),
		waiting: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gavel_action_waits_total",
			Help: "Tries of decisions that have to wait for another one, by why.",
		}, []string{"why"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "gavel_action_seconds",
			Help:    "Time from a decision to its outcome, waits included, by action.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2, 16),
		}, []string{"do"}),
	}
	reg.MustRegister(m.actions, m.waiting, m.seconds)
	return m
}

func (m *Metrics) ended(rule string, do events.Do, result events.Result, took time.Duration) {
	m.actions.WithLabelValues(rule, string(do), string(result)).Inc()
	m.seconds.WithLabelValues(string(do)).Observe(took.Seconds())
}

func (m *Metrics) waits(why string) { m.waiting.WithLabelValues(why).Inc() }
