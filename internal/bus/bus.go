package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Embedded is the Config.URL that asks for a server in this process.
const Embedded = "embedded"

// ListenOff is the Config.Listen of an embedded server that nobody outside
// this process reaches.
const ListenOff = "off"

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
type TLS struct{ CA, Cert, Key string }

func (c Config) withDefaults() Config {
	embedded := c.URL == "" || c.URL == Embedded
	if embedded {
		c.URL, c.Replicas = Embedded, 1
	}
	setDefault(&c.Sync, choose(embedded, SyncAlways, SyncInterval))
	setDefault(&c.Replicas, 3)
	setDefault(&c.AppendBudget, appendBudget)
	if c.Metrics == nil {
		c.Metrics = NewMetrics(nil)
	}
	return c
}

func (c Config) embedded() bool { return c.URL == Embedded }

func setDefault[T comparable](v *T, to T) {
	if *v == *new(T) {
		*v = to
	}
}

func choose[T any](first bool, a, b T) T {
	if first {
		return a
	}
	return b
}

func (c Config) validate() error {
	var faults []error
	if c.Sync != SyncAlways && c.Sync != SyncInterval {
		faults = append(faults, fmt.Errorf("sync is %q, not %q or %q", c.Sync, SyncAlways, SyncInterval))
	}
	if c.Lanes < 0 || c.Lanes > maxLanes {
		faults = append(faults, fmt.Errorf("lanes are %d, not 1 to %d", c.Lanes, maxLanes))
	}
	if c.Replicas < 1 || c.Replicas > maxReplicas {
		faults = append(faults, fmt.Errorf("replicas are %d, not 1 to %d", c.Replicas, maxReplicas))
	}
	if c.embedded() && c.DataDir == "" {
		faults = append(faults, errors.New("the embedded NATS server needs a data directory"))
	}
	return errors.Join(faults...)
}

// Info says what was opened, for people.
type Info struct {
	Embedded bool
	// URL is where clients outside this process reach NATS, without
	// credentials; empty: nowhere.
	URL string
	// NotListening says why an embedded server that was asked to listen does
	// not; empty when it does.
	NotListening string
	// TokenFile holds the token that such clients need.
	TokenFile string
	Sync      Sync
	Lanes     int
	Replicas  int
	Version   string // of the NATS server
}

// Bus is an open way to NATS.
type Bus struct {
	config Config
	log    *slog.Logger
	server *embedded // nil when external
	conns  connections
	health *health
	info   Info

	journal     *Journal
	lanes       []*Lane
	news        *News
	deadLetters *DeadLetters
	keys        *Bucket
}

// Open starts or connects to NATS, makes or checks the streams, and refuses
// what would lose something. It waits up to 30 s for an external server.
func Open(ctx context.Context, c Config, log *slog.Logger) (*Bus, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("open bus: %w", err)
	}
	b := &Bus{config: c, log: log.With("component", "bus")}
	if err := b.open(ctx); err != nil {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeFailedWithin)
		defer cancel()
		return nil, errors.Join(fmt.Errorf("open bus: %w", err), b.Close(closing))
	}
	return b, nil
}

// closeFailedWithin bounds the clearing up after an Open that failed.
const closeFailedWithin = 5 * time.Second

func (b *Bus) open(ctx context.Context) error {
	if err := b.connect(ctx); err != nil {
		return err
	}
	made, err := makeStreams(ctx, b.conns.work, b.config, b.server.journalRoom())
	if err != nil {
		return err
	}
	if err := b.checkSync(made.journal); err != nil {
		return err
	}
	b.info.Lanes, b.info.Replicas = made.lanes, made.journal.CachedInfo().Config.Replicas
	return b.assemble(made)
}

// connect starts the embedded server if there is to be one.
func (b *Bus) connect(ctx context.Context) (err error) {
	var in nats.InProcessConnProvider
	if b.config.embedded() {
		if b.server, err = startServer(b.config, b.log); err != nil {
			return err
		}
		in = b.server.Server
	}
	if b.conns, err = dial(ctx, b.config, in, b.server.secret(), b.log); err != nil {
		return err
	}
	b.info = b.server.info()
	b.info.Sync, b.info.Version = b.config.Sync, b.conns.door.ConnectedServerVersion()
	if !b.config.embedded() {
		b.info.URL = b.conns.door.ConnectedUrlRedacted()
	}
	return nil
}

// assemble puts the parts on their connections.
func (b *Bus) assemble(made streams) error {
	door, work, read := js(b.conns.door), js(b.conns.work), js(b.conns.read)
	b.health = watch(b.server, made.journal, b.config, b.log)
	b.journal = newJournal(door, read, made.lanes, b.health, b.config)
	for n := range made.lanes {
		b.lanes = append(b.lanes, newLane(n, b.conns.work, work, b.config.Replicas, b.log))
	}
	var err error
	if b.news, err = newNews(b.conns.work, made.events, read, b.config, b.log); err != nil {
		return err
	}
	b.deadLetters = newDeadLetters(b.conns.work, b.log)
	b.keys = &Bucket{made.keys}
	return nil
}

// js never fails: it is given no options.
func js(nc *nats.Conn) jetstream.JetStream {
	s, _ := jetstream.New(nc)
	return s
}

// Journal is the log of what we were told.
func (b *Bus) Journal() *Journal { return b.journal }

// Lanes are all lanes of the journal, by number.
func (b *Bus) Lanes() []*Lane { return b.lanes }

// Lane returns lane n of the journal, 0 <= n < Info().Lanes.
func (b *Bus) Lane(n int) *Lane { return b.lanes[n] }

// News is what subscribers are told.
func (b *Bus) News() *News { return b.news }

// DeadLetters is where what cannot go on is kept.
func (b *Bus) DeadLetters() *DeadLetters { return b.deadLetters }

// Keys is the bucket of API keys.
func (b *Bus) Keys() *Bucket { return b.keys }

// Info says what was opened.
func (b *Bus) Info() Info { return b.info }

// Healthy is nil, or why the journal is known to take nothing now. Such errors
// wrap events.ErrUnavailable.
func (b *Bus) Healthy() error { return b.health.Healthy() }

// Dead gets one error when the embedded server has stayed frozen for so long
// that only a new process can help: NATS never leaves that state by itself. It
// stays silent for an external NATS.
func (b *Bus) Dead() <-chan error { return b.health.dead }

// Close ends everything, in this order: the journal takes nothing more and
// finishes what it has; the lanes are given free, so that another process
// takes them at once; connections; the server last, because all the others
// need it. Nobody may use the bus any more when it is called. What ctx did not
// leave time for it tries again when it is called again.
func (b *Bus) Close(ctx context.Context) error {
	var errs []error
	step := func(what string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("close bus: %s: %w", what, err))
		}
	}
	if b.journal != nil {
		step("finish the journal", b.journal.close(ctx))
	}
	for _, l := range b.lanes {
		step("give lane free", l.Close(ctx))
	}
	if b.health != nil {
		step("end the watchdog", b.health.close(ctx))
	}
	b.conns.close()
	step("stop the server", b.server.stop(ctx))
	return errors.Join(errs...)
}
