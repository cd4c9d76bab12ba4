package bus

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"gavel/internal/bus/jet"
)

// Every stream that could grow without end has a share of the room, so that it cannot use
// the journal's. The room is what the embedded server's store
// uses and what is free on its volume, or the limit of an external
// server's account divided by the replicas.
const (
	// journalPercent: a callback is about 0.5 KB there and 1.8 KB in GAVEL_EVENTS,
	// but the journal must keep it and GAVEL_EVENTS may discard it.
	journalPercent     = 70
	eventsPercent      = 10
	actionsPercent     = 5
	deadLettersPercent = 1
	// storePercent is the limit of all streams of the embedded server. Without the
	// shares it leaves room for the timers and the buckets, which must not lose
	// messages and hold one for each conference or key. The rest is a reserve: a full
	// volume freezes a stream until the server restarts.
	storePercent = 90
	// assumedRoom is the room of an external server without a limit of the account and
	// without nats.journal_max_bytes.
	assumedRoom = 10 << 30
	// leastLimit is the smallest limit of a stream on a server that cannot reserve
	// more: it holds the largest message twice.
	leastLimit = 2 * maxMessage
	// reducedBy yields about eventsPercent of all that can be reserved.
	reducedBy = 8
	// defaultDuplicates is nats-server's StreamDefaultDuplicatesWindow.
	defaultDuplicates = 2 * time.Minute
)

// findRoom returns the room in bytes, 0 without a known limit.
func (m maker) findRoom(ctx context.Context) (int64, error) {
	switch {
	case m.room > 0:
		return m.room, nil
	case m.config.JournalMaxBytes > 0:
		return m.config.JournalMaxBytes / journalPercent * 100, nil
	}
	account, err := m.js.AccountInfo(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the limits of the NATS account: %w", err)
	}
	return max(account.Limits.MaxStore, 0) / int64(m.config.Replicas), nil
}

// journalMaxBytes is the limit of a new journal, -1 for no limit.
func (m maker) journalMaxBytes() int64 {
	if m.config.JournalMaxBytes == 0 && m.room == 0 {
		return -1
	}
	return cmp.Or(m.config.JournalMaxBytes, m.share(journalPercent))
}

// share is a percentage of the room, in bytes.
func (m maker) share(percent int64) int64 { return cmp.Or(m.room, assumedRoom) / 100 * percent }

// fitting creates or updates a stream by put. If the server or the account cannot reserve the
// limit, the stream gets a small part of what they can, because the journal needs the rest.
func (m maker) fitting(ctx context.Context, c jetstream.StreamConfig, put func(context.Context, jetstream.StreamConfig) (jetstream.Stream, error)) (jetstream.Stream, error) {
	s, err := put(ctx, c)
	if !jet.CannotReserve(err) || c.Name == journalStream {
		return s, err
	}
	for jet.CannotReserve(err) && c.MaxBytes/2 >= leastLimit {
		c.MaxBytes /= 2
		s, err = put(ctx, c)
	}
	if err != nil {
		return nil, err
	}
	c.MaxBytes = max(c.MaxBytes/reducedBy, leastLimit)
	return m.js.UpdateStream(ctx, c)
}

// lacksLimit reports whether a stream should have a limit in bytes and has none. The
// journal may be unlimited.
func lacksLimit(have jetstream.Stream, want jetstream.StreamConfig) bool {
	return want.Name != journalStream && want.MaxBytes > 0 && have.CachedInfo().Config.MaxBytes <= 0
}

// limit sets the limit of a stream that has the settings of a Gavel without limits. A
// stream that an operator changed stays as it is.
func (m maker) limit(ctx context.Context, have jetstream.Stream, want jetstream.StreamConfig) (jetstream.Stream, error) {
	info := have.CachedInfo()
	c := info.Config
	unlimited := func(why string) (jetstream.Stream, error) {
		m.log.Warn("stream has no limit in bytes and may take the room of the journal: set its max-bytes",
			"stream", want.Name, "suggested_max_bytes", want.MaxBytes, "why", why)
		return have, nil
	}
	if !madeByGavel(c, want) {
		return unlimited("its operator changed other settings")
	}
	if c.MaxBytes = want.MaxBytes; c.Discard == jetstream.DiscardNew {
		// A stream that refuses messages must not be full at once.
		c.MaxBytes = max(c.MaxBytes, 2*int64(info.State.Bytes))
	}
	s, err := m.fitting(ctx, c, m.js.UpdateStream)
	if jet.CannotReserve(err) {
		return unlimited("the server has reserved all that it may store")
	}
	if err != nil {
		return nil, err
	}
	m.log.Info("stream had no limit in bytes and has one now", "stream", want.Name,
		"max_bytes", s.CachedInfo().Config.MaxBytes, "held_bytes", info.State.Bytes)
	return s, nil
}

const (
	// lowersFrom is how far a limit is above its share, in percent, before it is lowered: what other
	// programs store changes from start to start.
	lowersFrom = 110
	// keepsFree is the least part of its content that a lowered limit allows, in percent.
	keepsFree = 120
)

