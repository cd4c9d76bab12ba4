package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"gavel/internal/bus"
)

// The sides that start a whole process on a journal whose entries are acknowledged.
const (
	sideSnapshot = "start after a stop"
	sideNoFile   = "first start"
	sideMany     = "fill of many"
	sideFew      = "fill of few"
)

// manyConferences are filled to measure memory, with manyEvents entries each.
const (
	manyConferences = 100_000
	fewConferences  = 1000
	manyEvents      = 10
)

// starts measures how long an embedded gavel serve takes to be ready. The start after a stop has
// the snapshot of the picture, if the build writes one.
func starts() *group {
	return &group{
		unit: seconds,
		prepare: func(ctx context.Context, shop *workshop) error {
			_, err := shop.acknowledged(ctx, shop.fillEvents)
			return errors.Join(err, shop.needsGavel(ctx))
		},
		sides: []side{
			{sideNoFile, func(ctx context.Context, shop *workshop) (figure, error) {
				first, _, err := shop.startTwice(ctx, shop.fillEvents, false)
				return figure{value: first.took.Seconds()}, err
			}},
			{sideSnapshot, func(ctx context.Context, shop *workshop) (figure, error) {
				_, second, err := shop.startTwice(ctx, shop.fillEvents, true)
				return figure{value: second.took.Seconds()}, err
			}},
		},
		ratios: []ratio{{
			name: "start", what: "time to start with a snapshot / to fill the picture from the journal",
			side: sideSnapshot, over: sideNoFile, bar: 0.3, most: true, against: 0.1,
		}},
	}
}

// fillMemory measures the greatest memory of an embedded gavel serve that fills its picture.
func fillMemory() *group {
	of := func(conferences int) func(ctx context.Context, shop *workshop) (figure, error) {
		return func(ctx context.Context, shop *workshop) (figure, error) {
			first, _, err := shop.startTwice(ctx, conferences*manyEvents, false, "-each", strconv.Itoa(manyEvents))
			return figure{value: first.peak}, err
		}
	}
	return &group{
		unit: megabytes,
		prepare: func(ctx context.Context, shop *workshop) error {
			_, err := shop.acknowledged(ctx, manyConferences*manyEvents, "-each", strconv.Itoa(manyEvents))
			if err == nil {
				_, err = shop.acknowledged(ctx, fewConferences*manyEvents, "-each", strconv.Itoa(manyEvents))
			}
			return errors.Join(err, shop.needsGavel(ctx))
		},
		sides: []side{{sideFew, of(fewConferences)}, {sideMany, of(manyConferences)}},
		ratios: []ratio{{
			name: "fill-memory", what: "peak memory of a start that fills 100,000 conferences / 1,000",
			side: sideMany, over: sideFew, bar: 8, most: true, against: 0.15,
		}},
	}
}

func (s *workshop) needsGavel(ctx context.Context) error {
	_, err := s.gavel(ctx)
	return err
}

// acknowledged returns a data directory whose journal holds count events, all acknowledged. The
// program of the loader makes it, so that builds that are compared read the same bytes.
func (s *workshop) acknowledged(ctx context.Context, count int, flags ...string) (string, error) {
	maker := *s
	maker.self = s.loader
	return maker.filledJournal(ctx, count, append([]string{"-acknowledge"}, flags...)...)
}

// started is one start of gavel serve.
type started struct {
	took time.Duration // until it was ready
	peak float64       // memory in MB, until its end
}

// startTwice starts gavel serve on a copy of a journal, stops it, and does so again if twice is set.
func (s *workshop) startTwice(ctx context.Context, count int, twice bool, flags ...string) (first, second started, err error) {
	journal, err := s.acknowledged(ctx, count, flags...)
	if err != nil {
		return first, second, err
	}
	dir, remove, err := s.tempDir("start")
	if err != nil {
		return first, second, err
	}
	defer join(&err, remove)
	if err := os.CopyFS(dir, os.DirFS(journal)); err != nil {
		return first, second, fmt.Errorf("copy the journal: %w", err)
	}
	if first, err = s.startOn(ctx, dir); err != nil || !twice {
		return first, second, err
	}
	second, err = s.startOn(ctx, dir)
	return first, second, err
}

// startOn starts gavel serve on a data directory and stops it.
func (s *workshop) startOn(ctx context.Context, dir string) (done started, err error) {
	binary, err := s.gavel(ctx)
	if err != nil {
		return done, err
	}
	cmd := exec.CommandContext(ctx, binary, "serve", "--listen", "127.0.0.1:0", "--nats-listen", "off",
		"--public-url", publicURL, "--data-dir", dir, "--sync", string(bus.SyncInterval))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TWILIO_ACCOUNT_SID="+accountSid, "TWILIO_AUTH_TOKEN="+authToken)
	began := time.Now()
	server, err := start(ctx, "gavel serve", readyLine, cmd)
	if err != nil {
		return done, err
	}
	done.took = time.Since(began)
	if err := server.stop(); err != nil {
		return done, err
	}
	used, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return done, errors.New("read the memory of gavel serve: this system has no rusage")
	}
	done.peak = float64(used.Maxrss) / 1024
	return done, nil
}
