package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"

	"gavel/app"
)

// serveCommand receives callbacks and answers questions.
type serveCommand struct {
	serverFlags
	logFlags
}

// Help is the longer help text.
func (serveCommand) Help() string {
	return `With TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN set it needs no other setting. It prints where things are and the TwiML to paste. Settings that are no flag are in gavel.yaml. SIGHUP reads its accounts again.

Example:
  gavel serve --public-url https://gavel.example.com --listen :8080`
}

// Run serves until ctx ends.
func (c *serveCommand) Run(ctx context.Context, root *cli, t *terminal) error {
	options, err := c.config(root.file, t.lookup)
	if err != nil {
		return err
	}
	tuneGC(t.lookup)
	signals, stop := hangups()
	defer stop()
	options.Log, options.Version = c.logger(t.err), versions()
	options.Reload, options.ReadAccounts = signals, root.rereadAccounts
	a, err := app.New(ctx, options)
	if err != nil {
		return err
	}
	banner(t.out, options, a.Info())
	// The process serves already; what may be missing until the ready line is
	// the picture.
	a.Go("ready line", func(ctx context.Context) error {
		if a.AwaitReady(ctx) != nil {
			return nil // stopped before it was
		}
		_, err := io.WriteString(t.out, readyLine(a.Info()))
		return err
	})
	return a.Run(ctx)
}

// readyLine is for what waits for the start: a person, a test, a script.
func readyLine(at app.Info) string {
	return fmt.Sprintf("gavel: ready http=%s admin=%s\n", at.Public, at.Admin)
}

// gcPercent lets the heap grow to five times what is in use before it is
// collected: that takes the collector out of the door's slowest answers.
// GOMEMLIMIT bounds it on small machines; GOGC overrules it.
const gcPercent = 400

func tuneGC(lookup func(string) (string, bool)) {
	if _, set := lookup("GOGC"); !set {
		debug.SetGCPercent(gcPercent)
	}
}

// logFlags say how a process logs.
type logFlags struct {
	LogLevel  slog.Level `default:"info" env:"GAVEL_LOG_LEVEL" placeholder:"LEVEL" help:"debug, info, warn or error (default ${default})."`
	LogFormat string     `default:"text" enum:"text,json" env:"GAVEL_LOG_FORMAT" placeholder:"text|json" help:"How log lines look (default ${default})."`
}

func (f logFlags) logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: f.LogLevel}
	if f.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
