package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
)

const (
	// maxLanes is the number of shards: a lane is a union of them.
	maxLanes = events.Shards
	// maxReplicas is the server's own limit.
	maxReplicas = 5
	// embeddedLanes: more lanes split the groups, and with them the fsyncs (31
	// k events a second power-safe with one lane, 9 k with four).
	embeddedLanes = 1
	// externalLanes is what may work side by side.
	externalLanes = 8
	// externalReplicas survive the loss of one server.
	externalReplicas = 3
	// newsMaxAge is how long subscribers may be away.
	newsMaxAge = 30 * 24 * time.Hour
	// newsDuplicates is how long the stream refuses a fact it has; the memory
	// is about 110 bytes for each. Beyond it the records remember.
	newsDuplicates = 5 * time.Minute
	// maxDeadLetters bounds the dead letters of one kind and account, so that
	// bent requests in one name cannot crowd out the letters of another.
	maxDeadLetters = 1000
	// makeWithin bounds the making of all streams: a cluster that just started
	// has no leader for some seconds.
	makeWithin = 30 * time.Second
)

// streams are what makeStreams found or made.
type streams struct {
	journal jetstream.Stream
	events  jetstream.Stream
	keys    jetstream.KeyValue
	lanes   int
}

// ErrRefused is wrapped by every refusal to run on a stream as it is.
var ErrRefused = errors.New("refuse to run on this stream")

// makeStreams makes what is missing and checks what is there. room is what a
// journal on this volume may hold, 0 where that is unknown.
func makeStreams(ctx context.Context, nc *nats.Conn, c Config, room int64) (made streams, err error) {
	ctx, cancel := context.WithTimeout(ctx, makeWithin)
	defer cancel()
	m := maker{js: js(nc), config: c, room: room}
	err = retrying(ctx, isTransient, func(ctx context.Context) error {
		made, err = m.make(ctx)
		return err
	})
	return made, err
}

type maker struct {
	js     jetstream.JetStream
	config Config
	room   int64
}

func (m maker) make(ctx context.Context) (made streams, err error) {
	if made.journal, err = m.journal(ctx); err != nil {
		return made, err
	}
	if made.lanes, err = checkJournal(made.journal.CachedInfo().Config, m.config); err != nil {
		return made, err
	}
	if made.events, err = m.findOrMake(ctx, m.eventsConfig()); err != nil {
		return made, err
	}
	if err := checkEvents(made.events.CachedInfo().Config); err != nil {
		return made, err
	}
	if _, err := m.findOrMake(ctx, m.deadLettersConfig()); err != nil {
		return made, err
	}
	made.keys, err = m.bucket(ctx)
	return made, err
}

// findOrMake leaves a stream that is there as its operator set it.
func (m maker) findOrMake(ctx context.Context, c jetstream.StreamConfig) (jetstream.Stream, error) {
	s, err := m.js.Stream(ctx, c.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		s, err = m.js.CreateStream(ctx, c)
	}
	if err != nil {
		return nil, fmt.Errorf("find or make stream %s: %w", c.Name, err)
	}
	return s, nil
}

func (m maker) journal(ctx context.Context) (jetstream.Stream, error) {
	most, err := m.journalMaxBytes(ctx)
	if err != nil {
		return nil, err
	}
	return m.findOrMake(ctx, jetstream.StreamConfig{
		Name:        journalStream,
		Description: "Gavel's truth: what was told, in groups of entries. Private.",
		Subjects:    []string{journalPrefix + "*"},
		Storage:     jetstream.FileStorage,
		Discard:     jetstream.DiscardNew,
		MaxBytes:    most,
		MaxMsgSize:  maxMessage,
		Replicas:    m.config.Replicas,
		DenyDelete:  true,
		Metadata:    map[string]string{metadataLanes: strconv.Itoa(m.config.newLanes())},
	})
}

// journalMaxBytes is the bound of a journal that is made now.
func (m maker) journalMaxBytes(ctx context.Context) (int64, error) {
	if m.config.JournalMaxBytes > 0 {
		return m.config.JournalMaxBytes, nil
	}
	if m.room > 0 {
		return m.room, nil
	}
	account, err := m.js.AccountInfo(ctx)
	if err != nil {
		return 0, fmt.Errorf("ask for the limits of the NATS account: %w", err)
	}
	if account.Limits.MaxStore <= 0 {
		return -1, nil
	}
	return account.Limits.MaxStore / int64(m.config.Replicas) / 100 * journalPercent, nil
}

func (m maker) eventsConfig() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:               eventsStream,
		Description:        "What happened in conferences: each fact once, as a CloudEvent.",
		Subjects:           []string{eventsPrefix + "*.*.*"},
		Storage:            jetstream.FileStorage,
		Discard:            jetstream.DiscardOld,
		MaxAge:             newsMaxAge,
		Duplicates:         newsDuplicates,
		Replicas:           m.config.Replicas,
		AllowAtomicPublish: true,
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
		Replicas:          m.config.Replicas,
	}
}

