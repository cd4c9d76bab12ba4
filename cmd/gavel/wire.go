package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"gavel/events"
	"gavel/handlers/act"
	"gavel/handlers/announce"
	"gavel/handlers/api"
	"gavel/handlers/callback"
	"gavel/handlers/project"
	"gavel/handlers/rest"
	"gavel/internal/brakes"
	"gavel/internal/bus"
	"gavel/internal/format"
	"gavel/internal/keys"
	"gavel/internal/rulebook"
	"gavel/internal/twilio"
	"gavel/projections"
	"gavel/projections/ministore"
)

// app is one running process. Its parts are made in the order of the fields
// and stopped in the opposite one; a part that the roles do not need is nil.
type app struct {
	config
	log      *slog.Logger
	metrics  *prometheus.Registry
	life     lifecycle
	failed   chan error // a part that ended by itself; the first one counts
	public   *front
	admin    *front // the same as public unless there is an --admin-listen
	accounts *twilio.Accounts
	twilio   *twilio.Client
	bus      *bus.Bus
	store    projections.Store
	keys     *keys.Keys
	rules    *rulebook.Book
	brakes   *brakes.Brakes
	project  *project.Projector
	door     *callback.Door
	// announcements are what Twilio plays because a rule said so.
	announcements *announce.Handler
	performer     *act.Performer
	rest          *rest.Handler
	api           *api.API
	ready         *readiness
}

// start makes everything and begins to serve. What was made before a failure
// is stopped again.
func start(ctx context.Context, c config, log *slog.Logger) (*app, error) {
	a := &app{
		config:   c,
		log:      log,
		life:     lifecycle{log: log},
		failed:   make(chan error, 1),
		accounts: new(twilio.Accounts),
	}
	if err := a.wire(ctx); err != nil {
		return nil, errors.Join(err, a.life.stop(ctx))
	}
	return a, nil
}

