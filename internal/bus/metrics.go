package bus

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"gavel/internal/measure"
)

// Metrics are the metrics of the bus.
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
	due          prometheus.Counter
	conditions   *prometheus.GaugeVec
	streamBytes  *prometheus.GaugeVec
	streamMax    *prometheus.GaugeVec
	stored       prometheus.Gauge
	storedMax    prometheus.Gauge
	volumeFree   prometheus.Gauge
}

// Values of labels: how news was published, how a group ended, and whether a decision
// was stored before.
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
	metrics := measure.With(r)
	return &Metrics{
		groups:  metrics.Counters("gavel_journal_groups_total", "Groups of entries, by the outcome of their append.", "outcome"),
		entries: metrics.Counter("gavel_journal_entries_total", "Entries that JetStream acknowledged."),
		commit: metrics.Histogram("gavel_journal_commit_seconds", "Time from the publish of a group to its acknowledgement, with retries.",
			[]float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .1, .5, 2, 6, 12}),
		retries:      metrics.Counter("gavel_journal_retries_total", "Failed attempts to append a group that were retried."),
		news:         metrics.Counters("gavel_news_total", "Facts published, by whether singly or in an atomic batch.", "how"),
		journalBytes: metrics.Gauge("gavel_journal_bytes", "Size of the journal in bytes."),
		journalMax:   metrics.Gauge("gavel_journal_max_bytes", "Limit of the journal in bytes; 0 if only the server's limit applies."),
		decided:      metrics.Counters("gavel_decided_total", "Decisions stored, by whether they were stored before.", "how"),
		alarms:       metrics.Counter("gavel_alarms_set_total", "Alarms of conferences set in NATS."),
		due:          metrics.Counter("gavel_alarms_rang_total", "Alarms of conferences delivered."),
		conditions:   metrics.Gauges("gavel_store_condition", "1 while a condition of the store lasts.", "condition"),
		streamBytes:  metrics.Gauges("gavel_stream_bytes", "Size of each of Gavel's streams in bytes.", "stream"),
		streamMax:    metrics.Gauges("gavel_stream_max_bytes", "Limit of each stream in bytes; 0 if only the server's limit applies.", "stream"),
		stored:       metrics.Gauge("gavel_store_bytes", "What all streams of the NATS account store in bytes."),
		storedMax:    metrics.Gauge("gavel_store_max_bytes", "What they may store in bytes; 0 without a limit."),
		volumeFree:   metrics.Gauge("gavel_volume_free_bytes", "What is free on the volume of the embedded NATS in bytes; -1 with an external one."),
	}
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

func (m *Metrics) observeSizes(s *Sizes) {
	for _, stream := range s.Streams {
		m.streamBytes.WithLabelValues(stream.Name).Set(float64(stream.Bytes))
		m.streamMax.WithLabelValues(stream.Name).Set(float64(stream.Max))
	}
	m.stored.Set(float64(s.Stored))
	m.storedMax.Set(float64(s.MaxStored))
	m.volumeFree.Set(float64(s.VolumeFree))
}
