package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"gavel/internal/bus"
)

// appenders is how many goroutines fill a journal at once. Half of them wait
// while the group of the others is written, so groups hold about ten entries.
const appenders = 20

// openBus opens the embedded NATS server on a data directory, with its default sync.
func openBus(ctx context.Context, dataDir string) (*bus.Bus, error) {
	return bus.Open(ctx, bus.Config{DataDir: dataDir, Sync: bus.SyncInterval, Lanes: 1}, slog.New(slog.DiscardHandler))
}

// closeBus closes the bus with the timeout that gavel serve uses.
func closeBus(b *bus.Bus) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	return b.Close(ctx)
}

// filled describes the contents of a journal.
type filled struct{ Groups uint64 }

// journalChild fills a journal with the requested number of callbacks.
func journalChild(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("journal", flag.ContinueOnError)
	data := flags.String("data", "", "")
	count := flags.Int("events", 0, "")
	judged := flags.Bool("rules", false, "")
	each := flags.Int("each", conferenceEvents, "")
	acknowledge := flags.Bool("acknowledge", false, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	b, err := openBus(ctx, *data)
	if err != nil {
		return err
	}
	defer join(&err, func() error { return closeBus(b) })
	if *judged {
		if err := loadRules(ctx, b); err != nil {
			return err
		}
	}
	if err := appendAll(ctx, b.Journal(), *count, *each); err != nil {
		return err
	}
	groups, err := b.Journal().Last(ctx, 0)
	if err == nil && *acknowledge {
		err = acknowledgeAll(ctx, b.Lanes()[0], groups)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(filled{Groups: groups})
}

// acknowledgeAll acknowledges a lane up to a stream sequence, as a projector does that worked it.
func acknowledgeAll(ctx context.Context, lane *bus.Lane, last uint64) error {
	if _, _, err := lane.Resume(ctx); err != nil {
		return err
	}
	for at := uint64(0); at < last; {
		groups, err := lane.Next(ctx, appenders)
		if err != nil {
			return err
		}
		if err := lane.Ack(ctx, groups); err != nil {
			return err
		}
		at = groups[len(groups)-1].Sequence
	}
	for {
		if floor, err := lane.Floor(ctx); err != nil || floor >= last {
			return errors.Join(err, lane.Close(ctx))
		}
	}
}

// appendAll appends the first count callbacks of a day that has just ended, the first `each` of
// each conference.
func appendAll(ctx context.Context, journal *bus.Journal, count, each int) error {
	began := time.Now().Add(-time.Duration(count/liveConferences+1) * turnLasts)
	return sideBySide(ctx, appenders, count, func(ctx context.Context, n int) error {
		slot, turn := n%liveConferences, n/liveConferences
		c := callbackAt(slot+(turn/each*conferenceEvents+turn%each)*liveConferences, began)
		return journal.Append(ctx, c.conferenceSid, c.entry(eventTime(n, began).Add(deliveryTime)))
	})
}

// sideBySide calls fn for each number below count, in order, with up to atOnce calls in parallel:
// entries that wait for the journal at the same time are written together.
func sideBySide(ctx context.Context, atOnce, count int, fn func(ctx context.Context, n int) error) error {
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range atOnce {
		g.Go(func() error {
			for n := int(next.Add(1)) - 1; n < count; n = int(next.Add(1)) - 1 {
				if err := fn(ctx, n); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// filledJournal returns a data directory whose journal holds count events. It
// is made once per run for each combination of flags.
func (s *workshop) filledJournal(ctx context.Context, count int, flags ...string) (string, error) {
	name := fmt.Sprintf("journal-%d%s", count, strings.Join(flags, ""))
	return s.once(name, func(path string) error {
		args := append([]string{"-data", path, "-events", strconv.Itoa(count)}, flags...)
		f, err := runMode[filled](ctx, s, "journal", args...)
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "journal of %d events in %d groups\n", count, f.Groups)
		return nil
	})
}
