package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strconv"
	"time"

	"gavel/events"
	"gavel/handlers/project"
)

// The sides that process a whole journal.
const (
	sideFill = "fill"
	sideRead = "read and parse"
)

// fills measures how long it takes to fill the picture from the journal.
func fills() *group {
	return &group{
		unit: seconds,
		prepare: func(ctx context.Context, shop *workshop) error {
			_, err := shop.filledJournal(ctx, shop.fillEvents)
			return err
		},
		sides: []side{{sideRead, runRead}, {sideFill, runFill}},
		ratios: []ratio{
			{
				name: "fill", what: "time to fill Redis from the journal / to read, split and parse it",
				side: sideFill, over: sideRead, bar: 2.5, most: true,
			},
		},
	}
}

func runRead(ctx context.Context, shop *workshop) (figure, error) {
	journal, err := shop.filledJournal(ctx, shop.fillEvents)
	if err != nil {
		return figure{}, err
	}
	done, err := runMode[worked](ctx, shop, "read", "-data", journal)
	return figure{value: done.Seconds}, wrongCount(err, done, shop)
}

func runFill(ctx context.Context, shop *workshop) (_ figure, err error) {
	server, err := startRedis(ctx, shop)
	if err != nil {
		return figure{}, err
	}
	defer join(&err, server.stop)
	journal, err := shop.filledJournal(ctx, shop.fillEvents)
	if err != nil {
		return figure{}, err
	}
	done, cpu, err := runModeOf[worked](ctx, shop, shop.self, "fill", "-data", journal, "-redis", server.addr, "-events", strconv.Itoa(shop.fillEvents))
	return figure{value: done.Seconds, cpu: cpu / time.Duration(shop.fillEvents)}, err
}

// wrongCount adds an error if a side did not process the whole journal.
func wrongCount(err error, done worked, shop *workshop) error {
	if err == nil && done.Events != shop.fillEvents {
		return fmt.Errorf("%d events were read, not %d", done.Events, shop.fillEvents)
	}
	return err
}

// readChild reads, splits and parses a whole journal.
func readChild(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("read", flag.ContinueOnError)
	data := flags.String("data", "", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	b, err := openBus(ctx, *data)
	if err != nil {
		return err
	}
	defer join(&err, func() error { return closeBus(b) })
	last, err := b.Journal().Last(ctx, 0)
	if err != nil {
		return err
	}
	began, count := time.Now(), 0
	err = b.Journal().Read(ctx, 0, 1, last, func(g events.Group) error {
		return g.Split(func(_ int, e events.Entry) error {
			count++
			_, err := events.Parse(e)
			return err
		})
	})
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(worked{count, time.Since(began).Seconds()})
}

// fillChild lets a projector fill an empty Redis from a whole journal.
func fillChild(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("fill", flag.ContinueOnError)
	data := flags.String("data", "", "")
	addr := flags.String("redis", "", "")
	count := flags.Int("events", 0, "")
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
	lane := &acknowledgedLane{last: last, resumed: make(chan time.Time, 1), filled: make(chan time.Time, 1)}
	stop := runInBackground(ctx, project.New(projectorConfig(b, store, lane)).Run)
	defer join(&err, stop)
	took, err := lane.took(ctx)
	if err != nil {
		return err
	}
	if err := checkPicture(ctx, store, *count); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(worked{*count, took.Seconds()})
}

// acknowledgedLane is a lane whose groups are all acknowledged. A projector that acquires
// it with an empty Redis has to fill the picture; after that no group arrives.
type acknowledgedLane struct {
	last            uint64
	resumed, filled chan time.Time
}

func (l *acknowledgedLane) Number() int { return 0 }

func (l *acknowledgedLane) Resume(context.Context) (floor, last uint64, err error) {
	select {
	case l.resumed <- time.Now():
	default:
	}
	return l.last, l.last, nil
}

// Elsewhere is always false: the lane has no other owner.
func (l *acknowledgedLane) Elsewhere() bool { return false }

// Next is called for the first time when the picture is complete.
func (l *acknowledgedLane) Next(ctx context.Context, _ int) ([]events.Group, error) {
	select {
	case l.filled <- time.Now():
	default:
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func (l *acknowledgedLane) Ack(context.Context, []events.Group) error { return nil }

// took returns how long the fill took.
func (l *acknowledgedLane) took(ctx context.Context) (time.Duration, error) {
	resumed := <-l.resumed
	select {
	case filled := <-l.filled:
		return filled.Sub(resumed), nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// Rewind is never needed.
func (l *acknowledgedLane) Rewind(context.Context, uint64) error { return nil }
