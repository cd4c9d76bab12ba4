package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"gavel/events"
)

const (
	// missedBeats in a row make a projector one that is gone, and beatEvery is
	// how often it says that it is there: half of pinTimeout in all, so that the
	// others have long agreed on who takes its lanes when these are free.
	missedBeats = 4
	beatEvery   = pinTimeout / 2 / missedBeats
	// answersWithin is what others have to answer a newcomer, which takes no
	// lane before.
	answersWithin = 250 * time.Millisecond
	// givesAfter is how long who is there has not changed before a lane is
	// given away: one that was late with its beats soon is there again.
	givesAfter = time.Second
	// abandonedAfter is when a free lane is taken by one that it was not dealt
	// to: a lane must not stand still because one who is there does not take it.
	abandonedAfter = 10 * time.Second
)

// crew are the projectors that share the lanes of one journal, as one of them
// knows them by what each says: that it is there, and which lanes it holds.
// From that all of them deal the lanes out alike, and nobody decides for the
// others. It only keeps them from getting in each other's way: whose a lane is,
// its pin says, whatever was heard or missed here.
type crew struct {
	conn  *nats.Conn
	id    string // sorts by when we came
	lanes int
	log   *slog.Logger

	joined, left sync.Once
	met          chan struct{} // closed once others have had time to answer
	quit, ended  chan struct{}

	mu      sync.Mutex
	ours    map[int]bool
	others  map[string]*member
	changed time.Time // when somebody came or went
	adopted bool      // since then we took a lane that another had left lying
	gone    bool      // we said so, and say nothing more
}

// member is another projector.
type member struct {
	lanes  map[int]bool
	missed int // beats, counted in ours
}

// beat is what a projector says.
type beat struct {
	ID    string `json:"id"`
	Lanes []int  `json:"lanes"`
	// New asks all others to say theirs; Gone is the last one.
	New  bool `json:"new,omitempty"`
	Gone bool `json:"gone,omitempty"`
}

func newCrew(conn *nats.Conn, lanes int, log *slog.Logger) *crew {
	return &crew{
		conn: conn, id: events.NewULID(), lanes: lanes, log: log,
		met: make(chan struct{}), quit: make(chan struct{}), ended: make(chan struct{}),
		ours: map[int]bool{}, others: map[string]*member{},
	}
}

// meet joins, the first time, and waits until others have had time to answer.
// A process that works no lane never joins, and where there is one lane there
// is nothing to share.
func (c *crew) meet(ctx context.Context) error {
	c.joined.Do(func() {
		if c.lanes == 1 {
			close(c.met)
			close(c.ended)
			return
		}
		go c.run()
	})
	select {
	case <-c.met:
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

// run says and hears who is there until the crew is left. Where nothing can be
// heard we are alone and take whatever is free.
func (c *crew) run() {
	defer close(c.ended)
	sub, err := c.conn.Subscribe(projectorsSubject, c.hear)
	if err != nil {
		c.log.Warn("other projectors are not heard", "err", err)
	} else {
		defer func() { _ = sub.Unsubscribe() }()
	}
	c.say(beat{New: true})
	met := time.AfterFunc(answersWithin, func() { close(c.met) })
	defer met.Stop()
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.countMissed()
			c.say(beat{})
		case <-c.quit:
			c.say(beat{Gone: true})
			return
		}
	}
}

// say publishes a beat. It is lost where the connection is, which then has
// worse to lose.
func (c *crew) say(b beat) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return
	}
	b.ID, b.Lanes, c.gone = c.id, slices.Sorted(maps.Keys(c.ours)), b.Gone
	if data, err := json.Marshal(b); err == nil {
		_ = c.conn.Publish(projectorsSubject, data)
	}
}

func (c *crew) hear(m *nats.Msg) {
	b, err := parseBeat(m.Data, c.lanes)
	if err != nil {
		c.log.Debug("a beat was not understood", "err", err)
		return
	}
	if b.ID == c.id {
		return
	}
	c.note(b)
	if b.New {
		c.say(beat{})
	}
}

// parseBeat reads what say wrote. There is no lane beyond the journal's.
func parseBeat(data []byte, lanes int) (beat, error) {
	var b beat
	if err := json.Unmarshal(data, &b); err != nil {
		return beat{}, fmt.Errorf("parse beat: %w", err)
	}
	if b.ID == "" || slices.ContainsFunc(b.Lanes, func(n int) bool { return n < 0 || n >= lanes }) {
		return beat{}, errors.New("parse beat: no id, or a lane that the journal has not")
	}
	return b, nil
}

func (c *crew) note(b beat) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, known := c.others[b.ID]
	if b.Gone {
		if known {
			c.lost(b.ID, "it said so")
		}
		return
	}
	c.others[b.ID] = &member{lanes: setOf(b.Lanes)}
	if !known {
		c.reshuffle()
		c.log.Info("projector came", "projector", b.ID, "projectors", 1+len(c.others))
	}
}

// countMissed lets go of those who are silent. Our own beats are the measure, so
// that one who stood still does not take the others for gone; and who has no
// connection hears nobody.
func (c *crew) countMissed() {
	if !c.conn.IsConnected() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, m := range c.others {
		if m.missed++; m.missed >= missedBeats {
			c.lost(id, "it is silent")
		}
	}
}

// lost takes another out; under mu.
func (c *crew) lost(id, why string) {
	delete(c.others, id)
	c.reshuffle()
	c.log.Info("projector is gone", "projector", id, "why", why, "projectors", 1+len(c.others))
}

// reshuffle is what follows when somebody came or went; under mu.
func (c *crew) reshuffle() {
	c.changed, c.adopted = time.Now(), false
}

// take reports whether we may have a lane that has been free for so long, and
// if so says that it is ours.
func (c *crew) take(lane int, free time.Duration) bool {
	c.mu.Lock()
	dealt := c.dealt(lane)
	may := !c.claimed(lane) && (dealt || free >= abandonedAfter)
	if may {
		c.ours[lane] = true
		c.adopted = c.adopted || !dealt
	}
	c.mu.Unlock()
	if may {
		c.say(beat{})
	}
	return may
}

// drop says that a lane is not ours, or no more.
func (c *crew) drop(lane int) {
	c.mu.Lock()
	had := c.ours[lane]
	delete(c.ours, lane)
	c.mu.Unlock()
	if had {
		c.say(beat{})
	}
}

// gives reports whether a lane of ours is to be given to another. Who had to
// take more than was dealt to it would give in vain.
func (c *crew) gives(lane int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.others) > 0 && !c.adopted && time.Since(c.changed) >= givesAfter && !c.dealt(lane)
}

// dealt reports whether a lane is ours to work; under mu.
func (c *crew) dealt(lane int) bool {
	held := map[string]map[int]bool{c.id: c.ours}
	for id, m := range c.others {
		held[id] = m.lanes
	}
	return deal(c.lanes, held)[lane] == c.id
}

// claimed reports whether somebody else says that it holds a lane; under mu.
func (c *crew) claimed(lane int) bool {
	for _, m := range c.others {
		if m.lanes[lane] {
			return true
		}
	}
	return false
}

func setOf(lanes []int) map[int]bool {
	set := make(map[int]bool, len(lanes))
	for _, lane := range lanes {
		set[lane] = true
	}
	return set
}
