package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alecthomas/kong"

	"gavel/app"
	"gavel/cmd/gavel/render"
	"gavel/internal/bus"
	"gavel/internal/keys"
	"gavel/internal/twilio"
	"gavel/internal/twilio/twiliofake"
)

// demoCommand is a Gavel that a stand-in Twilio calls. Its rules are live and its
// conferences are made up, so it must never use the stores of another Gavel: no
// flag, environment variable or settings file can name one.
type demoCommand struct {
	Listen     string        `default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Where HTTP is served (default ${default})."`
	DataDir    string        `placeholder:"DIR" help:"Data directory: an empty folder, or one of an earlier demo (default: a temporary one)."`
	NATSListen string        `name:"nats-listen" default:"127.0.0.1:4222" placeholder:"HOST:PORT" help:"Where the embedded NATS can be reached, or off (default ${default})."`
	LogLevel   slog.Level    `default:"warn" env:"GAVEL_LOG_LEVEL" placeholder:"LEVEL" help:"debug, info, warn or error (default ${default})."`
	LogFormat  string        `default:"text" enum:"text,json" env:"GAVEL_LOG_FORMAT" placeholder:"text|json" help:"Format of log lines (default ${default})."`
	For        time.Duration `placeholder:"DURATION" help:"Stop after this long (default: until Ctrl-C)."`
	floorFlags

	AdminListen serveOnly `hidden:""`
	PublicURL   serveOnly `hidden:""`
	NATS        serveOnly `name:"nats" hidden:""`
	Sync        serveOnly `hidden:""`
	Redis       serveOnly `hidden:""`
	Keep        serveOnly `hidden:""`
	Roles       serveOnly `hidden:""`
	Rules       serveOnly `hidden:""`
	TwilioAPI   serveOnly `name:"twilio-api" hidden:""`
}

// serveOnly is a flag of serve that the demo refuses.
type serveOnly struct{}

var errServeOnly = errors.New("the demo uses only its own stores, rules and account, because its rules are live; `gavel serve` has this setting")

// Decode refuses the flag.
func (*serveOnly) Decode(*kong.DecodeContext) error { return errServeOnly }

// The account whose token the stand-in signs with.
const (
	demoAccountSid = "AC00000000000000000000000000000000"
	demoAuthToken  = "00000000000000000000000000000000"
)

