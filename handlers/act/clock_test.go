package act_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"gavel/events"
)

// clock is the test's time, and the alarm clocks that go by it. Alarms ring
// when the test lets time go by.
type clock struct {
	mu     sync.Mutex
	now    time.Time
	alarms map[alarmName]alarm
	rung   chan struct{} // closed and replaced when time passes or an alarm is set
}

type alarmName struct {
	key events.Key
	id  string
}

type alarm struct {
	at   time.Time
	note []byte
}

func newClock() *clock {
	return &clock{now: time.Now().Truncate(time.Second), alarms: map[alarmName]alarm{}, rung: make(chan struct{})}
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(by)
	c.ring()
}

// ring wakes those who wait. The caller holds mu.
func (c *clock) ring() {
	close(c.rung)
	c.rung = make(chan struct{})
}

// Later sets an alarm.
func (c *clock) Later(_ context.Context, key events.Key, id string, at time.Time, note []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.alarms[alarmName{key, id}] = alarm{at, note}
	c.ring()
	return nil
}

// Dues gives what is due to fn until ctx ends. What fn fails at stays. What it
// returns for later comes again at once: its own last try may not have ended yet.
func (c *clock) Dues(ctx context.Context, _ int, fn func(context.Context, events.Key, string, []byte) error) error {
	var working sync.WaitGroup
	defer working.Wait()
	for {
		due, rung := c.due()
		for name, a := range due {
			working.Go(func() {
				err := fn(ctx, name.key, name.id, a.note)
				for errors.As(err, new(events.Later)) && ctx.Err() == nil {
					<-time.After(time.Millisecond)
					err = fn(ctx, name.key, name.id, a.note)
				}
				if err != nil {
					c.keep(name, a)
				}
			})
		}
		select {
		case <-rung:
		case <-ctx.Done():
			return nil
		}
	}
}

func (c *clock) due() (due map[alarmName]alarm, rung chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	due = map[alarmName]alarm{}
	for name, a := range c.alarms {
		if !a.at.After(c.now) {
			due[name] = a
			delete(c.alarms, name)
		}
	}
	return due, c.rung
}

// keep puts back an alarm that no worker received, unless another one was set.
func (c *clock) keep(name alarmName, a alarm) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, later := c.alarms[name]; !later {
		c.alarms[name] = a
	}
}

// alarm returns when a decision is tried again that waits for that reason. One
// that rings already does not count.
func (c *clock) alarm(why string) (at time.Time, found bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.alarms {
		var note struct {
			Why string `json:"why"`
		}
		if json.Unmarshal(a.note, &note) == nil && note.Why == why && a.at.After(c.now) {
			return a.at, true
		}
	}
	return at, false
}

// hurry rings the alarms of what waits only because this machine is busy: an answer of NATS or of the
// stand-in that did not come in time. The test's time does not go by for them.
func (c *clock) hurry(reasons ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	hurried := false
	for name, a := range c.alarms {
		var note struct {
			Why string `json:"why"`
		}
		if json.Unmarshal(a.note, &note) == nil && slices.Contains(reasons, note.Why) && a.at.After(c.now) {
			c.alarms[name], hurried = alarm{c.now, a.note}, true
		}
	}
	if hurried {
		c.ring()
	}
}

// waiting is how many alarms are set.
func (c *clock) waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.alarms)
}

// drop takes all alarms away.
func (c *clock) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.alarms)
}
