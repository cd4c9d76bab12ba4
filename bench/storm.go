package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"

	dto "github.com/prometheus/client_model/go"

	"gavel/internal/bus"
)

const rowStorm = "storm"

const (
	// stormDoorRate is how many callbacks per second the door receives during the storm.
	stormDoorRate = 100
	// stormDrainsWithin ends a storm that does not drain: decisions that are
	// not done after five minutes expire.
	stormDrainsWithin = 8 * time.Minute
	// stormAppenders is how many goroutines fill the journal; time is short.
	stormAppenders = 500
	// stormPollEvery is the interval between reads of Gavel's metrics: each
	// read costs Gavel about a millisecond.
	stormPollEvery = 250 * time.Millisecond
	// stormReportEvery is the interval between progress lines.
	stormReportEvery = 15 * time.Second
	// stormLanes is the default of an external NATS.
	stormLanes = 8
	// doorLoadBefore is how long before the storm the load of the door starts.
	doorLoadBefore = 2 * time.Second
)

// storm measures conferences that are all due within the same second. It is printed and has no bar,
// but its counts have to be right: it fails if a conference was not judged exactly once, was ended
// twice, or a callback was refused.
type storm struct{}

func (storm) rows() []string              { return []string{rowStorm} }
func (storm) keep(func(name string) bool) {}

// measure runs one round: a round takes minutes.
func (storm) measure(ctx context.Context, shop *workshop, progress io.Writer) ([]line, error) {
	w := stormWorld{shop: shop, count: shop.stormConferences, progress: progress}
	passed, err := w.run(ctx)
	if err != nil {
		return nil, fmt.Errorf("storm: %w", err)
	}
	return []line{{
		name:  rowStorm,
		what:  fmt.Sprintf("%d conferences due in one second, half of them lapsed", w.count),
		aside: passed.String(),
	}}, nil
}

// stormWorld is everything that a storm needs, each part in its own process.
type stormWorld struct {
	shop     *workshop
	count    int
	progress io.Writer

	nats    string
	standIn *child
	gavel   *gavel
	// due is when the first conference is due.
	due time.Time
}

// stormPassed is the result of a storm.
type stormPassed struct {
	drain, plain time.Duration
	// late is the time from a conference's deadline to its end at Twilio; woken is the time from
	// its alarm to its wake-up in the journal, read from a coarse histogram.
	late50, late99, lateMost time.Duration
	woken50, woken99         time.Duration
	door                     loaded
	rang, overdue            float64
}

func (p stormPassed) String() string {
	return fmt.Sprintf("drained in %.1f s, %.1f times the %.2f s of publishing and consuming as many messages; "+
		"ended at Twilio p50 %.1f p99 %.1f max %.1f s after due, woken p50 %.1f p99 %.1f s; %.0f alarms rang, %.0f were overdue; "+
		"door at %d/s: %d answered, none refused, p50 %s p99 %s",
		p.drain.Seconds(), p.drain.Seconds()/p.plain.Seconds(), p.plain.Seconds(),
		p.late50.Seconds(), p.late99.Seconds(), p.lateMost.Seconds(), p.woken50.Seconds(), p.woken99.Seconds(), p.rang, p.overdue,
		stormDoorRate, p.door.Sent, rounded(p.door.P50), rounded(p.door.P99))
}

// run starts everything, fills the journal, waits for the storm, and measures it until it drains.
func (w *stormWorld) run(ctx context.Context) (passed stormPassed, err error) {
	var stopNATS func() error
	if w.nats, stopNATS, err = startNATS(ctx, w.shop, syncDefault); err != nil {
		return passed, err
	}
	defer join(&err, stopNATS)
	if passed.plain, err = w.plain(ctx); err != nil {
		return passed, err
	}
	redis, err := startRedis(ctx, w.shop)
	if err != nil {
		return passed, err
	}
	defer join(&err, redis.stop)
	if err := w.startStandIn(ctx); err != nil {
		return passed, err
	}
	defer join(&err, w.standIn.stop)
	if err := w.startGavel(ctx, redis.url()); err != nil {
		return passed, err
	}
	defer join(&err, w.gavel.stop)
	if err := w.prepare(ctx); err != nil {
		return passed, err
	}
	return passed, w.drain(ctx, &passed)
}

