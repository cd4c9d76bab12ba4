package api

import (
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are what the API counts.
type Metrics struct {
	requests *prometheus.CounterVec
	streams  prometheus.Gauge
}

// NewMetrics makes and registers them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gavel_api_requests_total",
			Help: "Requests to /v1, by operation and HTTP status.",
		}, []string{"operation", "status"}),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gavel_api_streams",
			Help: "Streams of /v1 that are open now.",
		}),
	}
	reg.MustRegister(m.requests, m.streams)
	return m
}

// count notes how each operation was answered. A stream that wrote no status
// was 200.
func (a *API) count(ctx huma.Context, next func(huma.Context)) {
	next(ctx)
	status := ctx.Status()
	if status == 0 {
		status = 200
	}
	a.Metrics.requests.WithLabelValues(ctx.Operation().OperationID, strconv.Itoa(status)).Inc()
}
