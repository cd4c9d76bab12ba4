package callback

import (
	"cmp"
	"maps"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gavel/events"
	"gavel/internal/measure"
	"gavel/internal/twilio"
)

// Metrics count the requests to the door and its answers. Labels contain no value of a request.
type Metrics struct {
	received      *prometheus.CounterVec
	refused       *prometheus.CounterVec
	shed          *prometheus.CounterVec
	matched       *prometheus.CounterVec
	ignored       *prometheus.CounterVec
	streamItems   *prometheus.CounterVec
	speech        prometheus.Counter
	speechPending prometheus.Gauge
	seconds       prometheus.Histogram
	inFlight      atomic.Int64

	// byKind and other are the counters of received, byKey those of matched. They are resolved
	// once: a look-up by label for every callback costs more than counting.
	byKind map[events.Kind]prometheus.Counter
	other  prometheus.Counter
	byKey  atomic.Pointer[map[twilio.KeyName]prometheus.Counter]
}

// labelled are the kinds that have a label of their own. Others share one
// label, because an account can send any number of kinds.
var labelled = []events.Kind{
	events.ConferenceStart, events.ConferenceEnd, events.ParticipantJoin, events.ParticipantLeave,
	events.ParticipantMute, events.ParticipantUnmute, events.ParticipantHold, events.ParticipantUnhold,
	events.ParticipantModify, events.ParticipantSpeechStart, events.ParticipantSpeechStop,
	events.AnnouncementEnd, events.AnnouncementFail, events.ConferenceRecordEnd,
	"recording-in-progress", "recording-completed", "recording-absent", "recording-failed",
	events.APIConferenceModified, events.APIParticipantCreated, events.APIParticipantModified, events.APIParticipantDeleted,
	events.InsightsConferenceSummary, events.InsightsParticipantSummary,
}

// NewMetrics registers the door's metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	metrics := measure.With(reg)
	m := &Metrics{
		received:      metrics.Counters("gavel_received_total", "Genuine callbacks of valid form, by event.", "event"),
		refused:       metrics.Counters("gavel_refused_total", "Callbacks refused, by reason.", "reason"),
		shed:          metrics.Counters("gavel_unavailable_total", "Callbacks answered with 503, by reason. Each may be lost: reconcile.", "reason"),
		matched:       metrics.Counters("gavel_key_matched_total", "Genuine callbacks, by the key of the account's key ring that signed them.", "key"),
		ignored:       metrics.Counters("gavel_ignored_total", "Genuine callbacks that are not about a conference, by kind. They are not stored.", "kind"),
		streamItems:   metrics.Counters("gavel_event_streams_items_total", "Items of Event Streams batches, by outcome.", "outcome"),
		speech:        metrics.Counter("gavel_speech_dropped_total", "Speech events dropped as configured."),
		speechPending: metrics.Gauge("gavel_speech_untold_conferences", "Entries with numbers of dropped speech events whose append failed and is retried."),
		seconds: metrics.Histogram("gavel_door_seconds", "Time from a callback's arrival to its answer.",
			[]float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5, 12}),
		byKind: map[events.Kind]prometheus.Counter{},
	}
	metrics.GaugeFunc("gavel_in_flight", "Callbacks in progress.", func() float64 { return float64(m.inFlight.Load()) })
	for _, kind := range labelled {
		m.byKind[kind] = m.received.WithLabelValues(string(kind))
	}
	// An alarm on an increase needs the series before its first count.
	for _, why := range refusals {
		m.refused.WithLabelValues(string(why))
	}
	for _, why := range sheds {
		m.shed.WithLabelValues(string(why))
	}
	for _, kind := range events.ForeignKinds() {
		m.ignored.WithLabelValues(kind)
	}
	m.other = m.received.WithLabelValues("other")
	m.showKeys(twilio.Current, twilio.Next, twilio.Previous)
	return m
}

// showKeys gives each key a counter, so that a key that never signs shows as zero.
func (m *Metrics) showKeys(names ...twilio.KeyName) {
	counters := map[twilio.KeyName]prometheus.Counter{}
	if known := m.byKey.Load(); known != nil {
		maps.Copy(counters, *known)
	}
	for _, name := range names {
		counters[name] = m.matched.WithLabelValues(string(name))
	}
	m.byKey.Store(&counters)
}

// countKey counts a key of the settings. A key that came with a reload of the accounts and matches
// before ShowKeys has run is resolved by its label.
func (m *Metrics) countKey(name twilio.KeyName) {
	counter := (*m.byKey.Load())[name]
	if counter == nil {
		counter = m.matched.WithLabelValues(string(name))
	}
	counter.Inc()
}

func (m *Metrics) countReceived(kind events.Kind) { cmp.Or(m.byKind[kind], m.other).Inc() }

func (m *Metrics) countRefusal(r *refusal) {
	counter := m.refused
	if r.status == http.StatusServiceUnavailable {
		counter = m.shed
	}
	counter.WithLabelValues(string(r.reason)).Inc()
}

func (m *Metrics) observe(d time.Duration) { m.seconds.Observe(d.Seconds()) }
