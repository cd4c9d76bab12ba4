//go:build linux

// Command campaign runs one destructive campaign against the built binary: power cuts, kills, full
// disks, overload, damage, rollbacks, I/O errors, slow bodies. It prints the seed, the counts and
// the result, then the same for a negative control that must break the promise: a control that
// keeps it shows that the campaign sees nothing.
//
//	T2 seed 7 short | kill -9 | acknowledged=4120 kills=5 lost=0 | HOLDS
//	T2 seed 7 short | control: the journal's end is cut off after the kill | ... lost=31 | BREAKS, as it must
//
// It exits with 1 unless the promise holds and the control breaks it. Everything except Twilio is
// real: processes, file systems, signals. It needs root, loop devices, memory control groups and
// strace where a campaign uses them, and fails without them. Usage:
//
//	go run ./failover/campaign -only T2 -seed 7 -size full [-older BINARY] [-nats BINARY] BINARY
//
// The older binary is the control of campaigns whose promise the build 7921494 breaks.
//
// Reading order: campaign.go (what a campaign is), world.go and load.go (what rounds use),
// twilio.go (where rules act), volume.go (the kernel's part), then one file for each kind of campaign.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	only := flag.String("only", "", "id of the campaign, such as T2")
	seed := flag.Uint64("seed", 1, "seed of everything that is random")
	size := flag.String("size", "short", "short or full")
	older := flag.String("older", "", "binary of the build 7921494, for its controls")
	server := flag.String("nats", "", "binary of nats-server, for campaigns with an external one")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ok, err := start(ctx, *only, settings{seed: *seed, size: *size, binary: flag.Arg(0), older: *older, server: *server})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// settings are the arguments of one run.
type settings struct {
	seed          uint64
	size          string
	binary, older string
	server        string
}

func start(ctx context.Context, only string, s settings) (ok bool, err error) {
	c, found := find(only)
	if !found || s.binary == "" || s.size != "short" && s.size != "full" {
		return false, fmt.Errorf("usage: campaign -only ID -seed N -size short|full BINARY; the ids are:\n%s", list())
	}
	for _, binary := range []*string{&s.binary, &s.older, &s.server} {
		if *binary == "" {
			continue
		}
		if *binary, err = filepath.Abs(*binary); err != nil {
			return false, fmt.Errorf("find the binary: %w", err)
		}
	}
	return c.run(ctx, s), ctx.Err()
}
