package api

import (
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"

	"gavel/internal/measure"
)

// Metrics are the metrics of the API.
type Metrics struct {
	requests *prometheus.CounterVec
	streams  prometheus.Gauge
}

// NewMetrics creates and registers the metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	metrics := measure.With(reg)
	return &Metrics{
		requests: metrics.Counters("gavel_api_requests_total", "Requests to /v1, by operation and HTTP status.", "operation", "status"),
		streams:  metrics.Gauge("gavel_api_streams", "Streams of /v1 that are open now."),
	}
}

// count counts the answers of each operation. A stream that wrote no status counts as 200.
func (a *API) count(ctx huma.Context, next func(huma.Context)) {
	next(ctx)
	status := ctx.Status()
	if status == 0 {
		status = 200
	}
	a.Metrics.requests.WithLabelValues(ctx.Operation().OperationID, strconv.Itoa(status)).Inc()
}
