package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// visibleMetric is the histogram of the time from a callback's arrival to its
// record in the store.
const visibleMetric = "gavel_visible_seconds"

const (
	// pollEvery is how often it is asked whether the picture has caught up.
	pollEvery = 10 * time.Millisecond
	// catchUpWithin ends a run whose picture stays behind.
	catchUpWithin = time.Minute
)

// allVisible waits until count callbacks are in the picture and returns when
// that was.
func (g *gavel) allVisible(ctx context.Context, count int) (time.Time, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, catchUpWithin,
		fmt.Errorf("the picture has not caught up after %s", catchUpWithin))
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		h, err := g.visible(ctx)
		if err != nil {
			return time.Time{}, err
		}
		if h.GetSampleCount() >= uint64(count) {
			return time.Now(), nil
		}
		select {
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("%w: %d of %d callbacks are visible", context.Cause(ctx), h.GetSampleCount(), count)
		case <-tick.C:
		}
	}
}

// visible reads the histogram as it stands.
func (g *gavel) visible(ctx context.Context) (*dto.Histogram, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.ready+"/metrics", nil)
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	defer answer.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(answer.Body)
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	family, ok := families[visibleMetric]
	if !ok || len(family.Metric) == 0 {
		return nil, fmt.Errorf("read metrics: there is no %s", visibleMetric)
	}
	return family.Metric[0].GetHistogram(), nil
}

// quantile reads q off what was counted between two states of a histogram, as
// Prometheus does: within a bucket all values are taken to lie evenly.
func quantile(q float64, before, after *dto.Histogram) time.Duration {
	want := q * float64(after.GetSampleCount()-before.GetSampleCount())
	var floor, counted float64
	for i, bucket := range after.Bucket {
		upTo := float64(bucket.GetCumulativeCount() - cumulative(before, i))
		if upTo >= want && upTo > counted {
			share := (want - counted) / (upTo - counted)
			return time.Duration((floor + share*(bucket.GetUpperBound()-floor)) * float64(time.Second))
		}
		floor, counted = bucket.GetUpperBound(), upTo
	}
	return time.Duration(floor * float64(time.Second))
}

func cumulative(h *dto.Histogram, bucket int) uint64 {
	if bucket >= len(h.Bucket) {
		return 0
	}
	return h.Bucket[bucket].GetCumulativeCount()
}
