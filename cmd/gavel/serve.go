package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime"

	"gavel/app"
	"gavel/internal/bus"
)

// serveCommand receives callbacks and answers queries.
type serveCommand struct {
	serverFlags
	logFlags
}

// Run serves until ctx ends.
func (c *serveCommand) Run(ctx context.Context, root *cli, t *terminal) error {
	options, err := c.config(root.file, t.lookup)
	if err != nil {
		return err
	}
	options.MemoryLimit = app.TuneMemory(t.lookup)
	tuneThreads(t.lookup, options)
	signals, stop := hangups()
	defer stop()
	options.Log, options.Version = c.logger(t.err), versions()
	options.Reload, options.ReadAccounts = signals, root.rereadAccounts
	return app.Run(ctx, options, func(a *app.App) {
		a.Go("heap", app.FollowHeap(t.lookup))
		banner(t.out, options, a.Info())
		// The process serves already, but the picture may be incomplete until the ready line.
		a.Go("ready line", func(ctx context.Context) error {
			if a.AwaitReady(ctx) != nil {
				return nil // stopped before it was ready
			}
			_, err := io.WriteString(t.out, readyLine(a.Info()))
			return err
		})
	})
}

// readyLine marks the end of the start for people, tests and scripts.
func readyLine(at app.Info) string {
	return fmt.Sprintf("gavel: ready http=%s admin=%s\n", at.Public, at.Admin)
}

// syncThreads is how many more threads may run Go code where the embedded NATS syncs
// each write: one each for the streams that are written all the time, the journal and
// the news. A thread that waits for the disk keeps its place until the runtime takes it
// away; with two cores all places can be waiting (ADR 0013). GOMAXPROCS overrides it.
const syncThreads = 2

var goThreads = runtime.GOMAXPROCS(0) // before any server starts

func tuneThreads(lookup func(string) (string, bool), o app.Options) {
	syncs := o.NATS.URL == app.Embedded && o.NATS.Sync == bus.SyncAlways
	if _, set := lookup("GOMAXPROCS"); syncs && !set {
		runtime.GOMAXPROCS(goThreads + syncThreads)
	}
}

// logFlags are the level and the format of the log.
type logFlags struct {
	LogLevel  slog.Level `default:"info" env:"GAVEL_LOG_LEVEL" placeholder:"LEVEL" help:"debug, info, warn or error (default ${default})."`
	LogFormat string     `default:"text" enum:"text,json" env:"GAVEL_LOG_FORMAT" placeholder:"text|json" help:"Format of log lines (default ${default})."`
}

func (f logFlags) logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: f.LogLevel}
	if f.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
