package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
	"gavel/internal/bus/jet"
	"gavel/internal/bus/natsd"
)

const (
	// maxMessage bounds a message of the journal. Entries (64 KiB of form) and groups
	// (256 KiB) are far smaller; only an Event Streams item may be that large.
	maxMessage = 1 << 20
	// maxPayload leaves room for headers above maxMessage.
	maxPayload = maxMessage + 64<<10
	// MaxLanes is the number of shards: a lane is a union of them.
	MaxLanes = events.Shards
	// MaxReplicas is the server's own limit.
	MaxReplicas = 5
	// embeddedLanes is one, because more lanes need more groups and fsyncs (31 k events
	// a second with SyncAlways and one lane, 9 k with four).
	embeddedLanes = 1
	// externalLanes is how many projectors can work in parallel.
	externalLanes = 8
	// externalReplicas survive the loss of one server.
	externalReplicas = 3
	// newsMaxAge is how long a subscriber may be offline without losing news. A former Gavel let NATS
	// enforce it.
	newsMaxAge = 30 * 24 * time.Hour
	// newsDuplicates is the duplicate window of the news, at about 110 bytes of memory
	// for each fact. After it the records prevent duplicates.
	newsDuplicates = 5 * time.Minute
	// maxDeadLetters bounds the dead letters of one kind and account, so that
	// refused requests of one account cannot crowd out the letters of another.
	maxDeadLetters = 1000
	// makeWithin bounds the creation of all streams: a cluster that just started has no
	// leader for some seconds.
	makeWithin = 30 * time.Second
)

// streams are the streams that makeStreams found or created.
type streams struct {
	journal             jetstream.Stream
	events              jetstream.Stream
	actions             jetstream.Stream
	deadLetters         jetstream.Stream
	keys, rules, brakes *jet.Guarded
	lanes               int
}

// allStreams are the names of all streams, the journal's first.
func allStreams() []string {
	return []string{
		journalStream, eventsStream, actionsStream, timersStream, laterStream, deadLettersStream,
		bucketPrefix + keysBucket, bucketPrefix + rulesBucket, bucketPrefix + brakesBucket,
	}
}

// makeStreams creates missing streams and checks existing ones. server is nil for an external NATS.
func makeStreams(ctx context.Context, nc *nats.Conn, c Config, server *natsd.Server, store *Store, log *slog.Logger) (made streams, err error) {
	ctx, cancel := context.WithTimeout(ctx, makeWithin)
	defer cancel()
	m := maker{js: js(nc), config: c, room: server.StoreBytes(), full: server.Room() != nil, store: store, log: log}
	err = jet.Retry(ctx, jet.Starting, func(ctx context.Context) error {
		made, err = m.make(ctx)
		return err
	})
	return made, err
}

type maker struct {
	js     jetstream.JetStream
	config Config
	room   int64 // limit of all streams together in bytes; 0 means unknown
	full   bool  // the volume: a write would freeze its stream
	store  *Store
	log    *slog.Logger
}

func (m maker) make(ctx context.Context) (made streams, err error) {
	if m.room, err = m.findRoom(ctx); err != nil {
		return made, err
	}
	for _, s := range []struct {
		into   *jetstream.Stream
		config jetstream.StreamConfig
	}{
		{&made.journal, m.journalConfig()},
		{&made.events, m.eventsConfig()},
		{&made.actions, m.actionsConfig()},
		{new(jetstream.Stream), m.timersConfig()},
		{new(jetstream.Stream), m.laterConfig()},
		{&made.deadLetters, m.deadLettersConfig()},
	} {
		if *s.into, err = m.stream(ctx, s.config); err != nil {
			return made, err
		}
	}
	if err := m.mendSchedules(ctx); err != nil {
		return made, err
	}
	if made.lanes, err = checkLanes(made.journal.CachedInfo().Config, m.config); err != nil {
		return made, refusal(journalStream, err)
	}
	return made, m.buckets(ctx, &made)
}

// mendSchedules removes messages that cannot be read from the streams of schedules of an embedded
// server: the next one of the same subject would freeze the stream.
func (m maker) mendSchedules(ctx context.Context) error {
	if !m.config.embedded() || m.full {
		return nil
	}
	if _, err := jet.RemoveDamaged(ctx, m.js, laterStream, m.log); err != nil {
		return fmt.Errorf("check the messages of %s: %w", laterStream, err)
	}
	if err := m.redeliver(ctx); err != nil {
		return fmt.Errorf("check the consumer of %s: %w", laterStream, err)
	}
	if !m.config.Rearms {
		return nil
	}
	timers, err := m.js.Stream(ctx, timersStream)
	if err == nil {
		err = timers.Purge(ctx)
	}
	if err != nil {
		return fmt.Errorf("remove the alarms of the last run from %s: %w", timersStream, err)
	}
	return nil
}

