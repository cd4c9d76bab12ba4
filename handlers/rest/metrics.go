package rest

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gavel/internal/measure"
)

// Metrics are the handler's metrics.
type Metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

// NewMetrics creates and registers the metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	metrics := measure.With(reg)
	return &Metrics{
		requests: metrics.Counters("gavel_rest_requests_total", "Requests to the Twilio-shaped REST API, by resource and HTTP status.", "resource", "status"),
		seconds:  metrics.Histograms("gavel_rest_request_seconds", "Time to answer a request to the Twilio-shaped REST API, by resource.", prometheus.ExponentialBuckets(0.0005, 2, 14), "resource"),
	}
}

func (m *Metrics) observe(of resource, status int, took time.Duration) {
	m.requests.WithLabelValues(string(of), strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(string(of)).Observe(took.Seconds())
}
