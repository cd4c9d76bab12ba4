// Bench measures Gavel against what the machine can do, in ratios measured
// within one run. README.md beside this file explains how to read its table.
//
// Reading order: main.go, ratio.go (sides, rounds, ratios), compare.go (two builds in the same
// rounds), table.go. The measurements: door.go and peer.go (callbacks over HTTP), projector.go and
// plain.go (journal to Redis), judging.go (with rules), fill.go, verify.go, start.go, visible.go, storm.go and
// stormfloor.go (many deadlines at once). Their foundations: callbacks.go and requests.go (the
// load), loader.go, bare.go, standin.go (a light Twilio), redisserver.go, metrics.go, child.go
// (processes), workshop.go (files and builds).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"
)

// modes are what this program runs in separate processes, so that one side
// leaves no heap behind for the next and the loader is not the server.
var modes = map[string]func(ctx context.Context, args []string) error{
	"bare":    bareChild,
	"loader":  loaderChild,
	"journal": journalChild,
	"plain":   plainChild,
	"project": projectChild,
	"read":    readChild,
	"fill":    fillChild,
	"verify":  verifyChild,
	"standin": standInChild,
}

// gcPercent is what gavel serve sets for itself; a program that is compared with it gets the same.
const gcPercent = 400

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 {
		if mode, ok := modes[args[0]]; ok {
			debug.SetGCPercent(gcPercent)
			return profile(func() error { return mode(ctx, args[1:]) })
		}
	}
	s, err := parseSettings(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if s.against != "" {
		return compare(ctx, s)
	}
	return measure(ctx, s)
}

// runAtMost ends a run that hangs; the default run takes less than twenty minutes.
const runAtMost = 45 * time.Minute

// compareAtMost is the same for a comparison, which measures everything twice.
const compareAtMost = 2 * runAtMost

// settings are the flags.
type settings struct {
	only       []string
	rounds     int
	seconds    float64
	fillEvents int
	// stormConferences is how many conferences are due at once.
	stormConferences int
	profiles         string
	strict           bool
	// against is the other build of a comparison: a checkout or a revision.
	against string
}

func parseSettings(args []string) (settings, error) {
	var s settings
	var only string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&only, "only", "", "rows to measure, separated by commas: "+strings.Join(allRows(), ", "))
	flags.IntVar(&s.rounds, "rounds", 0, "rounds; five when it is 0, nine in a comparison")
	flags.StringVar(&s.against, "against", "", "compare with another build: a checkout's directory, or a revision of this repository")
	flags.Float64Var(&s.seconds, "seconds", 3, "length of one load")
	flags.IntVar(&s.fillEvents, "fill-events", 1_000_000, "events in the journal that the picture is filled from")
	flags.IntVar(&s.stormConferences, "storm", 100_000, "conferences that are due at once")
	flags.StringVar(&s.profiles, "cpuprofile", "", "directory for a CPU profile of every process measured")
	flags.BoolVar(&s.strict, "strict", false, "exit with 1 when a ratio is below its bar")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if s.rounds == 0 {
		s.rounds = defaultRounds(s.against != "")
	}
	if s.rounds < 1 || s.seconds < 1 || s.fillEvents < liveConferences*conferenceEvents {
		return s, fmt.Errorf("at least 1 round, 1 second and %d events", liveConferences*conferenceEvents)
	}
	if s.stormConferences < len(stormKinds) || s.stormConferences > stormFirst {
		return s, fmt.Errorf("a storm has %d to %d conferences", len(stormKinds), stormFirst)
	}
	if only != "" {
		s.only = strings.Split(only, ",")
	}
	for _, name := range s.only {
		if !slices.Contains(allRows(), name) {
			return s, fmt.Errorf("unknown row %q; rows are %s", name, strings.Join(allRows(), ", "))
		}
	}
	return s, nil
}

func defaultRounds(comparison bool) int {
	if comparison {
		return 9
	}
	return 5
}

// measurement is a set of table rows that are measured together.
type measurement interface {
	rows() []string
	// keep removes the rows that were not selected.
	keep(wanted func(row string) bool)
	measure(ctx context.Context, shop *workshop, progress io.Writer) ([]line, error)
}

func measurements() []measurement {
	return []measurement{doors(), projectors(), fills(), verifications(), starts(), fillMemory(), latencies{}, storm{}}
}

func allRows() (rows []string) {
	for _, m := range measurements() {
		rows = append(rows, m.rows()...)
	}
	return rows
}

// errBelow is the error of -strict for a ratio below its bar.
var errBelow = errors.New("a ratio is below its bar")

// measure measures the selected rows and prints the table.
func measure(ctx context.Context, s settings) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, runAtMost, fmt.Errorf("the run took more than %s", runAtMost))
	defer cancel()
	shop, err := openWorkshop(ctx, s)
	if err != nil {
		return err
	}
	defer join(&err, shop.close)
	wanted := func(row string) bool { return len(s.only) == 0 || slices.Contains(s.only, row) }
	var lines []line
	for _, m := range measurements() {
		if !slices.ContainsFunc(m.rows(), wanted) {
			continue
		}
		m.keep(wanted)
		found, err := m.measure(ctx, shop, os.Stderr)
		if ctx.Err() != nil {
			return context.Cause(ctx) // the error of a child that was stopped adds nothing
		}
		if err != nil {
			return err
		}
		lines = append(lines, found...)
	}
	return conclude(s, lines)
}

// conclude prints the table, and fails if -strict requires it.
func conclude(s settings, lines []line) error {
	if err := printTable(os.Stdout, lines); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	if s.strict && slices.ContainsFunc(lines, func(l line) bool { return l.verdict == below }) {
		return errBelow
	}
	return nil
}
