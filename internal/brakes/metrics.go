package brakes

import "github.com/prometheus/client_golang/prometheus"

// Metrics say what the brakes let pass, and what they keep back.
type Metrics struct {
	admissions *prometheus.CounterVec
	tripped    *prometheus.GaugeVec
	stop       prometheus.Gauge
}

// repeated is the label of an action that was admitted before.
const repeated = "repeat"

// NewMetrics registers the metrics with r; nil registers nowhere.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		admissions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gavel_brake_admissions_total", Help: "Actions of rules that asked to be admitted, by the answer.",
		}, []string{"rule", "verdict"}),
		tripped: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gavel_rule_tripped", Help: "1 for each rule that acted too often and was not reset.",
		}, []string{"rule"}),
		stop: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gavel_stopped", Help: "1 while rules are stopped, or nobody knows whether they are.",
		}),
	}
	if r != nil {
		r.MustRegister(m.admissions, m.tripped, m.stop)
	}
	return m
}

func (m *Metrics) admission(rule string, v Verdict) {
	label := string(v.Answer)
	if v.Repeat {
		label = repeated
	}
	m.admissions.WithLabelValues(rule, label).Inc()
}

// trips shows those rules that the ledger knows; one that was idle for an hour
// since its reset is in it no more.
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