// wire is the composition root. Its order is the order of start:
// listeners first, so that a port that is taken is noticed before anything is
// touched; the door and the readers last, because they need all the others.
func (a *app) wire(ctx context.Context) error {
	a.countRuntime()
	for _, step := range []func(context.Context) error{
		a.listen,
		a.openDataDir,
		a.openBus,
		a.openStore,
		a.openKeys,
		a.openRules,
		a.openProjector,
		a.openAlarms,
		a.openDoor,
		a.openAnnouncements,
		a.openTwilio,
		a.openPerformer,
		a.openReaders,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	a.ready = newReadiness(a)
	a.serve()
	// The last one started is the first one stopped: whoever asks /readyz sends
	// nothing more while the process still answers.
	a.life.onStop("readiness", a.ready.stop)
	return nil
}

func (a *app) countRuntime() {
	a.metrics = prometheus.NewRegistry()
	a.metrics.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
}

// listen binds the ports. Only then is the public URL known, if it is made of
// one.
func (a *app) listen(ctx context.Context) (err error) {
	if a.public, err = a.bind(ctx, a.Listen); err != nil {
		return err
	}
	a.admin = a.public
	if a.AdminListen != "" {
		if a.admin, err = a.bind(ctx, a.AdminListen); err != nil {
			return err
		}
	}
	if a.PublicURL == "" {
		a.PublicURL = "http://" + reachable(a.public.Addr())
	}
	return nil
}

func (a *app) bind(ctx context.Context, address string) (*front, error) {
	f, err := startFront(ctx, address)
	if err != nil {
		return nil, err
	}
	a.life.onStop("listener "+address, f.stop)
	return f, nil
}

// reachable is an address of this machine for a listener on all of them.
func reachable(address net.Addr) string {
	tcp, ok := address.(*net.TCPAddr)
	if ok && tcp.IP.IsUnspecified() {
		return fmt.Sprintf("127.0.0.1:%d", tcp.Port)
	}
	return address.String()
}

// openDataDir makes the folder, which only this user may read. It refuses a demo's
// folder, where the demo's rules are in force and live, and one of a newer format.
func (a *app) openDataDir(context.Context) error {
	if a.Presets == nil && exists(filepath.Join(a.DataDir, demoMark)) {
		return fmt.Errorf("data directory %s is a demo's; --data-dir names another one", a.DataDir)
	}
	if err := os.MkdirAll(a.DataDir, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w; --data-dir names another one", err)
	}
	if err := format.Claim(a.DataDir); err != nil {
		return fmt.Errorf("data directory %s: %w, or name another one with --data-dir", a.DataDir, err)
	}
	return nil
}

func (a *app) openBus(ctx context.Context) (err error) {
	a.bus, err = bus.Open(ctx, bus.Config{
		URL:             a.NATS.URL,
		DataDir:         a.DataDir,
		Listen:          a.NATS.Listen,
		Sync:            bus.Sync(a.NATS.Sync),
		Lanes:           a.NATS.Lanes,
		Replicas:        a.NATS.Replicas,
		JournalMaxBytes: a.NATS.JournalMaxBytes,
		AppendBudget:    callback.AppendBudget,
		Credentials:     a.NATS.Credentials,
		TLS:             bus.TLS(a.NATS.TLS),
		Metrics:         bus.NewMetrics(a.metrics),
	}, a.log)
	if err != nil {
		return hintReplicas(err)
	}
	a.life.onStop("bus", a.bus.Close)
	// A frozen embedded NATS recovers in a new process only, so this one ends.
	a.work("bus watchdog", func(ctx context.Context) error {
		select {
		case err := <-a.bus.Dead():
			return err
		case <-ctx.Done():
			return nil
		}
	})
	a.watchDeadLetters()
	return nil
}

// hintReplicas adds what to do to the one refusal that everybody meets who
// tries a single NATS server: streams have three replicas unless told otherwise.
func hintReplicas(err error) error {
	const notClustered = "err_code=10074" // NATS: replicas > 1 not supported in non-clustered mode
	if strings.Contains(err.Error(), notClustered) {
		return fmt.Errorf("%w; for a single server set nats.replicas: 1 in gavel.yaml", err)
	}
	return err
}

// watchDeadLetters logs and counts each letter once, so that a person hears of
// them without looking.
func (a *app) watchDeadLetters() {
	letters := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gavel_dead_letters_total", Help: "Dead letters seen, by kind.",
	}, []string{"kind"})
	a.metrics.MustRegister(letters)
	seen := func(letter events.DeadLetter) error {
		letters.WithLabelValues(letter.Kind).Inc()
		a.log.Warn("dead letter", "kind", letter.Kind, "account_sid", letter.AccountSid,
			"field", letter.Field, "reason", letter.Reason, "position", letter.Position)
		return nil
	}
	a.work("dead letters", func(ctx context.Context) error { return a.bus.DeadLetters().Watch(ctx, seen) })
}

// openStore opens the picture for those who write or read it.
func (a *app) openStore(ctx context.Context) (err error) {
	if !a.Roles.has(roleProject) && !a.Roles.has(roleServe) && !a.Roles.has(roleAct) {
		return nil
	}
	if a.Redis.embedded() {
		a.store, err = ministore.Open(ministore.NewRedis(), a.bus.Info().Lanes, a.log.With("component", "store"))
	} else {
		a.store, err = a.openRedis(ctx)
	}
	if err != nil {
		return fmt.Errorf("open the picture: %w", err)
	}
	a.life.onStop("store", func(context.Context) error { return a.store.Close() })
	return nil
}

// openKeys lets the accounts' tokens and the API keys in, and makes the first
// key for the command line.
func (a *app) openKeys(ctx context.Context) (err error) {
	if len(a.Accounts) > 0 {
		if err := a.accounts.Replace(a.config.Accounts); err != nil {
			return err
		}
	}
	if !a.Roles.has(roleServe) {
		return nil
	}
	log := a.log.With("component", "keys")
	if a.keys, err = keys.Open(ctx, a.bus.Keys(), a.tokensOf, log); err != nil {
		return err
	}
	made, err := a.keys.EnsureFirst(ctx, a.keyFile())
	if err != nil {
		return err
	}
	if made {
		log.Info("first API key made", "file", a.keyFile())
	}
	a.work("keys", func(ctx context.Context) error { a.keys.Run(ctx); return nil })
	return nil
}

func (a *app) keyFile() string { return filepath.Join(a.DataDir, keyFileName) }

// tokensOf are the tokens with which an account may come as itself.
func (a *app) tokensOf(accountSid string) []string {
	account, ok := a.accounts.Lookup(accountSid)
	if !ok {
		return nil
	}
	ring := account.Tokens
	return []string{ring.Current.Reveal(), ring.Next.Reveal(), ring.Previous.Reveal()}
}