// plain measures the same NATS without any part of Gavel.
func (w *stormWorld) plain(ctx context.Context) (time.Duration, error) {
	binary, err := w.shop.build(ctx, "plainnats", "./bench/plainnats", "-tags", "plainnats")
	if err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, binary, "-nats", "nats://"+w.nats, "-messages", fmt.Sprint(w.count))
	cmd.Stderr = os.Stderr
	raw, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("publish and consume: %w", err)
	}
	var done worked
	if err := json.Unmarshal(raw, &done); err != nil {
		return 0, fmt.Errorf("publish and consume: %w", err)
	}
	fmt.Fprintf(w.progress, "storm: %d messages published and consumed in %.2f s\n", done.Events, done.Seconds)
	return time.Duration(done.Seconds * float64(time.Second)), nil
}

func (w *stormWorld) startStandIn(ctx context.Context) (err error) {
	cmd := exec.CommandContext(ctx, w.shop.self, "standin", "-conferences", fmt.Sprint(w.count))
	w.standIn, err = start(ctx, "stand-in", readyLine, cmd)
	return err
}

// startGavel starts gavel serve with the rule, and waits until the rule is in force in every lane.
func (w *stormWorld) startGavel(ctx context.Context, redis string) error {
	dir, _, err := w.shop.tempDir("storm") // removed with the workshop
	if err != nil {
		return err
	}
	settings, rules := filepath.Join(dir, "gavel.yaml"), filepath.Join(dir, "storm.yaml")
	if err := os.WriteFile(settings, fmt.Appendf(nil, "nats: {replicas: 1, lanes: %d, sync: interval}\n", stormLanes), 0o600); err != nil {
		return fmt.Errorf("write the settings: %w", err)
	}
	if err := os.WriteFile(rules, stormRule(w.count), 0o600); err != nil {
		return fmt.Errorf("write the rule: %w", err)
	}
	w.gavel, err = startGavel(ctx, w.shop, "--config", settings,
		"--nats", "nats://"+w.nats, "--redis", redis, "--rules", rules, "--twilio-api", "http://"+w.standIn.ready)
	if err != nil {
		return err
	}
	_, err = w.gavel.await(ctx, stormPollEvery, catchUpWithin, "lanes with the rule in force", stormLanes, func(m measured) float64 {
		return m.count("gavel_rule_loads_total", "")
	})
	if err != nil {
		return errors.Join(err, w.gavel.stop())
	}
	return nil
}

