package bus

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"gavel/internal/bus/jet"
)

// Every stream that could grow without end has a share of the room, so that none
// of them takes the journal's. The room is the embedded server's volume, or what
// the account of an external server may store of each replica.
const (
	// journalPercent: a callback is about 0.5 KB there and 1.8 KB in GAVEL_EVENTS,
	// but the journal must keep it and GAVEL_EVENTS may discard it.
	journalPercent     = 70
	eventsPercent      = 10
	actionsPercent     = 5
	deadLettersPercent = 1
	// storePercent is what the embedded server stores in all. What the shares
	// leave of it is for the alarm clocks and the buckets, which may lose nothing
	// and hold one message for each conference or key. The files of the streams
	// need some of the rest: a volume that really is full freezes a stream until
	// the server restarts.
	storePercent = 90
	// assumedRoom stands for the room of an external server where neither its
	// account nor nats.journal_max_bytes limits anything.
	assumedRoom = 10 << 30
	// leastLimit is the smallest limit that a stream gets where the server has
	// no room to reserve for more: it holds the largest message twice.
	leastLimit = 2 * maxMessage
	// reducedBy makes about eventsPercent of all that can be reserved.
	reducedBy = 8
	// defaultDuplicates is nats-server's StreamDefaultDuplicatesWindow.
	defaultDuplicates = 2 * time.Minute
)

// findRoom returns the room in bytes, 0 where no limit is known.
func (m maker) findRoom(ctx context.Context) (int64, error) {
	switch {
	case m.room > 0:
		return m.room, nil
	case m.config.JournalMaxBytes > 0:
		return m.config.JournalMaxBytes / journalPercent * 100, nil
	}
	account, err := m.js.AccountInfo(ctx)
	if err != nil {
		return 0, fmt.Errorf("ask for the limits of the NATS account: %w", err)
	}
	return max(account.Limits.MaxStore, 0) / int64(m.config.Replicas), nil
}

// journalMaxBytes is the limit of a journal that is made now, -1 for none.
func (m maker) journalMaxBytes() int64 {
	switch {
	case m.config.JournalMaxBytes > 0:
		return m.config.JournalMaxBytes
	case m.room > 0:
		return m.share(journalPercent)
	}
	return -1
}

// share is so much of the room, in bytes.
func (m maker) share(percent int64) int64 {
	room := m.room
	if room == 0 {
		room = assumedRoom
	}
	return room / 100 * percent
}

// fitting makes or updates a stream by put. Where the server or the account cannot
// reserve its limit any more, the stream gets a small part of what they can, for
// that is all that the journal has as well.
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

// lacksLimit reports whether a stream has no limit in bytes and is to have one. A
// journal without one stays as it is: it may grow.
func lacksLimit(have jetstream.Stream, want jetstream.StreamConfig) bool {
	return want.Name != journalStream && want.MaxBytes > 0 && have.CachedInfo().Config.MaxBytes <= 0
}

// limit gives its limit to a stream that is otherwise as Gavel made it before there
// were limits. One that an operator changed stays as it is.
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
		// A stream that refuses must not be full at once.
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

// madeByGavel reports whether a stream is as Gavel makes it, but for its limit in
// bytes.
func madeByGavel(have, want jetstream.StreamConfig) bool {
	want.MaxBytes = have.MaxBytes
	// What the server fills in where it is told nothing (nats-server,
	// checkStreamCfg).
	for _, limit := range []*int64{&want.MaxMsgs, &want.MaxMsgsPerSubject} {
		if *limit == 0 {
			*limit = -1
		}
	}
	want.MaxConsumers, want.MaxMsgSize = -1, -1
	want.Duplicates, want.Metadata = max(want.Duplicates, defaultDuplicates), maps.Clone(have.Metadata)
	want.AllowDirect = have.AllowDirect
	for key := range want.Metadata {
		if !strings.HasPrefix(key, "_nats.") {
			return false
		}
	}
	return reflect.DeepEqual(have, want)
}
