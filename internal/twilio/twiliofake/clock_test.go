package twiliofake_test

import (
	"sync"
	"time"
)

// handClock does not move until a test moves it.
type handClock struct {
	mu      sync.Mutex
	now     time.Time
	waiting map[chan time.Time]time.Time
}

func newHandClock() *handClock {
	return &handClock{now: opening, waiting: map[chan time.Time]time.Time{}}
}

// Now returns the clock's time.
func (c *handClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// After delivers once the clock has been moved by d.
func (c *handClock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	passed := make(chan time.Time, 1)
	c.waiting[passed] = c.now.Add(d)
	c.ring()
	return passed
}

// passes moves the clock.
func (c *handClock) passes(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.ring()
}

func (c *handClock) ring() {
	for passed, at := range c.waiting {
		if !at.After(c.now) {
			passed <- c.now
			delete(c.waiting, passed)
		}
	}
}