func (m maker) bucket(ctx context.Context) (jetstream.KeyValue, error) {
	kv, err := m.js.KeyValue(ctx, keysBucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		kv, err = m.js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: keysBucket, Description: "Gavel's API keys, hashed.",
			Storage: jetstream.FileStorage, Replicas: m.config.Replicas,
		})
	}
	if err != nil {
		return nil, fmt.Errorf("find or make bucket %s: %w", keysBucket, err)
	}
	return kv, nil
}

// checkJournal returns the number of lanes, or every reason why the journal
// cannot be trusted to keep what it acknowledged.
func checkJournal(have jetstream.StreamConfig, want Config) (lanes int, err error) {
	var faults []error
	for _, c := range journalChecks {
		if c.bad(have) {
			faults = append(faults, errors.New(c.why))
		}
	}
	lanes, err = checkLanes(have.Metadata[metadataLanes], want.Lanes)
	if err != nil {
		faults = append(faults, err)
	}
	if len(faults) > 0 {
		return 0, fmt.Errorf("check %s: %w: %w", journalStream, ErrRefused, errors.Join(faults...))
	}
	return lanes, nil
}

// checkLanes compares the number that the journal was made with to the one
// that was asked for: with another one the conferences would change lanes, and
// two projectors would work the same conference.
func checkLanes(have string, want int) (int, error) {
	n, err := strconv.Atoi(have)
	if err != nil || n < 1 || n > maxLanes {
		return 0, fmt.Errorf("its metadata %q says %q lanes", metadataLanes, have)
	}
	if want != 0 && want != n {
		return 0, fmt.Errorf("it was made with %d lanes and %d were asked for; their number is fixed when the journal is made", n, want)
	}
	return n, nil
}

// journalChecks are the settings by which a journal would lose, change or
// refuse what is told to it.
var journalChecks = []struct {
	why string
	bad func(jetstream.StreamConfig) bool
}{
	{"discard policy is not new: a full journal would drop its oldest entries", func(c jetstream.StreamConfig) bool { return c.Discard != jetstream.DiscardNew }},
	{"retention is not limits: consumers would remove entries", func(c jetstream.StreamConfig) bool { return c.Retention != jetstream.LimitsPolicy }},
	{"it has a maximum age: a clock that jumps would empty it", func(c jetstream.StreamConfig) bool { return c.MaxAge != 0 }},
	{"it has a maximum of messages", func(c jetstream.StreamConfig) bool { return c.MaxMsgs > 0 }},
	{"it has a maximum of messages per subject", func(c jetstream.StreamConfig) bool { return c.MaxMsgsPerSubject > 0 }},
	{"it is not in file storage", func(c jetstream.StreamConfig) bool { return c.Storage != jetstream.FileStorage }},
	{"it allows rollups", func(c jetstream.StreamConfig) bool { return c.AllowRollup }},
	{"it allows messages to be deleted", func(c jetstream.StreamConfig) bool { return !c.DenyDelete }},
	{"it allows messages to expire", func(c jetstream.StreamConfig) bool { return c.AllowMsgTTL || c.SubjectDeleteMarkerTTL != 0 }},
	{"it allows counters or schedules", func(c jetstream.StreamConfig) bool { return c.AllowMsgCounter || c.AllowMsgSchedules }},
	{"its persist mode is async: acknowledged entries would be lost with the process", func(c jetstream.StreamConfig) bool { return c.PersistMode != jetstream.DefaultPersistMode }},
	{"it does not acknowledge", func(c jetstream.StreamConfig) bool { return c.NoAck }},
	{"it is sealed", func(c jetstream.StreamConfig) bool { return c.Sealed }},
	{"it is a mirror or has sources", func(c jetstream.StreamConfig) bool { return c.Mirror != nil || len(c.Sources) > 0 }},
	{"it transforms subjects", func(c jetstream.StreamConfig) bool { return c.SubjectTransform != nil }},
	{"its subjects are not " + journalPrefix + "*", func(c jetstream.StreamConfig) bool { return !slices.Equal(c.Subjects, []string{journalPrefix + "*"}) }},
	{"its maximum message size is too small for a group", func(c jetstream.StreamConfig) bool { return c.MaxMsgSize > 0 && c.MaxMsgSize < maxMessage }},
}

// checkEvents returns every reason why news could not be told once and in
// order on this stream.
func checkEvents(have jetstream.StreamConfig) error {
	var faults []error
	if have.Duplicates < newsDuplicates {
		faults = append(faults, fmt.Errorf("its duplicate window is %v, less than %v", have.Duplicates, newsDuplicates))
	}
	if have.NoAck || have.Sealed || have.Discard != jetstream.DiscardOld {
		faults = append(faults, errors.New("it would not take or not acknowledge news: no_ack, sealed, or discard new"))
	}
	if have.MaxMsgsPerSubject > 0 {
		faults = append(faults, errors.New("it has a maximum of messages per subject"))
	}
	if len(faults) > 0 {
		return fmt.Errorf("check %s: %w: %w", eventsStream, ErrRefused, errors.Join(faults...))
	}
	return nil
}
