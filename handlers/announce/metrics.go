package announce

import (
	"github.com/prometheus/client_golang/prometheus"

	"gavel/internal/measure"
)

// result is how a request was answered.
type result string

// All results.
const (
	served      result = "served"      // got the TwiML
	repeated    result = "repeated"    // served before: plays nothing
	stopped     result = "stopped"     // all rules are stopped: plays nothing
	expired     result = "expired"     // too late: plays nothing
	checked     result = "checked"     // a HEAD
	notFound    result = "not-found"   // 404
	forged      result = "forged"      // 403: not one of Gavel's URLs
	unsigned    result = "signature"   // 403: a signature that is not Twilio's
	tooLarge    result = "too-large"   // 413
	wrongMethod result = "method"      // 405
	unavailable result = "unavailable" // 503
)

var results = []result{
	served, repeated, stopped, expired, checked, notFound, forged, unsigned, tooLarge, wrongMethod, unavailable,
}

// Metrics count requests for announcements.
type Metrics struct{ requests *prometheus.CounterVec }

// NewMetrics registers the metrics, with each result at 0.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{measure.With(reg).Counters("gavel_announcements_total", "Requests for announcements, by result.", "result")}
	for _, r := range results {
		m.requests.WithLabelValues(string(r))
	}
	return m
}

func (m *Metrics) count(r result) { m.requests.WithLabelValues(string(r)).Inc() }
