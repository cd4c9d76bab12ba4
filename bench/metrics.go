package main

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// visibleMetric is the histogram of the time from a callback's arrival to its record in the store.
const visibleMetric = "gavel_visible_seconds"

const (
	// pollEvery is the interval between checks whether the picture has caught up.
	pollEvery = 10 * time.Millisecond
	// catchUpWithin ends a run whose picture does not catch up.
	catchUpWithin = time.Minute
)

// allVisible waits until count callbacks are in the picture and returns that time.
func (g *gavel) allVisible(ctx context.Context, count int) (time.Time, error) {
	return g.await(ctx, pollEvery, catchUpWithin, "callbacks visible", count, func(m measured) float64 {
		return float64(m.histogram(visibleMetric).GetSampleCount())
	})
}

// await polls the metrics until counted reaches count, and returns that time.
func (g *gavel) await(ctx context.Context, every, within time.Duration, what string, count int, counted func(measured) float64) (time.Time, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("not within %s", within))
	defer cancel()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		m, err := g.metrics(ctx)
		if err != nil {
			return time.Time{}, err
		}
		so := counted(m)
		if so >= float64(count) {
			return time.Now(), nil
		}
		select {
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("%s: %.0f of %d: %w", what, so, count, context.Cause(ctx))
		case <-g.ended:
			return time.Time{}, fmt.Errorf("%s: %.0f of %d: gavel exited: %w\n%s", what, so, count, g.err, g.lastOutput)
		case <-tick.C:
		}
	}
}

// visible returns the histogram's current state.
func (g *gavel) visible(ctx context.Context) (*dto.Histogram, error) {
	m, err := g.metrics(ctx)
	if err != nil {
		return nil, err
	}
	return m.histogram(visibleMetric), nil
}

// cpu is the CPU time of the process so far.
func (g *gavel) cpu(ctx context.Context) (time.Duration, error) {
	m, err := g.metrics(ctx)
	if err != nil {
		return 0, err
	}
	return time.Duration(m.count("process_cpu_seconds_total", "") * float64(time.Second)), nil
}

// cpuSince returns the CPU time per callback since before.
func (g *gavel) cpuSince(ctx context.Context, before time.Duration, callbacks int) (time.Duration, error) {
	now, err := g.cpu(ctx)
	return (now - before) / time.Duration(max(callbacks, 1)), err
}

// measured holds a process's metrics at one moment.
type measured map[string]*dto.MetricFamily

// metrics fetches the metrics.
func (g *gavel) metrics(ctx context.Context) (measured, error) {
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
	return families, nil
}

// histogram returns the histogram of that name, or an empty one.
func (m measured) histogram(name string) *dto.Histogram {
	if family := m[name]; family != nil && len(family.Metric) > 0 {
		return family.Metric[0].GetHistogram()
	}
	return &dto.Histogram{}
}

// count sums a counter over all its series that have value as one of their
// labels, or over all of them if value is empty.
func (m measured) count(name, value string) (sum float64) {
	for _, one := range m[name].GetMetric() {
		if value == "" || slices.ContainsFunc(one.Label, func(l *dto.LabelPair) bool { return l.GetValue() == value }) {
			sum += one.GetCounter().GetValue()
		}
	}
	return sum
}

// quantile computes q from the observations between two states of a histogram,
// as Prometheus does: it assumes that values are spread evenly within a bucket,
// and counts those above the last bound at that bound.
func quantile(q float64, before, after *dto.Histogram) time.Duration {
	want := q * float64(after.GetSampleCount()-before.GetSampleCount())
	var floor, counted float64
	for i, bucket := range after.Bucket {
		upTo := float64(bucket.GetCumulativeCount() - cumulative(before, i))
		if math.IsInf(bucket.GetUpperBound(), 1) {
			break
		}
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
