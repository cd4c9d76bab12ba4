package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	"gavel/events"
	"gavel/internal/bus"
	"gavel/internal/chain"
)

// The sides that read all groups of a journal, after they have read it once.
const (
	sideVerify = "read and verify"
	sideGroups = "read groups"
)

// verifications measures what the hash chain adds to reading a journal.
func verifications() *group {
	of := func(flags ...string) func(ctx context.Context, shop *workshop) (figure, error) {
		return func(ctx context.Context, shop *workshop) (figure, error) {
			journal, err := shop.filledJournal(ctx, shop.fillEvents)
			if err != nil {
				return figure{}, err
			}
			done, err := runMode[worked](ctx, shop, "verify", append(flags, "-data", journal)...)
			return figure{value: done.Seconds}, err
		}
	}
	return &group{
		unit: seconds,
		prepare: func(ctx context.Context, shop *workshop) error {
			_, err := shop.filledJournal(ctx, shop.fillEvents)
			return err
		},
		sides: []side{{sideGroups, of()}, {sideVerify, of("-chain")}},
		ratios: []ratio{{
			name: "verify", what: "time to read the journal and verify its hash chain / to read it",
			side: sideVerify, over: sideGroups, bar: 1.3, most: true,
		}},
	}
}

// verifyChild reads a whole journal twice. With -chain the second reading does what a start with a
// fill does: it compares the groups with the records in Redis and in the file, and makes a new one.
func verifyChild(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("verify", flag.ContinueOnError)
	data := flags.String("data", "", "")
	verify := flags.Bool("chain", false, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	b, err := openBus(ctx, *data)
	if err != nil {
		return err
	}
	defer join(&err, func() error { return closeBus(b) })
	state, err := b.Journal().State(ctx)
	if err != nil {
		return err
	}
	known, groups := chain.Begin(state, 0, 0), 0
	var hasher chain.Hasher
	add := func(r *chain.Record, g *events.Group) {
		r.Add(hasher.Next(r.Head, g.Sequence, g.Data, g.Stored))
	}
	if _, err := readAll(ctx, b, func(g *events.Group) error { add(&known, g); return nil }); err != nil {
		return err
	}
	inRedis, inFile, made := chain.WalkAll(known), chain.WalkAll(known), chain.Begin(state, 0, 0)
	took, err := readAll(ctx, b, func(g *events.Group) error {
		if groups++; !*verify {
			return nil
		}
		for _, w := range []*chain.Walk{inRedis, inFile} {
			if f := w.Add(g.Sequence, g.Data, g.Stored); f != nil {
				return f
			}
		}
		add(&made, g)
		return nil
	})
	if err == nil && *verify && (made.Head != known.Head || inFile.To() != 0) {
		err = fmt.Errorf("verified up to %d and not to %d", made.Head.Sequence, known.Head.Sequence)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(worked{groups, took.Seconds()})
}

// readAll reads all groups of a journal of one lane.
func readAll(ctx context.Context, b *bus.Bus, each func(*events.Group) error) (time.Duration, error) {
	last, err := b.Journal().Last(ctx, 0)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	err = b.Journal().Read(ctx, 0, 1, last, func(g events.Group) error { return each(&g) })
	return time.Since(began), err
}
