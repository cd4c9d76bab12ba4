package twilio

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gavel/internal/measure"
)

// Statuses of calls without an answer, besides 2xx, 4xx and the like.
const (
	unsent = "unsent" // the request was not sent
	silent = "silent" // it was sent, and Twilio did not answer
)

// ClientMetrics are the client's metrics. No label names an account, because
// thousands may be configured.
type ClientMetrics struct {
	registry measure.Registry
	calls    *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	underWay prometheus.Gauge
	waiting  prometheus.Gauge
}

// NewClientMetrics creates and registers the metrics.
func NewClientMetrics(reg prometheus.Registerer) *ClientMetrics {
	metrics := measure.With(reg)
	return &ClientMetrics{
		registry: metrics,
		calls:    metrics.Counters("gavel_twilio_calls_total", "Requests to Twilio's REST API, by kind and by status class, 429, silent or unsent.", "kind", "status"),
		seconds:  metrics.Histograms("gavel_twilio_call_seconds", "Time until Twilio answered a request, by kind.", prometheus.ExponentialBuckets(0.01, 2, 11), "kind"),
		underWay: metrics.Gauge("gavel_twilio_in_flight", "Requests to Twilio's REST API that wait for its answer."),
		waiting:  metrics.Gauge("gavel_twilio_waiting", "Calls that wait because their account has too many in flight."),
	}
}

// watch registers the gauge of the lowest limit.
func (m *ClientMetrics) watch(lowest func() float64) {
	m.registry.GaugeFunc("gavel_twilio_limit", "Concurrent calls that Twilio accepts, of the account with the fewest.", lowest)
}

func (m *ClientMetrics) count(kind, status string) { m.calls.WithLabelValues(kind, status).Inc() }

func (m *ClientMetrics) observe(kind string, status int, took time.Duration) {
	class := strconv.Itoa(status/100) + "xx"
	if status == 429 {
		class = "429"
	}
	m.count(kind, class)
	m.seconds.WithLabelValues(kind).Observe(took.Seconds())
}
