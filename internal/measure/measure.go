// Package measure makes and registers Prometheus metrics, each in one line.
package measure

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Registry registers each metric that it makes. Making two of one name panics.
type Registry struct{ promauto.Factory }

// With returns a registry on r. Metrics of a nil r are counted and shown nowhere.
func With(r prometheus.Registerer) Registry { return Registry{promauto.With(r)} }

// Counter returns a counter.
func (r Registry) Counter(name, help string) prometheus.Counter {
	return r.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

// Counters returns a counter for each combination of the labels' values.
func (r Registry) Counters(name, help string, labels ...string) *prometheus.CounterVec {
	return r.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

// Gauge returns a gauge.
func (r Registry) Gauge(name, help string) prometheus.Gauge {
	return r.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
}

// Gauges returns a gauge for each combination of the labels' values.
func (r Registry) Gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	return r.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
}

// GaugeFunc registers a gauge whose value is read at each scrape.
func (r Registry) GaugeFunc(name, help string, read func() float64) {
	r.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read)
}

// CounterFunc registers a counter whose value is read at each scrape.
func (r Registry) CounterFunc(name, help string, read func() float64) {
	r.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, read)
}

// Histogram returns a histogram with the upper bounds of its buckets.
func (r Registry) Histogram(name, help string, buckets []float64) prometheus.Histogram {
	return r.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
}

// Histograms returns a histogram for each combination of the labels' values.
func (r Registry) Histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return r.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
}