// Run plays until --for runs out or ctx ends.
func (c *demoCommand) Run(ctx context.Context, root *cli, t *terminal) (err error) {
	if err := c.check(); err != nil {
		return usageError{err}
	}
	if len(root.ignored) > 0 {
		fmt.Fprintf(t.out, "The demo uses only its own stores; it ignores %s.\n", strings.Join(root.ignored, ", "))
	}
	if c.DataDir == "" {
		folder, err := os.MkdirTemp("", "gavel-demo-")
		if err != nil {
			return fmt.Errorf("make a temporary data directory: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
		c.DataDir = folder
	}
	c.Listen = freeAddress(ctx, c.Listen, t.out)
	standIn, err := app.Listen(ctx, "127.0.0.1:0", 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, standIn.Stop(context.WithoutCancel(ctx))) }()
	options, err := c.options("http://" + standIn.Address())
	if err != nil {
		return err
	}
	options.MemoryLimit = app.TuneMemory(t.lookup)
	options.Log, options.Version = logFlags{c.LogLevel, c.LogFormat}.logger(t.err), versions()
	a, err := app.New(ctx, options)
	if err != nil {
		return err
	}
	a.Go("heap", app.FollowHeap(t.lookup))
	banner(t.out, options, a.Info())
	show := &show{demoCommand: c, app: a, rest: standIn, out: t.out, palette: render.PaletteFor(t.out, t.lookup)}
	playing, end := context.WithCancel(ctx)
	defer end()
	a.Go("demo", func(ctx context.Context) error {
		if err := show.play(ctx); err != nil {
			return err
		}
		end() // the end of the show is the end of the demo
		return nil
	})
	return a.Run(playing)
}

// options returns those of a process that connects only to itself and to the stand-in.
func (c *demoCommand) options(standIn string) (app.Options, error) {
	presets, err := demoRules()
	if err != nil {
		return app.Options{}, err
	}
	account := twilio.Account{Sid: demoAccountSid, Tokens: twilio.KeyRing{Current: demoAuthToken}}
	options := app.Options{
		Listen:    c.Listen,
		DataDir:   c.DataDir,
		NATS:      bus.Config{URL: app.Embedded, Listen: c.NATSListen},
		Redis:     app.Redis{URL: app.Embedded},
		Keep:      30 * day,
		Roles:     app.AllRoles,
		TwilioAPI: standIn,
		Presets:   presets,
		Accounts:  []twilio.Account{account},

		FetchEnded: true,
	}
	if err := checkOptions(options); err != nil {
		return app.Options{}, usageError{err}
	}
	return options, nil
}

func (c *demoCommand) check() error {
	err := c.floorFlags.check()
	if c.For < 0 {
		err = errors.Join(err, errors.New("--for: is negative"))
	}
	return err
}

// freeAddress returns the address, or the same host with a free port if the port
// is in use: a demo that ends with "port in use" would show nothing.
func freeAddress(ctx context.Context, address string, w io.Writer) string {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", address)
	if err == nil {
		l.Close()
		return address
	}
	host, _, splitErr := net.SplitHostPort(address)
	if splitErr != nil {
		return address
	}
	fmt.Fprintf(w, "%s is taken, using a free port\n", address)
	return net.JoinHostPort(host, "0")
}

// show runs the stand-in Twilio, and shows what a user of Gavel sees through /v1.
type show struct {
	*demoCommand
	app     *app.App
	rest    *app.Listener // of the stand-in
	out     io.Writer
	palette render.Palette
	client  *client
	shown   atomic.Int64
}

// readyWithin bounds how long the demo's own stores take to become ready.
const readyWithin = time.Minute

// play runs the call floor, and shows the events and, at the end, the conferences.
func (s *show) play(ctx context.Context) error {
	starting, cancel := context.WithTimeoutCause(ctx, readyWithin, fmt.Errorf("not ready within %s", readyWithin))
	defer cancel()
	if err := s.app.AwaitReady(starting); err != nil {
		if ctx.Err() != nil {
			return nil // stopped before it began
		}
		return fmt.Errorf("demo: %w", err)
	}
	at := s.app.Info()
	io.WriteString(s.out, readyLine(at))
	if err := s.connect(at); err != nil {
		return err
	}
	tailing, stopTail := context.WithCancel(context.WithoutCancel(ctx))
	defer stopTail()
	tail := s.startTail(tailing)
	select {
	case <-tail.connected:
	case err := <-tail.ended:
		return err
	}
	began := time.Now()
	floor := s.floor(at.PublicURL)
	if err := s.run(ctx, floor); err != nil {
		return err
	}
	s.awaitNews(floor.Accepted())
	stopTail()
	if err := <-tail.ended; err != nil {
		return err
	}
	return s.curtain(context.WithoutCancel(ctx), began)
}

// connect makes the same client that a command on this machine has.
func (s *show) connect(at app.Info) (err error) {
	s.client = &client{server: "http://" + at.Admin, http: http.DefaultClient}
	s.client.sid, s.client.secret, err = keys.ReadFile(at.KeyFile)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "Try in another terminal:\n  gavel conferences list --server %s --data-dir %s\n\n", s.client.server, s.DataDir)
	return nil
}

// tail shows events in the background.
type tail struct {
	connected chan struct{}
	ended     chan error
}

func (s *show) startTail(ctx context.Context) tail {
	t := tail{connected: make(chan struct{}), ended: make(chan error, 1)}
	var once sync.Once
	line := render.EventLines(s.out, s.palette)
	f := follower{
		client:    s.client,
		query:     url.Values{},
		warn:      s.out,
		connected: func() { once.Do(func() { close(t.connected) }) },
		show: func(cloudEvent []byte) error {
			s.shown.Add(1)
			return line(cloudEvent)
		},
	}
	go func() { t.ended <- f.follow(ctx) }()
	return t
}

// floor returns the stand-in, which calls the door. Gavel writes to its REST API.
func (s *show) floor(door string) *twiliofake.Twilio {
	config := s.calling(door)
	config.AccountSid, config.AuthToken = demoAccountSid, demoAuthToken
	config.FetchAnnouncements = true
	config.Logger = s.app.Log.With("component", "twiliofake")
	floor := twiliofake.New(config)
	s.rest.Show(floor.Handler())
	return floor
}

func (s *show) run(ctx context.Context, floor *twiliofake.Twilio) error {
	if s.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.For)
		defer cancel()
	}
	return floor.Run(ctx)
}

// newsTime bounds how long the last events take from the door to the terminal.
const newsTime = 2 * time.Second

// awaitNews waits until the terminal has shown all that the door accepted.
func (s *show) awaitNews(accepted int64) {
	late := time.NewTimer(newsTime)
	defer late.Stop()
	tick := time.NewTicker(newsTime / 100)
	defer tick.Stop()
	for s.shown.Load() < accepted {
		select {
		case <-tick.C:
		case <-late.C:
			return
		}
	}
}

// mostConferences bounds the table at the end.
const mostConferences = 1000

// curtain prints the conferences of this show.
func (s *show) curtain(ctx context.Context, began time.Time) error {
	query := url.Values{"created_from": {began.UTC().Truncate(time.Second).Format(time.RFC3339)}}
	conferences, err := s.client.conferences(ctx, query, mostConferences)
	if err != nil {
		return err
	}
	fmt.Fprintln(s.out)
	return render.Curtain(s.out, conferences, time.Now())
}
