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

// Info describes the opened bus, for display.
type Info struct {
	Embedded bool
	// URL is the address of NATS for clients outside this process, without
	// credentials. It is empty if NATS does not listen.
	URL string
	// NotListening is why the embedded server does not listen although it should, or empty.
	NotListening string
	// TokenFile is the path of the file with the clients' token.
	TokenFile string
	Sync      Sync
	Lanes     int
	Replicas  int
	Version   string // of the NATS server
}

// Bus is an open connection to NATS with Gavel's streams.
type Bus struct {
	config Config
	log    *slog.Logger
	server *natsd.Server // nil when external
	conns  connections
	health *health
	store  *Store
	info   Info

	journal     *Journal
	peers       *peers
	lanes       []*Lane
	news        *News
	actions     *Actions
	timers      *Timers
	notices     *Notices
	deadLetters *DeadLetters
	keys        *jet.Guarded
	rules       *jet.Guarded
	brakes      *jet.Guarded
}

// Open starts NATS or connects to it, and creates or checks the streams. It refuses
// streams that could lose messages. It waits up to 30 s for an external server.
func Open(ctx context.Context, c Config, log *slog.Logger) (*Bus, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("open bus: %w", err)
	}
	b := &Bus{config: c, log: log.With("component", "bus")}
	b.store = newStore(c.Metrics, b.log)
	if err := b.open(ctx); err != nil {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeFailedWithin)
		defer cancel()
		return nil, errors.Join(fmt.Errorf("open bus: %w", err), b.Close(closing))
	}
	return b, nil
}

// closeFailedWithin bounds the cleanup after a failed Open.
const closeFailedWithin = 5 * time.Second

func (b *Bus) open(ctx context.Context) error {
	if err := b.connect(ctx); err != nil {
		return err
	}
	made, err := makeStreams(ctx, b.conns.work, b.config, b.server, b.store, b.log)
	if err != nil {
		return err
	}
	if err := b.checkSync(made.journal); err != nil {
		return err
	}
	b.server.KeepDescriptions()
	b.info.Lanes, b.info.Replicas = made.lanes, made.journal.CachedInfo().Config.Replicas
	return b.assemble(made)
}

// connect starts the embedded server if configured, and connects.
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

// checkSync verifies that the configured Sync is in force. Some stream settings turn
// fsync off silently.
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

// connections are three, because a connection delivers in order: reading a million old messages
// must not delay an acknowledgement, nor must the end of one connection affect the others.
type connections struct {
	door *nats.Conn // appends to the journal
	work *nats.Conn // lanes, news, decisions, timers, dead letters, buckets
	read *nats.Conn // replays, timelines, tails
}

// dial opens all connections. After an error call close.
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

// assemble creates the parts of the bus.
func (b *Bus) assemble(made streams) error {
	door, work, read := js(b.conns.door), js(b.conns.work), js(b.conns.read)
	b.health = watch(b.server, made.journal, func(ctx context.Context) error {
		return made.brakes.Put(ctx, roomKey, nil)
	}, b.config, b.store)
	b.journal = newJournal(door, read, made.lanes, b.health, b.config)
	b.peers = newPeers(b.conns.work, made.lanes, b.log)
	var errs [3]error
	b.news, errs[0] = newNews(b.conns.work, made.events, read, b.config, b.log)
	b.actions, errs[1] = newActions(b.conns.work, made.actions, read, made.brakes, b.config, b.log)
	b.timers, errs[2] = newTimers(b.conns.work, b.config, b.log)
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	ahead := &queue{most: b.config.AheadBytes}
	for n := range made.lanes {
		b.lanes = append(b.lanes, newLane(n, b.conns.work, work, b.peers, b.actions.renew, ahead, b.log))
	}
	b.notices = &Notices{b.conns.work}
	b.deadLetters = newDeadLetters(b.conns.work, made.deadLetters, read, b.log)
	b.keys, b.rules, b.brakes = made.keys, made.rules, made.brakes
	return nil
}

// js ignores the error, which only options can cause.
func js(nc *nats.Conn) jetstream.JetStream {
	s, _ := jetstream.New(nc)
	return s
}

// Journal is the log of all that Gavel received.
func (b *Bus) Journal() *Journal { return b.journal }

// Lanes are all lanes of the journal, by number.
func (b *Bus) Lanes() []*Lane { return b.lanes }

// Lane returns lane n of the journal, 0 <= n < Info().Lanes.
func (b *Bus) Lane(n int) *Lane { return b.lanes[n] }

// News is the stream of news for subscribers.
func (b *Bus) News() *News { return b.news }

// Actions is the stream of decisions.
func (b *Bus) Actions() *Actions { return b.actions }

// Timers holds alarms and deferred decisions.
func (b *Bus) Timers() *Timers { return b.timers }

// Notices publishes the notices of rules.
func (b *Bus) Notices() *Notices { return b.notices }

// DeadLetters is the stream of dead letters.
func (b *Bus) DeadLetters() *DeadLetters { return b.deadLetters }

// Keys is the bucket of API keys.
func (b *Bus) Keys() *jet.Guarded { return b.keys }

// Rules is the bucket of rule sets.
func (b *Bus) Rules() *jet.Guarded { return b.rules }

// Brakes is the bucket of the brakes and of the stop.
func (b *Bus) Brakes() *jet.Guarded { return b.brakes }

// Info describes the opened bus.
func (b *Bus) Info() Info { return b.info }

// Healthy returns why the journal cannot accept entries now, or nil. The error wraps
// events.ErrUnavailable.
func (b *Bus) Healthy() error { return b.health.Healthy() }

// Store holds the conditions of the store, and which parts of Gavel they stop.
func (b *Bus) Store() *Store { return b.store }

// Full returns why the volume of the embedded server is full, or nil.
func (b *Bus) Full() error { return b.server.Room() }

// Dead receives one error when the embedded server has been frozen for 5 s: NATS does not leave
// that state until the process restarts. With an external NATS it receives nothing.
func (b *Bus) Dead() <-chan error { return b.health.dead }

// Close closes the bus. The bus must not be used after Close. If ctx expires first,
// call Close again to finish. The order: the journal refuses new entries and stores its
// queue; the other projectors learn that this one leaves; lanes are released, so that
// others claim them at once; then connections, and last the server.
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
		step("release lane", l.Close(ctx))
	}
	if b.health != nil {
		step("stop the watchdog", b.health.close(ctx))
	}
	b.conns.close()
	step("stop the server", b.server.Stop(ctx))
	return errors.Join(errs...)
}
