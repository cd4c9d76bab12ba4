package rest

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the handler's metrics.
type Metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

// NewMetrics creates and registers the metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gavel_rest_requests_total",
			Help: "Requests to the Twilio-shaped REST API, by resource and HTTP status.",
		}, []string{"resource", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "gavel_rest_request_seconds",
			Help:    "Time to answer a request to the Twilio-shaped REST API, by resource.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}, []string{"resource"}),
	}
	reg.MustRegister(m.requests, m.seconds)
	return m
}

func (m *Metrics) observe(of resource, status int, took time.Duration) {
	m.requests.WithLabelValues(string(of), strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(string(of)).Observe(took.Seconds())
}
