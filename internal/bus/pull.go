package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
)

// pull is one unbroken stretch of deliveries of a lane, from a Resume to the
// next.
type pull struct {
	consumer jetstream.Consumer
	messages jetstream.MessagesContext
	// arrived holds all that the server may have delivered unacknowledged, so
	// that a projector that works long on a batch never stops the asking by
	// which the lane is kept.
	arrived chan delivery
	err     error // why arrived was closed
	ended   chan struct{}
	halt    chan struct{}
	conn    *nats.Conn
	// lost gets something when the connection breaks.
	lost chan nats.Status

	rival    string // the pin of another, when it was last looked
	count    uint64 // deliveries taken
	broken   error  // why nothing more can be taken
	newest   uint64 // stream sequence
	mu       sync.Mutex
	unworked map[uint64]jetstream.Msg // under mu: taken by one goroutine, acknowledged by another
}

// delivery is a message with what its envelope says.
type delivery struct {
	msg jetstream.Msg
	at  jetstream.SequencePair
}

// startPull begins to pull. It notes by which pin the server knows us as soon as
// that is told, and not when the delivery is taken: who never takes one has to
// give the lane free all the same.
func startPull(conn *nats.Conn, consumer jetstream.Consumer, notePin func(string)) (*pull, error) {
	messages, err := consumer.Messages(
		jetstream.PullMaxMessages(pullGroups),
		jetstream.PullExpiry(pullExpires),
		jetstream.PullHeartbeat(pullHeartbeat),
		jetstream.WithMessagesErrOnMissingHeartbeat(false),
		jetstream.PullPriorityGroup(projectGroup),
	)
	if err != nil {
		return nil, fmt.Errorf("pull: %w", err)
	}
	p := &pull{
		consumer: consumer,
		messages: messages,
		arrived:  make(chan delivery, maxAckPending),
		ended:    make(chan struct{}),
		halt:     make(chan struct{}),
		conn:     conn,
		lost:     conn.StatusChanged(nats.RECONNECTING, nats.CLOSED),
		unworked: make(map[uint64]jetstream.Msg),
	}
	go p.run(notePin)
	return p, nil
}

// run takes messages in until they stop.
func (p *pull) run(notePin func(string)) {
	defer close(p.ended)
	defer close(p.arrived)
	for {
		m, err := p.messages.Next()
		if err != nil {
			p.err = err
			return
		}
		at, err := m.Metadata()
		if err != nil {
			p.err = err
			return
		}
		notePin(m.Headers().Get(headerPinID))
		select {
		case p.arrived <- delivery{m, at.Sequence}:
		case <-p.halt:
			return
		}
	}
}

func (p *pull) stop() {
	close(p.halt)
	p.messages.Stop()
	p.conn.RemoveStatusListener(p.lost)
	<-p.ended
}

// next returns the next delivery. It returns false when none has arrived, and
// with wait none does for ownerEvery. Its first error but for the end of ctx is
// its last.
func (p *pull) next(ctx context.Context, wait bool) (delivery, bool, error) {
	if p.broken != nil {
		return p.breakOff(p.broken)
	}
	select {
	case d, open := <-p.arrived:
		return p.check(d, open)
	default:
		if !wait {
			return delivery{}, false, nil
		}
	}
	idle := time.NewTimer(ownerEvery)
	defer idle.Stop()
	select {
	case d, open := <-p.arrived:
		return p.check(d, open)
	case <-idle.C:
		return delivery{}, false, nil
	case <-p.lost:
		// What was under way on it would be missed only when the server
		// delivers it again, after ackWait.
		return p.breakOff(errors.New("connection to NATS broke"))
	case <-ctx.Done():
		return delivery{}, false, context.Cause(ctx)
	}
}

// check sees to it that nothing was delivered to somebody else.
func (p *pull) check(d delivery, open bool) (delivery, bool, error) {
	switch {
	case !open && p.err == nil:
		return p.breakOff(fmt.Errorf("%w: it was given free", ErrLaneMoved))
	case !open:
		return p.breakOff(p.err)
	case d.at.Consumer != p.count+1:
		return p.breakOff(fmt.Errorf("%w: delivery %d follows %d", ErrLaneMoved, d.at.Consumer, p.count))
	}
	p.count++
	return d, true, nil
}

func (p *pull) breakOff(why error) (delivery, bool, error) {
	p.broken = why
	return delivery{}, false, why
}

// take returns the group of a delivery unless it was taken before: what waits
// longer than ackWait for its acknowledgement is delivered again.
func (p *pull) take(d delivery, lane int) (events.Group, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	again := d.at.Stream <= p.newest
	if _, waits := p.unworked[d.at.Stream]; again && !waits {
		// Its acknowledgement was lost. Should this one be lost too, it comes
		// again.
		_ = d.msg.Ack()
		return events.Group{}, false
	}
	p.unworked[d.at.Stream] = d.msg
	if again {
		return events.Group{}, false
	}
	p.newest = d.at.Stream
	return events.Group{Lane: lane, Sequence: d.at.Stream, Data: d.msg.Data()}, true
}

// ack acknowledges a group. One that this pull did not deliver belongs to an
// earlier one and comes again.
func (p *pull) ack(sequence uint64) error {
	p.mu.Lock()
	m, ok := p.unworked[sequence]
	delete(p.unworked, sequence)
	p.mu.Unlock()
	if !ok {
		return fmt.Errorf("%w: it was delivered before the lane was resumed", ErrLaneMoved)
	}
	return m.Ack()
}
