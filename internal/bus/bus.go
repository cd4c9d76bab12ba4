package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"gavel/internal/bus/jet"
	"gavel/internal/bus/natsd"
)

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
	server *natsd.Server // nil when external
	conns  connections
	health *health
	info   Info

	journal     *Journal
	peers       *peers
	lanes       []*Lane
	news        *News
	actions     *Actions
	timers      *Timers
	notices     *Notices
	deadLetters *DeadLetters
	keys        *jet.Bucket
	rules       *jet.Bucket
	brakes      *jet.Bucket
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
	made, err := makeStreams(ctx, b.conns.work, b.config, b.server.VolumeBytes(), b.log)
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
	if b.config.embedded() {
		if b.server, err = natsd.Start(b.config.server(), b.log); err != nil {
			return err
		}
	}
	if err := b.conns.dial(ctx, b.config.target(b.server), b.log); err != nil {
		return err
	}
	b.info = Info{Sync: b.config.Sync, Version: b.conns.door.ConnectedServerVersion()}
	if b.server != nil {
		b.info.Embedded = true
		b.info.URL, b.info.TokenFile, b.info.NotListening = b.server.Clients()
	} else {
		b.info.URL = natsd.WithoutSecrets(b.conns.door.ConnectedUrl())
	}
	return natsd.CheckVersion(b.info.Version)
}

// checkSync reads back whether what was asked for is in force. Some stream
// settings turn fsync off without a word.
func (b *Bus) checkSync(journal jetstream.Stream) error {
	if b.config.Sync != SyncAlways || b.server == nil {
		return nil
	}
	if mode := journal.CachedInfo().Config.PersistMode; mode != jetstream.DefaultPersistMode {
		return fmt.Errorf("sync %q is not in force: the journal has persist mode %q", SyncAlways, mode)
	}
	if !b.server.SyncsAlways() {
		return fmt.Errorf("sync %q is not in force on the embedded NATS server", SyncAlways)
	}
	return nil
}

// connections are three, because each is one pipe: reading a million old
// messages must not hold up an acknowledgement, and ending one must not hurt
// the others.
type connections struct {
	door *nats.Conn // appends to the journal
	work *nats.Conn // lanes, news, decisions, timers, dead letters, buckets
	read *nats.Conn // replays, timelines, tails
}

// dial makes them; after an error close ends those that were made.
func (c *connections) dial(ctx context.Context, to natsd.Target, log *slog.Logger) (err error) {
	for name, conn := range map[string]**nats.Conn{"gavel door": &c.door, "gavel work": &c.work, "gavel read": &c.read} {
		if *conn, err = to.Dial(ctx, name, log); err != nil {
			return err
		}
	}
	return nil
}

func (c *connections) close() {
	for _, conn := range []*nats.Conn{c.door, c.work, c.read} {
		if conn != nil {
			conn.Close()
		}
	}
}

// assemble puts the parts on their connections.
func (b *Bus) assemble(made streams) error {
	door, work, read := js(b.conns.door), js(b.conns.work), js(b.conns.read)
	b.health = watch(b.server, made.journal, func(ctx context.Context) error {
		return made.brakes.Put(ctx, roomKey, nil)
	}, b.config, b.log)
	b.journal = newJournal(door, read, made.lanes, b.health, b.config)
	b.peers = newPeers(b.conns.work, made.lanes, b.log)
	for n := range made.lanes {
		b.lanes = append(b.lanes, newLane(n, b.conns.work, work, b.peers, b.log))
	}
	var err error
	if b.news, err = newNews(b.conns.work, made.events, read, b.config, b.log); err != nil {
		return err
	}
	if b.actions, err = newActions(b.conns.work, made.actions, read, b.config, b.log); err != nil {
		return err
	}
	if b.timers, err = newTimers(b.conns.work, b.config, b.log); err != nil {
		return err
	}
	b.notices = &Notices{b.conns.work}
	b.deadLetters = newDeadLetters(b.conns.work, made.deadLetters, read, b.log)
	b.keys, b.rules, b.brakes = made.keys, made.rules, made.brakes
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

// Actions is what rules decided.
func (b *Bus) Actions() *Actions { return b.actions }

// Timers ring when something is to be looked at again.
func (b *Bus) Timers() *Timers { return b.timers }

// Notices is what rules tell others on NATS.
func (b *Bus) Notices() *Notices { return b.notices }

// DeadLetters is where what cannot go on is kept.
func (b *Bus) DeadLetters() *DeadLetters { return b.deadLetters }

// Keys is the bucket of API keys.
func (b *Bus) Keys() *jet.Bucket { return b.keys }

// Rules is the bucket of sets of rules.
func (b *Bus) Rules() *jet.Bucket { return b.rules }

// Brakes is the bucket of what rules were let do, and of the stop.
func (b *Bus) Brakes() *jet.Bucket { return b.brakes }

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
// finishes what it has; the other projectors hear that we go, and the lanes are
// given free, so that they take them at once; connections; the server last, because all the others
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
	if b.peers != nil {
		b.peers.leave()
	}
	for _, l := range b.lanes {
		step("give lane free", l.Close(ctx))
	}
	if b.health != nil {
		step("end the watchdog", b.health.close(ctx))
	}
	b.conns.close()
	step("stop the server", b.server.Stop(ctx))
	return errors.Join(errs...)
}
