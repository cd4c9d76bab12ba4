package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// beatEvery is how often a projector says that it is there, and how many
	// lanes it holds.
	beatEvery = 500 * time.Millisecond
	// missedAfter is when one that was not heard is taken for gone. It is less
	// than pinTimeout, so that by the time its lanes are free the others know
	// that they may have more.
	missedAfter = 4 * beatEvery
	// heardWithin is what others get to answer a newcomer, which takes no lane
	// before.
	heardWithin = 250 * time.Millisecond
	// nobodysAfter is when a free lane is taken by one that has its share
	// already: a lane must not stand still for the sake of fairness.
	nobodysAfter = 2 * pinTimeout
	// giveEvery lets the others see what came of a lane given away before the
	// next one goes.
	giveEvery = time.Second
	// wellAfter is how long after a failure of its own a projector leaves what
	// others hold with them: longer than the pauses between its tries.
	wellAfter = 10 * time.Second
)

// crew are the projectors that share the lanes of one journal, as one of them
// knows them: each has its share, and gives away what it holds beyond it while
// another has less. Nobody decides for all. What they tell each other is a help
// for the choice alone: whose a lane is, its pin says, whatever was heard here.
type crew struct {
	conn  *nats.Conn
	id    string
	lanes int

	joined, left sync.Once
	known        chan struct{} // closed once others have had time to answer
	quit         chan struct{}
	ended        chan struct{}

	mu     sync.Mutex
	held   int
	others map[string]member
	gave   time.Time
	ailed  time.Time
}

// member is another projector, when it was last heard.
type member struct {
	held int
	at   time.Time
}

// beat is what a projector says.
type beat struct {
	ID   string `json:"id"`
	Held int    `json:"held"`
	// New asks all others to say theirs; Gone is the last one.
	New  bool `json:"new,omitempty"`
	Gone bool `json:"gone,omitempty"`
}

func newCrew(conn *nats.Conn, lanes int) *crew {
	return &crew{
		conn: conn, id: nats.NewInbox(), lanes: lanes,
		known: make(chan struct{}), quit: make(chan struct{}), ended: make(chan struct{}),
		others: map[string]member{},
	}
}

// join says that we are there, the first time it is called. A process that
// works no lane never joins, and where there is one lane there is nothing to
// share.
func (c *crew) join() {
	c.joined.Do(func() {
		if c.lanes == 1 {
			close(c.known)
			close(c.ended)
			return
		}
		go c.run()
	})
}

// meet waits until others have had time to answer.
func (c *crew) meet(ctx context.Context) error {
	select {
	case <-c.known:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// leave says that we go, and waits for the end, whether or not we had joined.
func (c *crew) leave() {
	c.joined.Do(func() { close(c.ended) })
	c.left.Do(func() { close(c.quit) })
	<-c.ended
}

// run beats until the crew is left. Where nothing can be said or heard, we are
// alone and take whatever is free.
func (c *crew) run() {
	defer close(c.ended)
	sub, err := c.conn.Subscribe(crewSubject, c.hear)
	if err == nil {
		defer func() { _ = sub.Unsubscribe() }()
	}
	c.say(beat{New: true})
	known := time.AfterFunc(heardWithin, func() { close(c.known) })
	defer known.Stop()
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.say(beat{})
		case <-c.quit:
			c.say(beat{Gone: true})
			return
		}
	}
}

// say is lost where the connection is, which then has worse to lose.
func (c *crew) say(b beat) {
	c.mu.Lock()
	b.ID, b.Held = c.id, c.held
	if !c.isWell() {
		b.Held = c.lanes
	}
	c.mu.Unlock()
	if data, err := json.Marshal(b); err == nil {
		_ = c.conn.Publish(crewSubject, data)
	}
}

func (c *crew) hear(m *nats.Msg) {
	var b beat
	if json.Unmarshal(m.Data, &b) != nil || b.ID == "" || b.ID == c.id || b.Held < 0 {
		return
	}
	c.mu.Lock()
	c.others[b.ID] = member{held: b.Held, at: time.Now()}
	if b.Gone {
		delete(c.others, b.ID)
	}
	c.mu.Unlock()
	if b.New {
		c.say(beat{})
	}
}

// take reports whether we may have one lane more, and counts it as ours. The
// lane has been free for that long.
func (c *crew) take(free time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	full := c.held >= divideUp(c.lanes, c.size()) || !c.isWell() && c.size() > 1
	if full && free < nobodysAfter {
		return false
	}
	c.held++
	return true
}

// drop says that a lane which was taken is ours no more.
func (c *crew) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held--
}

// gives reports whether a lane of ours should go to another, who holds at least
// two fewer.
func (c *crew) gives() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.size() == 1 || time.Since(c.gave) < giveEvery {
		return false
	}
	for _, m := range c.others {
		if m.held+2 <= c.held {
			c.gave = time.Now()
			return true
		}
	}
	return false
}

// ail says that a lane of ours failed for a reason that others need not have:
// for a while we ask for none of theirs.
func (c *crew) ail() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ailed = time.Now()
}

func (c *crew) isWell() bool { return time.Since(c.ailed) > wellAfter }

// size is how many projectors there are, us included.
func (c *crew) size() int {
	for id, m := range c.others {
		if time.Since(m.at) > missedAfter {
			delete(c.others, id)
		}
	}
	return 1 + len(c.others)
}

func divideUp(a, b int) int { return (a + b - 1) / b }

// errGiven ends the work on a lane that goes to another projector.
var errGiven = fmt.Errorf("%w: it is given to a projector that has fewer", ErrLaneMoved)
