package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gavel/events"
	"gavel/handlers/project"
	"gavel/internal/bus"
	"gavel/projections"
	"gavel/projections/redisstore"
)

// The sides that write a journal to Redis.
const (
	sidePlain     = "plain writer"
	sideProjector = "projector"
	sideSilent    = "without news"
	sideRules     = "with 20 rules"
)

// projectEvents is how many events the projector's journal holds.
const projectEvents = 200_000

// projectors measures the projector on a full journal and an empty Redis.
func projectors() *group {
	return &group{
		unit: perSecond,
		prepare: func(ctx context.Context, shop *workshop) error {
			_, err := shop.filledJournal(ctx, projectEvents)
			return err
		},
		sides: []side{
			{sidePlain, runPlain},
			{sideProjector, func(ctx context.Context, shop *workshop) (figure, error) { return runProjector(ctx, shop) }},
			{sideRules, func(ctx context.Context, shop *workshop) (figure, error) { return runProjector(ctx, shop, "-rules") }},
			{sideSilent, func(ctx context.Context, shop *workshop) (figure, error) { return runProjector(ctx, shop, "-silent") }},
		},
		ratios: []ratio{
			{
				name: "project", what: "complete projector on a real Redis / plain pipelined writer",
				side: sideProjector, over: sidePlain, bar: 0.25,
			},
			{
				name: "project-silent", what: "the same without news / plain pipelined writer",
				side: sideSilent, over: sidePlain, bar: 0.5,
			},
			{
				name: "project-rules", what: "the projector judging by 20 rules / without rules",
				side: sideRules, over: sideProjector, bar: 0.67,
			},
		},
	}
}

func runPlain(ctx context.Context, shop *workshop) (_ figure, err error) {
	server, err := startRedis(ctx, shop)
	if err != nil {
		return figure{}, err
	}
	defer join(&err, server.stop)
	done, err := runMode[worked](ctx, shop, "plain", "-redis", server.addr, "-events", strconv.Itoa(projectEvents))
	return figure{value: done.perSecond()}, err
}

// runProjector processes a copy of the journal whose consumer has not started.
func runProjector(ctx context.Context, shop *workshop, flags ...string) (_ figure, err error) {
	journal, err := shop.filledJournal(ctx, projectEvents, journalFlags(flags)...)
	if err != nil {
		return figure{}, err
	}
	server, err := startRedis(ctx, shop)
	if err != nil {
		return figure{}, err
	}
	defer join(&err, server.stop)
	dir, remove, err := shop.tempDir("journal")
	if err != nil {
		return figure{}, err
	}
	defer join(&err, remove)
	if err := os.CopyFS(dir, os.DirFS(journal)); err != nil {
		return figure{}, fmt.Errorf("copy the journal: %w", err)
	}
	args := append([]string{"-data", dir, "-redis", server.addr, "-events", strconv.Itoa(projectEvents)}, flags...)
	done, cpu, err := runModeOf[worked](ctx, shop, shop.self, "project", args...)
	return figure{value: done.perSecond(), cpu: cpu / projectEvents}, err
}

// journalFlags returns the flags that also determine how the journal is made.
func journalFlags(flags []string) []string {
	if slices.Contains(flags, "-rules") {
		return []string{"-rules"}
	}
	return nil
}

