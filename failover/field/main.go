// Command field runs the smallest input of each fault that was met in the field against the built
// binary, and prints for each one what was expected and what was seen:
//
//	ID | input | expected | seen | PASS
//
// It exits with 1 if one fails. The binary, HTTP, NATS and Redis are real; only Twilio is a
// stand-in. Usage: go run ./failover/field BINARY [ID...]
//
// Reading order: row.go (what a row is, and how to add one), world.go (the processes that rows
// use), then one file of rows for each part of Gavel.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: field BINARY [ID...]")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	failed, err := runAll(ctx, os.Args[1], os.Args[2:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if err != nil || failed > 0 {
		os.Exit(1)
	}
}

// runAll runs the rows with these ids, or all, and returns how many failed.
func runAll(ctx context.Context, binary string, ids []string) (failed int, err error) {
	binary, err = filepath.Abs(binary)
	if err != nil {
		return 0, fmt.Errorf("find the binary: %w", err)
	}
	begun, passed := time.Now(), 0
	for _, r := range rows() {
		if len(ids) > 0 && !slices.Contains(ids, r.id) || ctx.Err() != nil {
			continue
		}
		seen, log := run(ctx, binary, r)
		verdict := "PASS"
		if seen == r.expected {
			passed++
		} else {
			verdict = "FAIL"
			failed++
		}
		fmt.Println(strings.Join([]string{r.id, r.input, r.expected, seen, verdict}, " | "))
		if verdict == "FAIL" && log != "" {
			fmt.Fprintf(os.Stderr, "%s\n", log)
		}
	}
	fmt.Printf("%d passed, %d failed, in %.0f s\n", passed, failed, time.Since(begun).Seconds())
	return failed, ctx.Err()
}

// run runs one row in a world of its own and returns what it saw, and the
// end of the logs of its processes.
func run(ctx context.Context, binary string, r row) (seen, log string) {
	ctx, cancel := context.WithTimeout(ctx, rowTime)
	defer cancel()
	w := &world{ctx: ctx, binary: binary}
	defer func() {
		if fault := recover(); fault != nil {
			f, ours := fault.(failure)
			if !ours {
				panic(fault)
			}
			seen = string(f)
		}
		log = w.close()
	}()
	return r.run(w), ""
}
