package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"time"
)

// The sides that answer callbacks over HTTP.
const (
	sideBare         = "bare handler"
	sideDoorAlways   = "door, always"
	sideDoorInterval = "door, interval"
	sideServe        = "serve, always"
	sidePeer         = "node peer"
)

// keepsUpWithin is the maximum time from the end of a load until its last callback is visible.
const keepsUpWithin = time.Second

// doors measures all servers that answer callbacks, with the same requests.
func doors() *group {
	return &group{
		unit:    perSecond,
		prepare: prepareDoors,
		sides: []side{
			{sideBare, runBare},
			{sideDoorAlways, func(ctx context.Context, shop *workshop) (figure, error) {
				return runGavel(ctx, shop, "--roles", "door", "--sync", "always")
			}},
			{sideDoorInterval, func(ctx context.Context, shop *workshop) (figure, error) {
				return runGavel(ctx, shop, "--roles", "door", "--sync", "interval")
			}},
			{sideServe, runServe},
			{sidePeer, runPeer},
		},
		ratios: []ratio{
			{
				name: "door", what: "door alone, fsync before every ack / bare handler",
				side: sideDoorAlways, over: sideBare, bar: 0.5,
			},
			{
				name: "door-interval", what: "door alone, NATS's default sync / bare handler",
				side: sideDoorInterval, over: sideBare, bar: 0.6,
			},
			{
				name: "peer", what: "door alone, fsync before every ack / Express, twilio, JetStream with the same",
				side: sideDoorAlways, over: sidePeer, bar: 8,
			},
			{
				name: "serve", what: "everything in one process, fsync before every ack / bare handler",
				side: sideServe, over: sideBare, bar: 0.15, behind: keepsUpWithin,
			},
		},
	}
}

func prepareDoors(ctx context.Context, shop *workshop) error {
	if _, err := shop.signedRequests(); err != nil {
		return err
	}
	if _, err := shop.gavel(ctx); err != nil {
		return err
	}
	return nil
}

var readyLine = regexp.MustCompile(`: ready http=(\S+)`)

func runBare(ctx context.Context, shop *workshop) (_ figure, err error) {
	server, err := start(ctx, sideBare, readyLine, exec.CommandContext(ctx, shop.self, "bare"))
	if err != nil {
		return figure{}, err
	}
	defer join(&err, server.stop)
	return loadOnly(ctx, shop, server.ready)
}

// loadOnly loads a door at the highest rate it sustains.
func loadOnly(ctx context.Context, shop *workshop, addr string) (figure, error) {
	done, err := shop.load(ctx, load{addr: addr, lasting: shop.lasting})
	return figure{value: done.PerSecond}, err
}

func runGavel(ctx context.Context, shop *workshop, flags ...string) (_ figure, err error) {
	g, err := startGavel(ctx, shop, flags...)
	if err != nil {
		return figure{}, err
	}
	defer join(&err, g.stop)
	before, err := g.cpu(ctx)
	if err != nil {
		return figure{}, err
	}
	done, err := shop.load(ctx, load{addr: g.ready, lasting: shop.lasting})
	if err != nil {
		return figure{}, err
	}
	used, err := g.cpuSince(ctx, before, done.Sent)
	return figure{value: done.PerSecond, cpu: used}, err
}

// runServe loads the complete product and waits until the last answered callback is in the picture.
func runServe(ctx context.Context, shop *workshop) (_ figure, err error) {
	g, err := startGavel(ctx, shop, "--sync", "always")
	if err != nil {
		return figure{}, err
	}
	defer join(&err, g.stop)
	before, err := g.cpu(ctx)
	if err != nil {
		return figure{}, err
	}
	done, err := shop.load(ctx, load{addr: g.ready, lasting: shop.lasting})
	if err != nil {
		return figure{}, err
	}
	visible, err := g.allVisible(ctx, done.Sent)
	if err != nil {
		return figure{}, err
	}
	used, err := g.cpuSince(ctx, before, done.Sent)
	return figure{value: done.PerSecond, behind: visible.Sub(done.Ended), cpu: used}, err
}

// gavel is a running gavel serve.
type gavel struct {
	*child
	remove func() error
}

// gavel builds the product. If profiles are requested, the build contains one more file that writes
// a CPU profile; the product itself has no profiling endpoint.
func (s *workshop) gavel(ctx context.Context) (string, error) {
	if s.profiles == "" {
		return s.build(ctx, "gavel", "./cmd/gavel")
	}
	overlay, err := s.profilingOverlay()
	if err != nil {
		return "", err
	}
	return s.build(ctx, "gavel", "./cmd/gavel", "-overlay", overlay)
}

// startGavel starts gavel serve on its own data directory, with embedded NATS
// and Redis unless flags state otherwise.
func startGavel(ctx context.Context, shop *workshop, flags ...string) (*gavel, error) {
	binary, err := shop.gavel(ctx)
	if err != nil {
		return nil, err
	}
	dir, remove, err := shop.tempDir("gavel-data")
	if err != nil {
		return nil, err
	}
	args := append([]string{
		"serve",
		"--listen", "127.0.0.1:0", "--nats-listen", "off",
		"--public-url", publicURL, "--data-dir", dir,
	}, flags...)
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TWILIO_ACCOUNT_SID="+accountSid, "TWILIO_AUTH_TOKEN="+authToken)
	cmd.Env = append(cmd.Env, shop.profiled("gavel")...)
	server, err := start(ctx, "gavel serve", readyLine, cmd)
	if err != nil {
		return nil, errors.Join(err, remove())
	}
	return &gavel{server, remove}, nil
}

func (g *gavel) stop() (err error) {
	defer join(&err, g.remove)
	return g.child.stop()
}