// projectChild processes a journal until its last group is acknowledged.
func projectChild(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("project", flag.ContinueOnError)
	data := flags.String("data", "", "")
	addr := flags.String("redis", "", "")
	count := flags.Int("events", 0, "")
	silent := flags.Bool("silent", false, "")
	judge := flags.Bool("rules", false, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	b, store, closeAll, err := openAll(ctx, *data, *addr)
	if err != nil {
		return err
	}
	defer join(&err, closeAll)
	last, err := b.Journal().Last(ctx, 0)
	if err != nil {
		return err
	}
	lane := &watched{Lane: b.Lane(0), last: last, began: make(chan time.Time, 1), ended: make(chan time.Time, 1)}
	config := projectorConfig(b, store, lane)
	if !*silent {
		config.News = b.News()
	}
	check := func() error { return nil }
	if *judge {
		letWake, expectDecisions, err := judging(ctx, b, store, &config)
		if err != nil {
			return err
		}
		defer join(&err, runInBackground(ctx, letWake))
		check = func() error { return expectDecisions(*count) }
	}
	stop := runInBackground(ctx, project.New(config).Run)
	defer join(&err, stop)
	took, err := lane.took(ctx)
	if err != nil {
		return err
	}
	if err := errors.Join(checkPicture(ctx, store, *count), check()); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(worked{*count, took.Seconds()})
}

// checkPicture checks that the last of count callbacks is in the picture,
// together with all earlier callbacks of its conference.
func checkPicture(ctx context.Context, store projections.Reader, count int) error {
	last := count - 1
	key := events.Key{AccountSid: accountSid, ConferenceSid: callbackAt(last, time.Now()).conferenceSid}
	stored, err := store.Conference(ctx, key)
	if err != nil {
		return fmt.Errorf("check the picture: %w", err)
	}
	want := projections.Ranges(nil)
	for n := range last/liveConferences%conferenceEvents + 1 {
		want = want.With(int64(n))
	}
	if seen := stored.Conference.Seen; !slices.Equal(seen, want) {
		return fmt.Errorf("check the picture: the last conference contains %v, want %v", seen, want)
	}
	return nil
}

// openAll opens the journal in a data directory and the store on a Redis.
func openAll(ctx context.Context, dataDir, redisAddr string) (*bus.Bus, projections.Store, func() error, error) {
	b, err := openBus(ctx, dataDir)
	if err != nil {
		return nil, nil, nil, err
	}
	store, err := redisstore.Open(ctx, redisstore.Options{
		URL: "redis://" + redisAddr, Lanes: b.Info().Lanes, Log: warnings(),
	})
	if err != nil {
		return nil, nil, nil, errors.Join(err, closeBus(b))
	}
	return b, store, func() (err error) {
		defer join(&err, func() error { return closeBus(b) })
		return store.Close()
	}, nil
}

// warnings returns the logger of a child; its output is shown if the child fails.
func warnings() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func projectorConfig(b *bus.Bus, store projections.Writer, lane project.Lane) project.Config {
	return project.Config{
		Lanes:       []project.Lane{lane},
		Journal:     b.Journal(),
		Store:       store,
		DeadLetters: b.DeadLetters(),
		Log:         warnings(),
		Metrics:     project.NewMetrics(prometheus.NewRegistry()),
		Now:         time.Now,
	}
}

// runInBackground runs a function until stop is called; stop waits for it to return.
func runInBackground(ctx context.Context, run func(context.Context) error) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	var wait sync.WaitGroup
	var err error
	wait.Go(func() { err = run(ctx) })
	return func() error {
		cancel()
		wait.Wait()
		return err
	}
}

// watched is a lane that records when its first groups were fetched and when all groups up to the
// last were acknowledged. Entries that alarms append come after that.
type watched struct {
	project.Lane
	last              uint64
	started, finished bool
	began, ended      chan time.Time
}

func (l *watched) Next(ctx context.Context, most int) ([]events.Group, error) {
	groups, err := l.Lane.Next(ctx, most)
	if err == nil && !l.started {
		l.started = true
		l.began <- time.Now()
	}
	return groups, err
}

func (l *watched) Ack(ctx context.Context, groups []events.Group) error {
	err := l.Lane.Ack(ctx, groups)
	if err == nil && !l.finished && groups[len(groups)-1].Sequence >= l.last {
		l.finished = true
		l.ended <- time.Now()
	}
	return err
}

// took returns how long the lane's groups took.
func (l *watched) took(ctx context.Context) (time.Duration, error) {
	var began, ended time.Time
	for ended.IsZero() {
		select {
		case began = <-l.began:
		case ended = <-l.ended:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return ended.Sub(began), nil
}
