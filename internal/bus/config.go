package bus

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"gavel/internal/bus/natsd"
)

// Embedded is the Config.URL of a server in this process.
const Embedded = "embedded"

// ListenOff as Config.Listen keeps clients outside this process away.
const ListenOff = natsd.ListenOff

// ErrInUse means that another process uses the data directory. Two servers would destroy one store.
var ErrInUse = natsd.ErrInUse

// Sync is when NATS acknowledges a message.
type Sync string

// SyncAlways acknowledges a message after fsync, so that it survives a power cut.
// SyncInterval acknowledges a message in the page cache, so that it survives the end of
// any process; a power cut may lose the messages of the server's sync interval, two
// minutes by default, and a stream younger than that completely.
const (
	SyncAlways   Sync = "always"
	SyncInterval Sync = "interval"
)

// Config selects and configures NATS. Zero fields mean the default.
type Config struct {
	// URL is Embedded (the default) or the URLs of an external NATS, separated by commas.
	URL string
	// DataDir holds the embedded server's files and its token.
	DataDir string
	// Listen is the host:port of the embedded server for clients outside this
	// process. Empty is ListenOff.
	Listen string
	// Sync configures an embedded server (default SyncAlways). For an external
	// server it is a declaration that a client cannot check (default SyncInterval).
	Sync Sync
	// Lanes of the journal, fixed when it is created: 1 embedded, 8 external. A
	// journal with another number is refused; zero accepts any number.
	Lanes int
	// Replicas of every stream: 1 embedded (and nothing else there), 3 external.
	Replicas int
	// JournalMaxBytes bounds the journal; an existing one only gets a higher limit by it. Default: 70 %
	// of what is free and what the store uses, embedded;
	// on an external NATS 70 % of the account's limit, or unlimited without one.
	JournalMaxBytes int64
	// VolumeBytes is the assumed size of the embedded server's volume; 0 means the
	// size that the file system reports. All streams together hold at most 90 %.
	VolumeBytes int64
	// AppendBudget bounds an append from the arrival of its group's first entry:
	// 12 s, because Twilio waits 15 s for an answer.
	AppendBudget time.Duration
	// QueueBytes bounds the entries that wait for the journal, by default at the constant of that
	// name. An entry beyond it is refused with events.ErrUnavailable.
	QueueBytes int64
	// AheadBytes bounds the data of groups that NATS has delivered and a projector has not begun, by
	// default at the constant of that name. What exceeds it is read again when it is its turn.
	AheadBytes int64
	// Credentials is the path of a NATS credentials file.
	Credentials string
	// TLS holds paths of PEM files for the connection to an external NATS.
	TLS TLS
	// Reserve keeps a little of the embedded server's volume occupied, so that it can start when the
	// volume is full.
	Reserve bool
	// Rearms: the lanes of this process set all alarms of conferences again, so those that the embedded
	// server still has are removed at the start. One that is damaged would freeze its stream.
	Rearms bool
	// Acknowledged is called with each group of the journal that NATS acknowledged to this process, in
	// the order of its lane and before the callers of Append return. It may be nil, and must not block.
	Acknowledged func(lane int, sequence uint64, data []byte)
	// AcknowledgedDecision is called with the newest of some decisions that NATS acknowledged to this
	// process. It may be nil, and must not block.
	AcknowledgedDecision func(sequence uint64, data []byte)
	// Metrics may be nil.
	Metrics *Metrics
}

// TLS holds paths of PEM files. If all are empty, the URL's scheme decides.
type TLS = natsd.TLS

func (c Config) withDefaults() Config {
	c.URL = cmp.Or(c.URL, Embedded)
	if c.embedded() {
		c.Sync, c.Replicas = cmp.Or(c.Sync, SyncAlways), 1
	}
	c.Sync = cmp.Or(c.Sync, SyncInterval)
	c.Replicas = cmp.Or(c.Replicas, externalReplicas)
	c.AppendBudget = cmp.Or(c.AppendBudget, appendBudget)
	c.QueueBytes = cmp.Or(c.QueueBytes, QueueBytes)
	c.AheadBytes = cmp.Or(c.AheadBytes, AheadBytes)
	if c.Metrics == nil {
		c.Metrics = NewMetrics(nil)
	}
	return c
}

func (c Config) embedded() bool { return c.URL == Embedded }

// server returns the options of the embedded server.
func (c Config) server() natsd.Options {
	return natsd.Options{
		DataDir: c.DataDir, Listen: c.Listen, SyncAlways: c.Sync == SyncAlways, MaxPayload: maxPayload,
		VolumeBytes: c.VolumeBytes, StorePercent: storePercent, Reserve: c.Reserve,
	}
}

// target returns the server to connect to; server is the embedded one, or nil.
func (c Config) target(server *natsd.Server) natsd.Target {
	return natsd.Target{Server: server, URL: c.URL, Credentials: c.Credentials, TLS: c.TLS}
}

// newLanes is the number of lanes of a new journal.
func (c Config) newLanes() int {
	if c.embedded() {
		return cmp.Or(c.Lanes, embeddedLanes)
	}
	return cmp.Or(c.Lanes, externalLanes)
}

func (c Config) validate() error {
	var faults []error
	if c.Sync != SyncAlways && c.Sync != SyncInterval {
		faults = append(faults, fmt.Errorf("sync is %q, not %q or %q", c.Sync, SyncAlways, SyncInterval))
	}
	if c.Lanes < 0 || c.Lanes > MaxLanes {
		faults = append(faults, fmt.Errorf("lanes are %d, not 1 to %d", c.Lanes, MaxLanes))
	}
	if c.Replicas < 1 || c.Replicas > MaxReplicas {
		faults = append(faults, fmt.Errorf("replicas are %d, not 1 to %d", c.Replicas, MaxReplicas))
	}
	if c.embedded() && c.DataDir == "" {
		faults = append(faults, errors.New("the embedded NATS server needs a data directory"))
	}
	return errors.Join(faults...)
}
