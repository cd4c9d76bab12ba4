package project

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gavel/lanes"
)

// Metrics answer the questions of whoever is on call: does it keep up, does it
// miss anything, does anything stick.
type Metrics struct {
	folded, duplicates, late, told prometheus.Counter
	missing, unfoldable            prometheus.Counter
	restarts, fills                prometheus.Counter
	owned, lag                     *prometheus.GaugeVec
	visible                        prometheus.Histogram
	batchEntries                   prometheus.Histogram
	decisions, faults              *prometheus.CounterVec
	loads, overdue                 prometheus.Counter
	overslept                      prometheus.Histogram
}

// NewMetrics registers the projector's metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		reg.MustRegister(c)
		return c
	}
	m := &Metrics{
		folded:     counter("gavel_folded_total", "Facts folded into the picture."),
		duplicates: counter("gavel_duplicates_total", "Entries that told nothing new."),
		late:       counter("gavel_late_total", "Facts that came behind one with a greater SequenceNumber."),
		told:       counter("gavel_told_total", "Facts published to GAVEL_EVENTS."),
		missing:    counter("gavel_sequence_gaps_total", "Sequence numbers jumped over when a fact was folded; late ones close gaps again."),
		unfoldable: counter("gavel_unfoldable_total", "Entries that went to the dead letters."),
		restarts:   counter("gavel_lane_restarts_total", "Times a lane was taken over again after a failure."),
		fills:      counter("gavel_fills_total", "Times a lane's picture was filled from the journal."),
		owned: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gavel_lane_owned", Help: "1 where this process works the lane; absent where another does.",
		}, []string{"lane"}),
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gavel_lag_seconds", Help: "How long the newest entry worked had waited; 0 when nothing waits.",
		}, []string{"lane"}),
		visible: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "gavel_visible_seconds", Help: "From the request's arrival to the record in the store.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 14),
		}),
		batchEntries: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "gavel_batch_entries", Help: "Entries worked in one batch.",
			Buckets: prometheus.ExponentialBuckets(1, 3, 8),
		}),
	}
	reg.MustRegister(m.owned, m.lag, m.visible, m.batchEntries)
	m.ofRules(reg, counter)
	return m
}

// ofRules registers what is measured of judging. A rule's name is a word that its
// author chose for labels.
func (m *Metrics) ofRules(reg prometheus.Registerer, counter func(name, help string) prometheus.Counter) {
	m.loads = counter("gavel_rule_loads_total", "Sets of rules that came into force in a lane.")
	m.overdue = counter("gavel_rule_deadlines_overdue_total", "Deadlines that were over 5 s late because no alarm rang; 0 when all is well.")
	m.decisions = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gavel_rule_decisions_total", Help: "What rules decided, by verdict: act, would, refused.",
	}, []string{"rule", "verdict"})
	m.faults = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gavel_rule_faults_total", Help: "Expressions of rules that could not be evaluated.",
	}, []string{"rule"})
	m.overslept = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "gavel_rule_wake_lag_seconds", Help: "From a deadline to its wake-up in the journal.",
		Buckets: prometheus.ExponentialBuckets(0.001, 3, 12),
	})
	reg.MustRegister(m.decisions, m.faults, m.overslept)
}

func laneLabel(lane int) string { return strconv.Itoa(lane) }

// own says that the lane is worked here.
func (m *Metrics) own(lane int) { m.owned.WithLabelValues(laneLabel(lane)).Set(1) }

// disown says that it is not. The lag goes too: it is the next owner's now.
func (m *Metrics) disown(lane int) {
	m.owned.DeleteLabelValues(laneLabel(lane))
	m.lag.DeleteLabelValues(laneLabel(lane))
}

// setLag notes how long the newest entry worked had waited.
func (m *Metrics) setLag(lane int, lag time.Duration) {
	m.lag.WithLabelValues(laneLabel(lane)).Set(lag.Seconds())
}

// count counts what one step led to.
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
	if r.Loaded {
		m.loads.Inc()
	}
	if r.Overdue > 0 {
		m.overslept.Observe(r.Overdue.Seconds())
	}
}
