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
	// A projector publishes a beat every beatEvery and counts as gone after
	// missedBeats: half of pinTimeout, so that the others have agreed on the owners of
	// its lanes before the lanes are free.
	missedBeats = 4
	beatEvery   = pinTimeout / 2 / missedBeats
	// answersWithin is how long a new projector waits for the others' answers before
	// it claims lanes.
	answersWithin = 250 * time.Millisecond
	// releaseAfter is how long the projectors must not have changed before a lane is
	// released: a projector whose beats are late soon returns.
	releaseAfter = time.Second
	// abandonedAfter is when any projector may claim a free lane: a lane must not wait
	// for ever for an assigned projector that does not claim it.
	abandonedAfter = 10 * time.Second
)

// peers are the projectors that share the lanes of one journal. Each publishes beats with the lanes
// that it owns, and each computes the same assignment from them, without a coordinator. This only
// avoids conflicts: the pin of a lane's consumer decides who owns the lane, even if beats are lost.
type peers struct {
	conn  *nats.Conn
	id    string // sorts by the time of the start
	lanes int
	log   *slog.Logger

	joined, left sync.Once
	ready        chan struct{} // closed after answersWithin
	quit, ended  chan struct{}

	mu      sync.Mutex
	ours    map[int]bool
	others  map[string]*peer
	changed time.Time // when a projector came or went
	adopted bool      // since then we claimed a lane that is assigned to another
	gone    bool      // the last beat is published
}

// peer is another projector.
type peer struct {
	lanes  map[int]bool
	missed int // our beats since its last one
}

// beat is a projector's message to the others.
type beat struct {
	ID    string `json:"id"`
	Lanes []int  `json:"lanes"`
	// New requests a beat from all others; Gone marks the last beat.
	New  bool `json:"new,omitempty"`
	Gone bool `json:"gone,omitempty"`
}

func newPeers(conn *nats.Conn, lanes int, log *slog.Logger) *peers {
	return &peers{
		conn: conn, id: events.NewULID(), lanes: lanes, log: log,
		ready: make(chan struct{}), quit: make(chan struct{}), ended: make(chan struct{}),
		ours: map[int]bool{}, others: map[string]*peer{},
	}
}

// join starts the exchange of beats at the first call, and waits until the others have had
// time to answer. It does nothing if the journal has one lane.
func (p *peers) join(ctx context.Context) error {
	p.joined.Do(func() {
		if p.lanes == 1 {
			close(p.ready)
			close(p.ended)
			return
		}
		go p.run()
	})
	select {
	case <-p.ready:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// leave publishes the last beat and waits for the end of run. It may be called without join.
func (p *peers) leave() {
	p.joined.Do(func() { close(p.ended) })
	p.left.Do(func() { close(p.quit) })
	<-p.ended
}

// run exchanges beats until leave is called. If the subscription fails, this projector
// claims any free lane.
func (p *peers) run() {
	defer close(p.ended)
	sub, err := p.conn.Subscribe(projectorsSubject, p.receive)
	if err != nil {
		p.log.Warn("cannot receive beats of other projectors", "error", err)
	} else {
		defer func() { _ = sub.Unsubscribe() }()
	}
	p.publish(beat{New: true})
	ready := time.AfterFunc(answersWithin, func() { close(p.ready) })
	defer ready.Stop()
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.countMissed()
			p.publish(beat{})
		case <-p.quit:
			p.publish(beat{Gone: true})
			return
		}
	}
}

// publish publishes a beat. Errors are ignored: without a connection the lanes are lost anyway.
func (p *peers) publish(b beat) {
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

func (p *peers) receive(m *nats.Msg) {
	b, err := parseBeat(m.Data, p.lanes)
	if err != nil {
		p.log.Debug("cannot parse a beat", "error", err)
		return
	}
	if b.ID == p.id {
		return
	}
	p.note(b)
	if b.New {
		p.publish(beat{})
	}
}

// parseBeat parses a beat and checks its lanes.
func parseBeat(data []byte, lanes int) (beat, error) {
	var b beat
	if err := json.Unmarshal(data, &b); err != nil {
		return beat{}, fmt.Errorf("parse beat: %w", err)
	}
	if b.ID == "" || slices.ContainsFunc(b.Lanes, func(n int) bool { return n < 0 || n >= lanes }) {
		return beat{}, errors.New("parse beat: no id, or a lane that the journal does not have")
	}
	return b, nil
}

func (p *peers) note(b beat) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, known := p.others[b.ID]
	if b.Gone {
		if known {
			p.remove(b.ID, "it left")
		}
		return
	}
	lanes := make(map[int]bool, len(b.Lanes))
	for _, lane := range b.Lanes {
		lanes[lane] = true
	}
	p.others[b.ID] = &peer{lanes: lanes}
	if !known {
		p.changed, p.adopted = time.Now(), false
		p.log.Info("projector joined", "projector", b.ID, "projectors", 1+len(p.others))
	}
}

// countMissed removes silent projectors. It counts in our own beats, so that a process that
// was suspended, or has no connection, does not remove the others.
func (p *peers) countMissed() {
	if !p.conn.IsConnected() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, m := range p.others {
		if m.missed++; m.missed >= missedBeats {
			p.remove(id, "it is silent")
		}
	}
}

// remove removes another projector; under mu.
func (p *peers) remove(id, why string) {
	delete(p.others, id)
	p.changed, p.adopted = time.Now(), false
	p.log.Info("projector left", "projector", id, "why", why, "projectors", 1+len(p.others))
}

// claim claims a lane that has been free for so long, and reports whether it did.
func (p *peers) claim(lane int, free time.Duration) bool {
	p.mu.Lock()
	assigned := p.assigned(lane)
	may := !p.claimedByOther(lane) && (assigned || free >= abandonedAfter)
	if may {
		p.ours[lane] = true
		p.adopted = p.adopted || !assigned
	}
	p.mu.Unlock()
	if may {
		p.publish(beat{})
	}
	return may
}

// release publishes that this projector does not own a lane any more.
func (p *peers) release(lane int) {
	p.mu.Lock()
	had := p.ours[lane]
	delete(p.ours, lane)
	p.mu.Unlock()
	if had {
		p.publish(beat{})
	}
}

// shouldRelease reports whether a lane of ours is assigned to another projector. A
// projector that owns a lane because the assigned one did not claim it keeps its lanes.
func (p *peers) shouldRelease(lane int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.others) > 0 && !p.adopted && time.Since(p.changed) >= releaseAfter && !p.assigned(lane)
}

// assigned reports whether a lane is assigned to this projector; under mu.
func (p *peers) assigned(lane int) bool {
	held := map[string]map[int]bool{p.id: p.ours}
	for id, m := range p.others {
		held[id] = m.lanes
	}
	return assign(p.lanes, held)[lane] == p.id
}

// claimedByOther reports whether another projector publishes that it owns a lane; under mu.
func (p *peers) claimedByOther(lane int) bool {
	for _, m := range p.others {
		if m.lanes[lane] {
			return true
		}
	}
	return false
}
