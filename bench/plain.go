package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// plainPipeline is how many events the plain writer sends at once; a larger number is no faster.
const plainPipeline = 500

// worked is the speed of a child.
type worked struct {
	Events  int
	Seconds float64
}

func (w worked) perSecond() float64 { return float64(w.Events) / w.Seconds }

// plainChild is the baseline for the projector: it writes the same number of
// events to Redis, with only what any picture needs, and reads nothing.
func plainChild(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("plain", flag.ContinueOnError)
	addr := flags.String("redis", "", "")
	count := flags.Int("events", 0, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	client := redis.NewClient(&redis.Options{Addr: *addr})
	defer join(&err, client.Close)
	began := time.Now()
	for n := 0; n < *count; n += plainPipeline {
		if err := writePlain(ctx, client, n, min(n+plainPipeline, *count), began); err != nil {
			return fmt.Errorf("write events from %d: %w", n, err)
		}
	}
	return json.NewEncoder(os.Stdout).Encode(worked{*count, time.Since(began).Seconds()})
}

// writePlain writes the events of a range: four fields of the conference, one
// participant, one index.
func writePlain(ctx context.Context, client *redis.Client, from, to int, began time.Time) error {
	pipe := client.Pipeline()
	for n := from; n < to; n++ {
		slot, turn := n%liveConferences, n/liveConferences
		conference := strconv.Itoa(slot + turn/conferenceEvents*liveConferences)
		s := script[turn%conferenceEvents]
		at := began.Unix() + int64(turn)
		pipe.HSet(ctx, "plain:{"+conference+"}",
			"status", "in-progress", "name", "Support queue 7", "sequence", turn, "updated", at)
		pipe.HSet(ctx, "plain:{"+conference+"}:participants",
			strconv.Itoa(s.leg), `{"kind":"`+string(s.kind)+`","muted":false,"hold":false}`)
		pipe.ZAdd(ctx, "plain:updated", redis.Z{Score: float64(at), Member: conference})
	}
	_, err := pipe.Exec(ctx)
	return err
}