// redeliver delivers deferred decisions again that are in the stream although their consumer has settled
// them. The server removes what is settled, and after kill -9 a damaged message takes all with it that
// follows: the removals, and the alarm that was set in place of a decision that was due.
func (m maker) redeliver(ctx context.Context) error {
	stream, err := m.js.Stream(ctx, laterStream)
	if err != nil {
		return err
	}
	due, err := stream.Info(ctx, jetstream.WithSubjectFilter(laterDuePrefix+">"))
	if err != nil {
		return err
	}
	consumer, err := m.js.Consumer(ctx, laterStream, laterConsumer)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	open := consumer.CachedInfo()
	settled := len(due.State.Subjects) - int(open.NumPending) - open.NumAckPending
	if settled <= 0 {
		return nil
	}
	m.log.Error("deferred decisions that were settled are stored again, so the stream was damaged: all that are due are delivered again", "stream", laterStream, "messages", settled)
	_, err = m.js.ResetConsumerToSequence(ctx, laterStream, laterConsumer, due.State.FirstSeq)
	return err
}

// stream opens or creates a stream and checks it. It does not change an existing stream, except
// that it sets a limit, a compression or an age that Gavel's own former settings lack.
func (m maker) stream(ctx context.Context, c jetstream.StreamConfig) (jetstream.Stream, error) {
	s, err := m.js.Stream(ctx, c.Name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		s, err = m.fitting(ctx, c, m.js.CreateStream)
	case err == nil && !m.full && lacksLimit(s, c):
		s, err = m.limit(ctx, s, c)
	case err == nil && !m.full:
		s, err = m.adjust(ctx, s, c)
	}
	if err == nil && !m.full && s.CachedInfo().Config.Compression != c.Compression {
		s, err = m.compress(ctx, s, c)
	}
	if err == nil && !m.full && s.CachedInfo().Config.MaxAge != 0 && c.Metadata[metadataMaxAge] != "" {
		s, err = m.ageless(ctx, s, c)
	}
	if err != nil {
		return nil, fmt.Errorf("open or create stream %s: %w", c.Name, hintOffline(c.Name, err))
	}
	return s, checkStream(s.CachedInfo().Config, m.config)
}

// streamOffline is nats-server's JSStreamOfflineReasonErrF: the server has stopped the stream, because it
// cannot read what describes it or one of its consumers.
const streamOffline = 10194

// storeFailed is nats-server's JSStreamCreateErrF for a stream whose files are there and cannot be opened: one
// changed bit in the length of a message is enough.
const storeFailed = 10049

// hintOffline adds the remedy to the error of a stream that a server has stopped, or cannot open.
func hintOffline(name string, err error) error {
	fault := (*jetstream.APIError)(nil)
	if errors.As(err, &fault) && fault.ErrorCode == storeFailed && (name == laterStream || name == timersStream) {
		return fmt.Errorf("%w; if the log has \"malformed or corrupt message\", its files are damaged: stop Gavel, move the folder %s of NATS's store "+
			"(nats/jetstream/$G/streams) out of it, and start again: alarms are set again from the conferences and the decisions", err, name)
	}
	if fault == nil || fault.ErrorCode != streamOffline {
		return err
	}
	return fmt.Errorf("%w; if it is a consumer, stop NATS, remove the file obs/CONSUMER/meta.inf in the folder %s of its store, and start NATS and Gavel again: "+
		"the consumer is made again with its state", err, name)
}

func (m maker) journalConfig() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        journalStream,
		Description: "Gavel's truth: what was told, in groups of entries. Private.",
		Subjects:    []string{journalPrefix + "*"},
		Storage:     jetstream.FileStorage,
		Discard:     jetstream.DiscardNew,
		MaxBytes:    m.journalMaxBytes(),
		MaxMsgSize:  maxMessage,
		Replicas:    m.config.Replicas,
		DenyDelete:  true,
		Metadata:    map[string]string{metadataLanes: strconv.Itoa(m.config.newLanes())},
	}
}

// eventsConfig compresses, because each fact repeats the names of its parameters and the
// conference's resource: a block of 8 MB becomes a sixth when the next one begins.
func (m maker) eventsConfig() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:               eventsStream,
		Description:        "What happened in conferences: each fact once, as a CloudEvent.",
		Subjects:           []string{eventsPrefix + "*.*.*"},
		Storage:            jetstream.FileStorage,
		Discard:            jetstream.DiscardOld,
		Metadata:           map[string]string{metadataMaxAge: newsMaxAge.String()},
		MaxBytes:           m.share(eventsPercent),
		Duplicates:         newsDuplicates,
		Replicas:           m.config.Replicas,
		AllowAtomicPublish: true,
		Compression:        jetstream.S2Compression,
	}
}

// actionsConfig allows one message for each subject, which no message replaces. For decisions that
// Trim has removed, the horizon takes its place, so that deduplication has no window of time.
func (m maker) actionsConfig() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:                 actionsStream,
		Description:          "What rules decided, each decision once and for ever. Private.",
		Subjects:             []string{actionsPrefix + "*.*.*", servedPrefix + "*.*.*"},
		Storage:              jetstream.FileStorage,
		Discard:              jetstream.DiscardNew,
		DiscardNewPerSubject: true,
		MaxMsgsPerSubject:    1,
		MaxBytes:             m.share(actionsPercent),
		Replicas:             m.config.Replicas,
		DenyDelete:           true,
	}
}

