package bus

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
)

// Metrics count what passes through the bus.
type Metrics struct {
	groups       *prometheus.CounterVec
	entries      prometheus.Counter
	commit       prometheus.Histogram
	retries      prometheus.Counter
	news         *prometheus.CounterVec
	journalBytes prometheus.Gauge
	journalMax   prometheus.Gauge
	decided      *prometheus.CounterVec
	alarms       prometheus.Counter
	rings        prometheus.Counter
}

// How news went out, how a group ended, and whether a decision was there before:
// values of labels.
const (
	bySingles = "singly"
	byBatch   = "batch"

	groupStored = "stored"
	groupFailed = "failed"

	decidedFresh  = "fresh"
	decidedBefore = "before"
)

// NewMetrics registers the metrics with r; nil registers nowhere.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		groups: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gavel_journal_groups_total", Help: "Groups of entries by how their append ended.",
		}, []string{"outcome"}),
		entries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gavel_journal_entries_total", Help: "Entries that JetStream acknowledged.",
		}),
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "gavel_journal_commit_seconds", Help: "From the publish of a group to its acknowledgement, retries included.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .1, .5, 2, 6, 12},
		}),
		retries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gavel_journal_retries_total", Help: "Tries of a group that failed and may be made again.",
		}),
		news: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gavel_news_total", Help: "Facts told, by the way they went out.",
		}, []string{"how"}),
		journalBytes: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gavel_journal_bytes", Help: "Bytes that the journal holds.",
		}),
		journalMax: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gavel_journal_max_bytes", Help: "Bytes that the journal may hold; 0 where only the server's limit counts.",
		}),
		decided: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gavel_decided_total", Help: "Decisions kept, by whether they were there before.",
		}, []string{"how"}),
		alarms: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gavel_alarms_set_total", Help: "Alarms of conferences set in NATS.",
		}),
		rings: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gavel_alarms_rang_total", Help: "Alarms that rang and were heard.",
		}),
	}
	if r != nil {
		r.MustRegister(m.groups, m.entries, m.commit, m.retries, m.news, m.journalBytes, m.journalMax, m.decided, m.alarms, m.rings)
	}
	return m
}

func (m *Metrics) observeGroup(g *group, took time.Duration) {
	m.commit.Observe(took.Seconds())
	if g.err != nil {
		m.groups.WithLabelValues(groupFailed).Inc()
		return
	}
	m.groups.WithLabelValues(groupStored).Inc()
	m.entries.Add(float64(g.entries))
}

func (m *Metrics) observeJournal(info *jetstream.StreamInfo) {
	u := usageOf(info)
	m.journalBytes.Set(float64(u.Bytes))
	m.journalMax.Set(float64(u.Max))
}