// prepare appends the callbacks of all conferences to the journal, and waits
// until all are in the picture with their alarms set.
func (w *stormWorld) prepare(ctx context.Context) (err error) {
	b, err := bus.Open(ctx, bus.Config{URL: "nats://" + w.nats, Lanes: stormLanes, Replicas: 1}, warnings())
	if err != nil {
		return err
	}
	defer join(&err, func() error { return closeBus(b) })
	began := time.Now()
	w.due = began.Add(stormFor(w.count))
	appended, err := appendStorm(ctx, b.Journal(), w.count, began)
	if err != nil {
		return err
	}
	fmt.Fprintf(w.progress, "storm: %d callbacks of %d conferences in the journal after %.1f s\n", appended, w.count, time.Since(began).Seconds())
	at, err := w.gavel.await(ctx, stormPollEvery, time.Until(w.due), "callbacks visible before the storm begins", appended+stormLanes, func(m measured) float64 {
		return float64(m.histogram(visibleMetric).GetSampleCount())
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(w.progress, "storm: all visible after %.1f s, due after %.1f s\n", at.Sub(began).Seconds(), w.due.Sub(began).Seconds())
	return nil
}

// appendStorm appends the entries of the conferences, each conference's in
// order, and returns their number.
func appendStorm(ctx context.Context, journal *bus.Journal, count int, began time.Time) (total int, err error) {
	var appended atomic.Int64
	err = sideBySide(ctx, stormAppenders, count, func(ctx context.Context, n int) error {
		for _, e := range stormEntries(n, count, began) {
			if err := journal.Append(ctx, stormConference(n), e); err != nil {
				return err
			}
			appended.Add(1)
		}
		return nil
	})
	return int(appended.Load()), err
}

// drain loads the door, waits until every decision has its outcome, and checks the results.
func (w *stormWorld) drain(ctx context.Context, passed *stormPassed) (err error) {
	stopLoad, err := w.loadDoor(ctx)
	if err != nil {
		return err
	}
	decisions := w.expected().decisions
	report := w.reportEvery(stormReportEvery)
	ended, err := w.gavel.await(ctx, stormPollEvery, time.Until(w.due)+stormDrainsWithin, "decisions ended", decisions, func(m measured) float64 {
		report(m)
		return m.count("gavel_actions_total", "")
	})
	var loadErr error
	if passed.door, loadErr = stopLoad(); err == nil && loadErr != nil {
		err = fmt.Errorf("callbacks meanwhile: %w", loadErr)
	}
	if err != nil {
		return err
	}
	passed.drain = ended.Sub(w.due)
	return w.sumUp(ctx, passed)
}

// reportEvery prints the progress at an interval.
func (w *stormWorld) reportEvery(d time.Duration) func(measured) {
	next := w.due
	return func(m measured) {
		now := time.Now()
		if now.Before(next) {
			return
		}
		next = now.Add(d)
		fmt.Fprintf(w.progress, "storm: %.0f s after due: %.0f alarms rang, %.0f conferences decided, %.0f decisions ended\n",
			now.Sub(w.due).Seconds(), m.count("gavel_alarms_rang_total", ""), m.count("gavel_rule_decisions_total", ""), m.count("gavel_actions_total", ""))
	}
}

// loadDoor sends callbacks of other conferences through the door until stop is called.
func (w *stormWorld) loadDoor(ctx context.Context) (stop func() (loaded, error), err error) {
	requests, err := w.shop.once("storm-requests", func(path string) error {
		return writeRequests(path, int(stormDrainsWithin.Seconds()+stormFor(w.count).Seconds())*stormDoorRate)
	})
	if err != nil {
		return nil, err
	}
	if err := wait(ctx, time.Until(w.due.Add(-doorLoadBefore))); err != nil {
		return nil, err
	}
	l := load{addr: w.gavel.ready, requests: requests, lasting: 2 * stormDrainsWithin, rate: stormDoorRate}
	var done loaded
	end := runInBackground(ctx, func(ctx context.Context) (err error) {
		done, err = l.send(ctx)
		return err
	})
	return func() (loaded, error) {
		err := end()
		return done, err
	}, nil
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sumUp reads the results from the stand-in and from Gavel's metrics.
func (w *stormWorld) sumUp(ctx context.Context, passed *stormPassed) error {
	tally, err := w.tally(ctx)
	if err != nil {
		return err
	}
	m, err := w.gavel.metrics(ctx)
	if err != nil {
		return err
	}
	if err := w.expected().check(m, tally); err != nil {
		return err
	}
	passed.late50, passed.late99, passed.lateMost = w.lateness(tally)
	woken := m.histogram("gavel_rule_wake_lag_seconds")
	passed.woken50, passed.woken99 = quantile(0.5, &dto.Histogram{}, woken), quantile(0.99, &dto.Histogram{}, woken)
	passed.rang = m.count("gavel_alarms_rang_total", "")
	passed.overdue = m.count("gavel_rule_deadlines_overdue_total", "")
	return nil
}

// lateness returns how long after its deadline each conference was ended.
func (w *stormWorld) lateness(tally standInTally) (p50, p99, most time.Duration) {
	late := make([]time.Duration, 0, len(tally.EndedAt))
	for n, at := range tally.EndedAt {
		late = append(late, time.Unix(0, at).Sub(stormDue(n, w.count, w.due)))
	}
	return percentile(late, 50), percentile(late, 99), percentile(late, 100)
}

func (w *stormWorld) tally(ctx context.Context) (tally standInTally, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.standIn.ready+"/tally", nil)
	if err != nil {
		return tally, fmt.Errorf("query the stand-in: %w", err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return tally, fmt.Errorf("query the stand-in: %w", err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&tally); err != nil {
		return tally, fmt.Errorf("query the stand-in: %w", err)
	}
	return tally, nil
}
