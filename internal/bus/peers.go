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

// peers are the projectors that share the lanes of one journal, as one of them
// knows them by what each says: that it is there, and which lanes it holds.
// From that all of them deal the lanes out alike, and nobody decides for the
// others. It only keeps them from getting in each other's way: whose a lane is,
// its pin says, whatever was heard or missed here.
type peers struct {
	conn  *nats.Conn
	id    string // sorts by when we came
	lanes int
	log   *slog.Logger

	joined, left sync.Once
	met          chan struct{} // closed once others have had time to answer
	quit, ended  chan struct{}

	mu      sync.Mutex
	ours    map[int]bool
	others  map[string]*peer
	changed time.Time // when somebody came or went
	adopted bool      // since then we took a lane that another had left lying
	gone    bool      // we said so, and say nothing more
}

// peer is another projector.
type peer struct {
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

func newPeers(conn *nats.Conn, lanes int, log *slog.Logger) *peers {
	return &peers{
		conn: conn, id: events.NewULID(), lanes: lanes, log: log,
		met: make(chan struct{}), quit: make(chan struct{}), ended: make(chan struct{}),
		ours: map[int]bool{}, others: map[string]*peer{},
	}
}

// meet joins, the first time, and waits until others have had time to answer.
// A process that works no lane never joins, and where there is one lane there
// is nothing to share.
func (p *peers) meet(ctx context.Context) error {
	p.joined.Do(func() {
		if p.lanes == 1 {
			close(p.met)
			close(p.ended)
			return
		}
		go p.run()
	})
	select {
	case <-p.met:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// leave says that we go, and waits for the end, whether or not we had joined.
func (p *peers) leave() {
	p.joined.Do(func() { close(p.ended) })
	p.left.Do(func() { close(p.quit) })
	<-p.ended
}

// run says and hears who is there until we leave. Where nothing can be
// heard we are alone and take whatever is free.
func (p *peers) run() {
	defer close(p.ended)
	sub, err := p.conn.Subscribe(projectorsSubject, p.hear)
	if err != nil {
		p.log.Warn("other projectors are not heard", "error", err)
	} else {
		defer func() { _ = sub.Unsubscribe() }()
	}
	p.say(beat{New: true})
	met := time.AfterFunc(answersWithin, func() { close(p.met) })
	defer met.Stop()
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.countMissed()
			p.say(beat{})
		case <-p.quit:
			p.say(beat{Gone: true})
			return
		}
	}
}

// say publishes a beat. It is lost where the connection is, which then has
// worse to lose.
func (p *peers) say(b beat) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return
	}
	b.ID, b.Lanes, p.gone = p.id, slices.Sorted(maps.Keys(p.ours)), b.Gone
	if data, err := json.Marshal(b); err == nil {
		_ = p.conn.Publish(projectorsSubject, data)
	}
}

func (p *peers) hear(m *nats.Msg) {
	b, err := parseBeat(m.Data, p.lanes)
	if err != nil {
		p.log.Debug("a beat was not understood", "error", err)
		return
	}
	if b.ID == p.id {
		return
	}
	p.note(b)
	if b.New {
		p.say(beat{})
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

func (p *peers) note(b beat) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, known := p.others[b.ID]
	if b.Gone {
		if known {
			p.lost(b.ID, "it said so")
		}
		return
	}
	p.others[b.ID] = &peer{lanes: setOf(b.Lanes)}
	if !known {
		p.reshuffle()
		p.log.Info("projector came", "projector", b.ID, "projectors", 1+len(p.others))
	}
}

// countMissed lets go of those who are silent. Our own beats are the measure, so
// that one who stood still does not take the others for gone; and who has no
// connection hears nobody.
func (p *peers) countMissed() {
	if !p.conn.IsConnected() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, m := range p.others {
		if m.missed++; m.missed >= missedBeats {
			p.lost(id, "it is silent")
		}
	}
}

// lost takes another out; under mu.
func (p *peers) lost(id, why string) {
	delete(p.others, id)
	p.reshuffle()
	p.log.Info("projector is gone", "projector", id, "why", why, "projectors", 1+len(p.others))
}

// reshuffle is what follows when somebody came or went; under mu.
func (p *peers) reshuffle() {
	p.changed, p.adopted = time.Now(), false
}

// take reports whether we may have a lane that has been free for so long, and
// if so says that it is ours.
func (p *peers) take(lane int, free time.Duration) bool {
	p.mu.Lock()
	dealt := p.dealt(lane)
	may := !p.claimed(lane) && (dealt || free >= abandonedAfter)
	if may {
		p.ours[lane] = true
		p.adopted = p.adopted || !dealt
	}
	p.mu.Unlock()
	if may {
		p.say(beat{})
	}
	return may
}

// drop says that a lane is not ours, or no more.
func (p *peers) drop(lane int) {
	p.mu.Lock()
	had := p.ours[lane]
	delete(p.ours, lane)
	p.mu.Unlock()
	if had {
		p.say(beat{})
	}
}

// gives reports whether a lane of ours is to be given to another. Who had to
// take more than was dealt to it would give in vain.
func (p *peers) gives(lane int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.others) > 0 && !p.adopted && time.Since(p.changed) >= givesAfter && !p.dealt(lane)
}

// dealt reports whether a lane is ours to work; under mu.
func (p *peers) dealt(lane int) bool {
	held := map[string]map[int]bool{p.id: p.ours}
	for id, m := range p.others {
		held[id] = m.lanes
	}
	return assign(p.lanes, held)[lane] == p.id
}

// claimed reports whether somebody else says that it holds a lane; under mu.
func (p *peers) claimed(lane int) bool {
	for _, m := range p.others {
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
