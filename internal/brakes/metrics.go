package brakes

import (
	"github.com/prometheus/client_golang/prometheus"

	"gavel/internal/measure"
)

// Metrics are the metrics of the brakes and of the stop.
type Metrics struct {
	admissions *prometheus.CounterVec
	tripped    *prometheus.GaugeVec
	stop       prometheus.Gauge
}

// repeated is the label of an action that was admitted before.
const repeated = "repeat"

// NewMetrics registers the metrics with r; nil does not register them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	metrics := measure.With(r)
	return &Metrics{
		admissions: metrics.Counters("gavel_brake_admissions_total", "Requests to admit an action of a rule, by answer.", "rule", "verdict"),
		tripped:    metrics.Gauges("gavel_rule_tripped", "1 for each rule that acted too often and was not reset.", "rule"),
		stop:       metrics.Gauge("gavel_stopped", "1 while rules are stopped, or the stop cannot be read."),
	}
}

func (m *Metrics) admission(rule string, v Verdict) {
	label := string(v.Answer)
	if v.Repeat {
		label = repeated
	}
	m.admissions.WithLabelValues(rule, label).Inc()
}

// trips sets the gauge of each rule in the ledger. The ledger drops a rule that
// has been idle for an hour since its reset.
func (m *Metrics) trips(l *ledger) {
	m.tripped.Reset()
	for name, r := range l.Rules {
		value := 0.0
		if r.Trip != nil {
			value = 1
		}
		m.tripped.WithLabelValues(name).Set(value)
	}
}

func (m *Metrics) stopped(is bool) {
	m.stop.Set(0)
	if is {
		m.stop.Set(1)
	}
}