// timersConfig removes acknowledged alarms. Without replicas persistence is asynchronous, because a
// fsync for each alarm would delay a thousand of them; lanes set lost alarms again (ADR 0011).
func (m maker) timersConfig() jetstream.StreamConfig {
	c := m.scheduleConfig(timersStream, "When conferences are to be judged again. Private.", timersAtPrefix, timersDuePrefix)
	if m.config.Replicas == 1 {
		c.PersistMode = jetstream.AsyncPersistMode
	}
	return c
}

func (m maker) laterConfig() jetstream.StreamConfig {
	return m.scheduleConfig(laterStream, "When decisions are to be performed again. Private.", laterAtPrefix, laterDuePrefix)
}

// scheduleConfig is a stream of schedules and due messages. NATS requires that it discards
// its oldest messages, so it has no limit that would make it do so.
func (m maker) scheduleConfig(name, description, at, due string) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              name,
		Description:       description,
		Subjects:          []string{at + "*.*.*", due + "*.*.*"},
		Storage:           jetstream.FileStorage,
		Retention:         jetstream.WorkQueuePolicy,
		Discard:           jetstream.DiscardOld,
		MaxMsgsPerSubject: 1,
		Replicas:          m.config.Replicas,
		AllowMsgSchedules: true,
		AllowRollup:       true,
	}
}

func (m maker) deadLettersConfig() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              deadLettersStream,
		Description:       "What was genuine and could not go on, for people.",
		Subjects:          []string{deadPrefix + "*.*"},
		Storage:           jetstream.FileStorage,
		Discard:           jetstream.DiscardOld,
		MaxMsgsPerSubject: maxDeadLetters,
		MaxBytes:          m.share(deadLettersPercent),
		Replicas:          m.config.Replicas,
	}
}

// buckets opens or creates the buckets. The marks of the brakes and the keys are in the bucket of
// the rules, and those of the rules in that of the brakes, so that one damaged file hides nothing.
func (m maker) buckets(ctx context.Context, made *streams) error {
	keys, newKeys, err1 := m.bucket(ctx, keysBucket, "Gavel's API keys, hashed.")
	rules, _, err2 := m.bucket(ctx, rulesBucket, "Gavel's sets of rules, and which is in force.")
	brakes, _, err3 := m.bucket(ctx, brakesBucket, "What Gavel's rules were let do, what tripped, and the stop.")
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	if m.full && made.journal.CachedInfo().Config.Metadata[metadataGuarded] == "" {
		// A former Gavel left no marks, and this start has no room for them: their absence is no damage.
		made.keys, made.rules, made.brakes = jet.Guard(keys, rules, jet.Guards{}), jet.Guard(rules, brakes, jet.Guards{}), jet.Guard(brakes, rules, jet.Guards{})
		return nil
	}
	made.keys = jet.Guard(keys, rules, jet.Guards{Deleted: true, Report: m.store.reportKey})
	made.rules = jet.Guard(rules, brakes, jet.Guards{Keys: []string{activeKey}, Lasting: setPrefix, Report: m.store.reportKey})
	made.brakes = jet.Guard(brakes, rules, jet.Guards{
		Keys: []string{stopKey}, Sealed: []string{ledgerKey}, Report: m.store.reportKey,
		Seeds: map[string][]byte{stopKey: []byte(`{"stopped":false,"reason":""}`), ledgerKey: []byte("{}")},
	})
	if newKeys {
		if err := made.keys.Forget(ctx); err != nil {
			return err
		}
	}
	return m.adopt(ctx, made)
}

// bucket also reports whether it created the bucket.
func (m maker) bucket(ctx context.Context, name, description string) (*jet.Bucket, bool, error) {
	return jet.OpenBucket(ctx, m.js, jetstream.KeyValueConfig{
		Bucket: name, Description: description, Storage: jetstream.FileStorage, Replicas: m.config.Replicas,
	}, m.log)
}

// adopt marks the buckets of a new store, or of one of a former Gavel, once. From then on a missing
// value is damage. The journal has the record of it, because it is in other files than the buckets.
func (m maker) adopt(ctx context.Context, made *streams) error {
	c := made.journal.CachedInfo().Config
	if m.full {
		return nil
	}
	if c.Metadata[metadataGuarded] != "" {
		return made.keys.Keep(ctx)
	}
	for _, b := range []*jet.Guarded{made.keys, made.rules, made.brakes} {
		if err := b.Adopt(ctx); err != nil {
			return err
		}
	}
	c.Metadata = maps.Clone(c.Metadata)
	c.Metadata[metadataGuarded] = "1"
	var err error
	if made.journal, err = m.js.UpdateStream(ctx, c); err != nil {
		return fmt.Errorf("record in the journal that the buckets are marked: %w", err)
	}
	return made.keys.Keep(ctx)
}