// adjust changes the limit of a stream that Gavel made: the journal's to the configured one if that is
// higher, and any other that is above its share down to it. An operator's own limit in
// nats.journal_max_bytes is never lowered.
func (m maker) adjust(ctx context.Context, have jetstream.Stream, want jetstream.StreamConfig) (jetstream.Stream, error) {
	info := have.CachedInfo()
	c := info.Config
	least := int64(info.State.Bytes) / 100 * keepsFree
	configured := want.Name == journalStream && m.config.JournalMaxBytes > 0
	switch {
	case c.MaxBytes <= 0 || want.MaxBytes <= 0:
		return have, nil
	case configured && want.MaxBytes <= c.MaxBytes:
		return have, nil
	case !configured && (m.config.URL != Embedded || c.MaxBytes/lowersFrom*100 <= max(want.MaxBytes, least)):
		return have, nil
	case !configured && !madeByGavel(c, want):
		return have, nil
	}
	c.MaxBytes = max(want.MaxBytes, least)
	s, err := m.js.UpdateStream(ctx, c)
	if jet.CannotReserve(err) {
		m.log.Warn("limit of a stream was not changed, because NATS may not store that much", "stream", c.Name, "max_bytes", info.Config.MaxBytes, "suggested_max_bytes", c.MaxBytes)
		return have, nil
	}
	if err == nil {
		m.log.Info("limit of a stream was changed", "stream", c.Name, "max_bytes", c.MaxBytes, "held_bytes", info.State.Bytes)
	}
	return s, err
}

// compress sets the compression of a stream that has the settings of a Gavel without compression.
// The server compresses the blocks that it finishes after its next start, because it reads this
// setting only then (nats-server 2.15, fileStore.UpdateConfig); readers see no difference.
func (m maker) compress(ctx context.Context, have jetstream.Stream, want jetstream.StreamConfig) (jetstream.Stream, error) {
	c := have.CachedInfo().Config
	if !madeByGavel(c, want) {
		return have, nil
	}
	c.Compression = want.Compression
	s, err := m.js.UpdateStream(ctx, c)
	if err == nil {
		m.log.Info("stream was not compressed and is from the next start of NATS on", "stream", want.Name)
	}
	return s, err
}

// madeByGavel reports whether a stream has Gavel's settings, except its limit in bytes, its
// compression, and that NATS may enforce its age.
func madeByGavel(have, want jetstream.StreamConfig) bool {
	want.MaxBytes, want.Compression = have.MaxBytes, have.Compression
	if want.Metadata[metadataMaxAge] == have.MaxAge.String() {
		want.MaxAge = have.MaxAge
	}
	// The server's defaults (nats-server, checkStreamCfg).
	for _, limit := range []*int64{&want.MaxMsgs, &want.MaxMsgsPerSubject} {
		if *limit == 0 {
			*limit = -1
		}
	}
	want.MaxConsumers, want.MaxMsgSize = -1, cmp.Or(want.MaxMsgSize, -1)
	want.Duplicates, want.Metadata = max(want.Duplicates, defaultDuplicates), maps.Clone(have.Metadata)
	want.AllowDirect = have.AllowDirect
	for key := range want.Metadata {
		if !strings.HasPrefix(key, "_nats.") && !strings.HasPrefix(key, "gavel.") {
			return false
		}
	}
	return reflect.DeepEqual(have, want)
}

// Sizes are what Gavel's streams use of the store, and what is left.
type Sizes struct {
	Streams []StreamSize
	// Stored is what all streams of the account use, and MaxStored what they may; 0 means no limit. Both
	// are those of the embedded server, or of Gavel's account on an external one, all replicas together.
	Stored, MaxStored int64
	// VolumeFree is what is free on the volume of the embedded server, -1 with an external one.
	VolumeFree int64
}

// StreamSize is the size of one stream.
type StreamSize struct {
	Name string
	// Bytes is its size, and Max its limit; 0 means that only the server's limit applies.
	Bytes, Max int64
}

// Sizes reads the sizes, shows them as metrics, and reports whether the stream of decisions is full. It is
// called every few seconds: a stream answers nothing during an fsync, so the watchdog does not wait for it.
func (b *Bus) Sizes(ctx context.Context) (s Sizes, err error) {
	ctx, cancel := context.WithTimeout(ctx, jet.AttemptTimeout)
	defer cancel()
	js := js(b.conns.work)
	for _, name := range allStreams() {
		stream, err := js.Stream(ctx, name)
		if err != nil {
			return s, fmt.Errorf("read the size of %s: %w", name, err)
		}
		info := stream.CachedInfo()
		if name == actionsStream {
			b.store.Report(DecisionsFull, decisionsFault(info))
		}
		s.Streams = append(s.Streams, StreamSize{name, int64(info.State.Bytes), max(info.Config.MaxBytes, 0)})
	}
	account, err := js.AccountInfo(ctx)
	if err != nil {
		return s, fmt.Errorf("read what the NATS account stores: %w", err)
	}
	s.Stored, s.MaxStored, s.VolumeFree = int64(account.Store), max(account.Limits.MaxStore, 0), b.server.VolumeFree()
	if b.server != nil {
		s.MaxStored = b.server.JetStreamConfig().MaxStore
	}
	b.config.Metrics.observeSizes(&s)
	return s, nil
}

// decisionsFault is why the stream of decisions is nearly full, or nil.
func decisionsFault(info *jetstream.StreamInfo) error {
	u := usageOf(info)
	if u.Full() < Full {
		return nil
	}
	return fmt.Errorf("%s is %.0f %% full: raise its limit (`nats stream edit %s --max-bytes N`) before rules cannot decide any more", actionsStream, u.Full()*100, actionsStream)
}