func (a *app) openProjector(context.Context) error {
	if !a.Roles.has(roleProject) {
		return nil
	}
	lanes := make([]project.Lane, 0, a.bus.Info().Lanes)
	for _, lane := range a.bus.Lanes() {
		lanes = append(lanes, lane)
	}
	a.project = project.New(project.Config{
		Lanes:       lanes,
		Journal:     a.bus.Journal(),
		Store:       a.store,
		News:        a.bus.News(),
		DeadLetters: a.bus.DeadLetters(),
		RuleBook:    a.rules,
		Actions:     a.bus.Actions(),
		Timers:      a.bus.Timers(),
		Listing:     a.store,
		Keep:        a.Keep,
		Log:         a.log,
		Metrics:     project.NewMetrics(a.metrics),
		Now:         time.Now,
	})
	a.work("projector", a.project.Run)
	return nil
}

func (a *app) openDoor(context.Context) (err error) {
	if !a.Roles.has(roleDoor) {
		return nil
	}
	a.door, err = callback.New(callback.Config{
		PublicURL:   a.PublicURL,
		Accounts:    a.accounts,
		Journal:     a.bus.Journal(),
		DeadLetters: a.bus.DeadLetters(),
		Speech:      a.Speech.policy(),
		Log:         a.log.With("component", "door"),
		Metrics:     callback.NewMetrics(a.metrics),
		Now:         time.Now,
	})
	if err != nil {
		return err
	}
	a.life.onStop("door", a.door.Close)
	return nil
}

// openTwilio makes what asks Twilio in the accounts' names.
func (a *app) openTwilio(context.Context) error {
	if !a.Roles.has(roleServe) && !a.Roles.has(roleAct) {
		return nil
	}
	a.twilio = twilio.NewClient(twilio.ClientConfig{
		Base:     a.TwilioAPI,
		Accounts: a.accounts,
		Metrics:  twilio.NewClientMetrics(a.metrics),
	})
	a.life.onStop("calls to Twilio", func(context.Context) error { a.twilio.Close(); return nil })
	return nil
}

// openReaders makes what answers questions, and hands writes to Twilio.
func (a *app) openReaders(context.Context) error {
	if !a.Roles.has(roleServe) {
		return nil
	}
	a.rest = rest.New(rest.Config{
		Reader:  a.store,
		Auth:    a.keys,
		Journal: a.bus.Journal(),
		Twilio:  a.twilio,
		Now:     time.Now,
		Log:     a.log.With("component", "rest"),
		Metrics: rest.NewMetrics(a.metrics),
	})
	a.api = api.New(api.Config{
		Reader:      a.store,
		Auth:        a.keys,
		Keys:        a.keys,
		Timeline:    a.bus.News(),
		Tail:        a.bus.News(),
		Accounts:    a.accounts,
		Journal:     a.bus.Journal(),
		Rules:       a.rules,
		Brakes:      a.brakes,
		Switch:      a.brakes,
		Lanes:       a.bus,
		Decisions:   a.bus.Actions(),
		DeadLetters: letters{a.bus.DeadLetters()},
		Redrive:     redriverOf(a.performer),
		Rebuild:     rebuilderOf(a.project),
		Version:     a.versions(),
		Now:         time.Now,
		Log:         a.log.With("component", "api"),
		Metrics:     api.NewMetrics(a.metrics),
	})
	return nil
}

// versions are those of this process; the NATS that counts is the one it talks
// to.
func (a *app) versions() api.Version {
	v := versions()
	v.NATS = a.bus.Info().Version
	return v
}

// rebuilderOf is nil, not an interface of nil, in a process that does not
// project.
func rebuilderOf(p *project.Projector) api.Rebuilder {
	if p == nil {
		return nil
	}
	return p
}

// redriverOf is the same in a process that does not act.
func redriverOf(p *act.Performer) api.Redriver {
	if p == nil {
		return nil
	}
	return redriver{p}
}

// policy is the setting in the door's terms.
func (s speech) policy() callback.SpeechPolicy {
	if s.drop {
		return callback.DropSpeech
	}
	return callback.SampleSpeech(s.sample)
}
