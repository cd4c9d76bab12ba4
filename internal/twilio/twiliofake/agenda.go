package twiliofake

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// Clock is the time of the fake.
type Clock interface {
	Now() time.Time
	// After delivers once d has passed.
	After(d time.Duration) <-chan time.Time
}

// WallClock is the time of this machine.
func WallClock() Clock { return wallClock{} }

type wallClock struct{}

func (wallClock) Now() time.Time                         { return time.Now() }
func (wallClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// FastForward is a clock that begins at start and never waits: an hour of the
// call floor passes as fast as its callbacks are answered.
func FastForward(start time.Time) Clock { return &fastForward{now: start} }

type fastForward struct {
	mu  sync.Mutex
	now time.Time
}

func (c *fastForward) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fastForward) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(max(d, 0))
	passed := make(chan time.Time, 1)
	passed <- c.now
	return passed
}

// agenda holds everything that is still to happen, in order of time. One goroutine executes it, so
// that the seed decides what happens and not this machine's scheduler.
type agenda struct {
	clock Clock
	added chan struct{} // holds one token when the earliest step may have changed

	mu    sync.Mutex
	steps steps
	count uint64
}

func newAgenda(clock Clock) *agenda {
	return &agenda{clock: clock, added: make(chan struct{}, 1)}
}

// planned is a step and the delay after which it runs.
type planned struct {
	after time.Duration
	do    func() error
}

// after adds do to the agenda, d from now.
func (a *agenda) after(d time.Duration, do func() error) { a.plan([]planned{{d, do}}) }

// plan adds several steps to the agenda, all delays counted from the same time.
func (a *agenda) plan(all []planned) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.clock.Now()
	for _, p := range all {
		a.count++
		heap.Push(&a.steps, step{at: now.Add(p.after), order: a.count, do: p.do})
	}
	select {
	case a.added <- struct{}{}:
	default:
	}
}

// run passes every step to perform at its time, until ctx ends or a step fails.
func (a *agenda) run(ctx context.Context, perform func(do func() error) error) error {
	for ctx.Err() == nil {
		if due, ok := a.takeDue(); ok {
			if err := perform(due.do); err != nil {
				return err
			}
			continue
		}
		select {
		case <-a.untilNext():
		case <-a.added:
		case <-ctx.Done():
		}
	}
	return nil
}

// takeDue removes the earliest step whose time has come.
func (a *agenda) takeDue() (step, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.steps) == 0 || a.steps[0].at.After(a.clock.Now()) {
		return step{}, false
	}
	return heap.Pop(&a.steps).(step), true
}

// untilNext delivers when the earliest step is due; on an empty agenda never.
func (a *agenda) untilNext() <-chan time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.steps) == 0 {
		return nil
	}
	return a.clock.After(a.steps[0].at.Sub(a.clock.Now()))
}

// step is one thing to do; order keeps steps of the same time in the order in
// which they were planned.
type step struct {
	at    time.Time
	order uint64
	do    func() error
}

type steps []step

func (s steps) Len() int { return len(s) }

func (s steps) Less(i, j int) bool {
	if !s[i].at.Equal(s[j].at) {
		return s[i].at.Before(s[j].at)
	}
	return s[i].order < s[j].order
}

func (s steps) Swap(i, j int) { s[i], s[j] = s[j], s[i] }

func (s *steps) Push(x any) { *s = append(*s, x.(step)) }

func (s *steps) Pop() any {
	last := (*s)[len(*s)-1]
	*s = (*s)[:len(*s)-1]
	return last
}
