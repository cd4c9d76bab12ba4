package main

import (
	"context"
	"fmt"
	"io"
	"time"

	dto "github.com/prometheus/client_model/go"
)

const rowVisible = "visible"

// visibleRate is the open-loop load: it keeps Gavel busy, not saturated.
const visibleRate = 1000 // callbacks per second

// latencies measures from the arrival of a POST to its record in a real Redis. The results are
// printed and have no bar, because milliseconds depend on the machine.
type latencies struct{}

func (latencies) rows() []string              { return []string{rowVisible} }
func (latencies) keep(func(name string) bool) {}

// measure runs both sync modes in every round and prints the median round.
func (latencies) measure(ctx context.Context, shop *workshop, progress io.Writer) ([]line, error) {
	if err := prepareDoors(ctx, shop); err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	syncs := []string{"interval", "always"}
	found := make(map[string][]latency)
	for round := range shop.rounds {
		for _, sync := range inTurn(syncs, round) {
			l, err := measureLatency(ctx, shop, sync)
			if err != nil {
				return nil, fmt.Errorf("round %d, sync %s: %w", round+1, sync, err)
			}
			found[sync] = append(found[sync], l)
			fmt.Fprintf(progress, "round %d/%d  sync %-11s %s\n", round+1, shop.rounds, sync, l)
		}
	}
	var lines []line
	for _, sync := range syncs {
		lines = append(lines, line{
			name:  rowVisible,
			what:  fmt.Sprintf("POST to visible in Redis at %d/s, sync %s", visibleRate, sync),
			aside: medianLatency(found[sync]).String(),
		})
	}
	return lines, nil
}

// latency is the result of one run. Visible is read from the projector's histogram, which starts
// when the request has arrived; post is measured by the loader.
type latency struct {
	visible50, visible99 time.Duration
	post50, post99       time.Duration
}

func (l latency) String() string {
	return fmt.Sprintf("visible p50 %s p99 %s; POST p50 %s p99 %s",
		rounded(l.visible50), rounded(l.visible99), rounded(l.post50), rounded(l.post99))
}

func rounded(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

// measureLatency warms Gavel up first, so that the cost of a process's first callbacks is excluded.
func measureLatency(ctx context.Context, shop *workshop, sync string) (_ latency, err error) {
	server, err := startRedis(ctx, shop)
	if err != nil {
		return latency{}, err
	}
	defer join(&err, server.stop)
	g, err := startGavel(ctx, shop, "--sync", sync, "--redis", server.url())
	if err != nil {
		return latency{}, err
	}
	defer join(&err, g.stop)
	warm := load{addr: g.ready, lasting: time.Second, rate: visibleRate}
	first, before, err := g.loadVisibly(ctx, shop, warm)
	if err != nil {
		return latency{}, err
	}
	measured := load{addr: g.ready, first: first.Sent, lasting: shop.lasting, rate: visibleRate}
	done, after, err := g.loadVisibly(ctx, shop, measured)
	if err != nil {
		return latency{}, err
	}
	return latency{
		visible50: quantile(0.5, before, after), visible99: quantile(0.99, before, after),
		post50: done.P50, post99: done.P99,
	}, nil
}

// loadVisibly sends a load, waits until the picture has all of it, and returns
// the histogram at that time.
func (g *gavel) loadVisibly(ctx context.Context, shop *workshop, l load) (loaded, *dto.Histogram, error) {
	done, err := shop.load(ctx, l)
	if err != nil {
		return loaded{}, nil, err
	}
	if _, err := g.allVisible(ctx, l.first+done.Sent); err != nil {
		return loaded{}, nil, err
	}
	h, err := g.visible(ctx)
	return done, h, err
}

// medianLatency returns the median of each figure separately.
func medianLatency(all []latency) latency {
	of := func(figure func(latency) time.Duration) time.Duration {
		values := make([]float64, len(all))
		for i, l := range all {
			values[i] = float64(figure(l))
		}
		return time.Duration(spreadOf(values).median)
	}
	return latency{
		visible50: of(func(l latency) time.Duration { return l.visible50 }),
		visible99: of(func(l latency) time.Duration { return l.visible99 }),
		post50:    of(func(l latency) time.Duration { return l.post50 }),
		post99:    of(func(l latency) time.Duration { return l.post99 }),
	}
}
