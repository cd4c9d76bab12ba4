package clock_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"gavel/internal/bus"
	"gavel/internal/clock"
)

const day = 24 * time.Hour

// machine is a machine whose clock a test sets, with the Gavels that run on it one after another.
type machine struct {
	*testing.T
	bus *bus.Bus

	mu      sync.Mutex
	wall    time.Time
	elapsed time.Duration
	doubts  []string
}

var begin = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

func newMachine(t *testing.T) *machine {
	t.Helper()
	b, err := bus.Open(t.Context(), bus.Config{DataDir: t.TempDir(), Sync: bus.SyncInterval, Listen: bus.ListenOff}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close(context.Background()) })
	return &machine{T: t, bus: b, wall: begin}
}

// pass lets real time pass; jump changes the clock alone.
func (m *machine) pass(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wall, m.elapsed = m.wall.Add(d), m.elapsed+d
}

func (m *machine) jump(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wall = m.wall.Add(d)
}

func (m *machine) now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.wall
}

// start starts a Gavel. newest is the newest entry of the journal.
func (m *machine) start(newest time.Time) *clock.Clock {
	m.Helper()
	c, err := clock.Open(m.Context(), clock.Config{
		Bucket: m.bus.Brakes(), Newest: newest, Wall: m.now,
		Elapsed: func() time.Duration { m.mu.Lock(); defer m.mu.Unlock(); return m.elapsed },
		Report: func(err error) {
			m.mu.Lock()
			defer m.mu.Unlock()
			if err == nil {
				m.doubts = append(m.doubts, "")
			} else {
				m.doubts = append(m.doubts, err.Error())
			}
		},
	})
	if err != nil {
		m.Fatal(err)
	}
	return c
}

func (m *machine) share(c *clock.Clock) {
	m.Helper()
	if err := c.Share(m.Context()); err != nil {
		m.Fatal(err)
	}
}

func (m *machine) want(what string, c *clock.Clock, now, passed time.Time, doubt bool) {
	m.Helper()
	if got := c.Now(); !got.Equal(now) {
		m.Errorf("%s: it is %v, not %v", what, got, now)
	}
	if got := c.Passed(); !got.Equal(passed) {
		m.Errorf("%s: %v has passed, not %v", what, got, passed)
	}
	if err := c.Doubt(); (err != nil) != doubt {
		m.Errorf("%s: the doubt is %v", what, err)
	}
}

// The clock is 40 days ahead at one start: nothing may expire by it.
func TestAClockThatIsAheadAtOneStartIsInDoubt(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	c := m.start(time.Time{})
	m.want("before the first callback", c, begin, time.Time{}, false)
	c.Witness(begin.Add(-time.Second))
	m.pass(time.Hour)
	m.want("an hour later", c, m.now(), m.now().Add(-time.Second), false)
	m.share(c)
	last := c.Passed()

	m.jump(40 * day)
	c = m.start(time.Time{})
	m.want("after the start", c, last, last, true)
	m.pass(time.Minute)
	if m.want("a minute later", c, last.Add(time.Minute), last.Add(time.Minute), true); len(m.doubts) != 1 {
		t.Errorf("reported: %q", m.doubts)
	}
	signed := last.Add(10 * time.Minute) // it was down for nine
	c.Witness(signed)
	m.want("after a callback", c, signed, signed, true)
	c.Witness(signed.Add(-20 * day)) // Twilio retries, or an old letter is redriven
	m.want("after an old fact", c, signed, signed, true)

	m.jump(signed.Sub(m.now()))
	c.Check()
	m.want("after the correction", c, signed, signed, false)
	if n := len(m.doubts); m.doubts[n-1] != "" {
		t.Errorf("reported: %q", m.doubts)
	}
}

// A holiday of 40 days: what is old expires, after the first callback.
func TestASilenceOfFortyDaysEndsWithACallback(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	c := m.start(time.Time{})
	c.Witness(begin)
	m.share(c)
	m.pass(40 * day) // while it runs, no callback is needed
	m.want("without callbacks", c, m.now(), m.now(), false)
	m.jump(40 * day) // stopped
	c = m.start(time.Time{})
	m.want("started again", c, begin, begin, true)
	signed := m.now().Add(-2 * time.Second)
	c.Witness(signed)
	m.want("after a callback", c, m.now(), signed, false)
}

func TestAnotherProcessEndsTheDoubt(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	one := m.start(time.Time{})
	one.Witness(begin)
	m.share(one)
	m.jump(3 * day)
	one, two := m.start(time.Time{}), m.start(time.Time{})
	one.Witness(m.now())
	m.want("the other one", two, begin, begin, true)
	m.share(one)
	m.share(two)
	m.want("the other one", two, m.now(), m.now(), false)
	m.want("a third one", m.start(time.Time{}), m.now(), m.now(), false)
}

func TestAClockThatJumpsWhileGavelRunsIsInDoubt(t *testing.T) {
	t.Parallel()
	for what, by := range map[string]time.Duration{"ahead": 40 * day, "behind": -40 * day} {
		m := newMachine(t)
		c := m.start(begin.Add(-time.Hour))
		c.Witness(begin)
		m.jump(by)
		passed := begin
		if by < 0 {
			passed = m.now()
		}
		m.want(what, c, begin, passed, true)
		c.Confirm(begin.Add(time.Minute)) // Twilio's API
		if by > 0 {
			passed = begin.Add(time.Minute)
		}
		m.want(what+", after Twilio's answer", c, begin.Add(time.Minute), passed, true)
	}
}

// Data of a former Gavel has no proven time. Its journal's newest entry takes its place, and a wrong
// one does no harm for longer than until the next callback.
func TestTheJournalsNewestEntryIsProvenUntilSomethingElseIs(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.want("after a week", m.start(begin.Add(-7*day)), begin.Add(-7*day), begin.Add(-7*day), true)
	m.want("after an hour", m.start(begin.Add(-time.Hour)), begin, begin.Add(-time.Hour), false)
	m.want("ahead of the clock", m.start(begin.Add(40*day)), begin, begin, false)

	// The former Gavel stored it with a clock that was ahead, as was that of the upgrade.
	m.jump(40 * day)
	c := m.start(m.now())
	m.share(c)
	m.jump(-40 * day)
	c = m.start(m.now())
	m.want("after the correction", c, begin.Add(40*day), begin, true)
	c.Witness(begin)
	m.want("after a callback", c, begin, begin, false)
	m.share(c)
	m.want("after the next start", m.start(time.Time{}), begin, begin, false)
}

// Facts that say nothing about the present: old ones at first, and one from the future.
func TestAFactThatIsOldOrAheadCausesNoDoubt(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	c := m.start(time.Time{})
	c.Witness(begin.Add(-100 * day))
	m.want("an old fact", c, begin, begin.Add(-100*day), false)
	c.Witness(begin.Add(100 * day))
	m.want("a fact from the future", c, begin, begin, false)
	c.Witness(time.Time{})
	m.want("a fact without a time", c, begin, begin, false)
}

func TestRunReportsAndShares(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	c := m.start(time.Time{})
	c.Witness(begin)
	m.share(c)
	m.jump(2 * day)
	c = m.start(time.Time{})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = c.Run(ctx) })
	defer running.Wait()
	defer cancel()
	c.Witness(m.now())
	for tick := time.NewTicker(5 * time.Millisecond); m.start(time.Time{}).Doubt() != nil; <-tick.C {
		if ctx.Err() != nil {
			t.Fatal("the end of the doubt was not shared")
		}
	}
}
