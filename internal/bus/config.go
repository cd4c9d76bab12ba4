package bus

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"gavel/internal/bus/natsd"
)

// Embedded is the Config.URL that asks for a server in this process.
const Embedded = "embedded"

// ListenOff is the Config.Listen of an embedded server that is reached only from
// inside this process.
const ListenOff = natsd.ListenOff

// ErrInUse means that another process has the data directory. Two servers on
// one store would destroy it.
var ErrInUse = natsd.ErrInUse

// Sync says what an acknowledgement of NATS is worth.
type Sync string

// SyncAlways: on disk (fsync) before it is acknowledged, so that it survives a
// power cut. SyncInterval: in the page cache, so that it survives the end of
// any process; a power cut may lose up to the server's sync interval, two
// minutes by default, and of a stream younger than that everything.
const (
	SyncAlways   Sync = "always"
	SyncInterval Sync = "interval"
)

// Config says which NATS to use and how. Zero fields mean the default.
type Config struct {
	// URL is Embedded (the default) or the URLs of an external NATS,
	// separated by commas.
	URL string
	// DataDir holds the embedded server's files and its token.
	DataDir string
	// Listen is the host:port where the embedded server can be reached from
	// outside this process; empty or ListenOff: nowhere.
	Listen string
	// Sync is put in force on an embedded server (default SyncAlways). Of an
	// external one it is a declaration: nothing lets a client check it.
	// Default there SyncInterval.
	Sync Sync
	// Lanes of the journal, fixed when it is made: 1 embedded, 8 external. A
	// journal with another number is refused; zero takes what it has.
	Lanes int
	// Replicas of every stream: 1 embedded (and nothing else there), 3
	// external.
	Replicas int
	// JournalMaxBytes bounds a journal that is made now: 70 % of the volume
	// embedded; on an external NATS 70 % of what the account may store, or
	// nothing where it has no limit.
	JournalMaxBytes int64
	// VolumeBytes is the size that the embedded server takes its volume to have;
	// 0 asks the file system. Its streams together hold at most 90 % of it.
	VolumeBytes int64
	// AppendBudget is how long an append tries, from the arrival of its
	// group's first entry: 12 s, because Twilio waits 15 s for an answer.
	AppendBudget time.Duration
	// Credentials is the path of a NATS credentials file.
	Credentials string
	// TLS are paths of PEM files for the connection to an external NATS.
	TLS TLS
	// Metrics may be nil.
	Metrics *Metrics
}

// TLS are paths of PEM files. With none set the URL's scheme decides.
type TLS = natsd.TLS

func (c Config) withDefaults() Config {
	c.URL = cmp.Or(c.URL, Embedded)
	if c.embedded() {
		c.Sync, c.Replicas = cmp.Or(c.Sync, SyncAlways), 1
	}
	c.Sync = cmp.Or(c.Sync, SyncInterval)
	c.Replicas = cmp.Or(c.Replicas, externalReplicas)
	c.AppendBudget = cmp.Or(c.AppendBudget, appendBudget)
	if c.Metrics == nil {
		c.Metrics = NewMetrics(nil)
	}
	return c
}

func (c Config) embedded() bool { return c.URL == Embedded }

// server are the options of the embedded server.
func (c Config) server() natsd.Options {
	return natsd.Options{
		DataDir: c.DataDir, Listen: c.Listen, SyncAlways: c.Sync == SyncAlways, MaxPayload: maxPayload,
		VolumeBytes: c.VolumeBytes, StorePercent: storePercent,
	}
}

// target is where to connect to; server is the embedded one, or nil.
func (c Config) target(server *natsd.Server) natsd.Target {
	return natsd.Target{Server: server, URL: c.URL, Credentials: c.Credentials, TLS: c.TLS}
}

// newLanes is the number of lanes of a journal that is made now.
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
