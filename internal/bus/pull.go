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

// pull receives the deliveries of a lane from one Resume to the next.
type pull struct {
	consumer jetstream.Consumer
	messages jetstream.MessagesContext
	// arrived has room for all unacknowledged deliveries, so that a projector that
	// processes a batch for long never stops the requests that keep the lane.
	arrived chan delivery
	// ahead bounds their data.
	ahead *queue
	err   error // why arrived was closed
	ended chan struct{}
	halt  chan struct{}
	conn  *nats.Conn
	// lost receives a status when the connection breaks.
	lost chan nats.Status

	journal jetstream.Stream // nil until a group is read again
	rival   string           // the pin of another owner at the last check
	count   uint64           // deliveries returned
	broken  error            // why the pull has ended
	newest  uint64           // stream sequence
	mu      sync.Mutex
	unacked map[uint64]string // subjects of acknowledgements; under mu: one goroutine adds, another acknowledges
}

// delivery is a message with its sequences.
type delivery struct {
	reply string // where it is acknowledged
	at    jetstream.SequencePair
	// stored is when NATS stored the message.
	stored time.Time
	data   []byte
	// released: the data did not fit and is read again.
	released bool
}

// startPull begins to pull. It calls notePin with our pin when a message arrives, not when
// next returns it: a projector that never calls next must release the lane too.
func startPull(conn *nats.Conn, consumer jetstream.Consumer, ahead *queue, notePin func(string)) (*pull, error) {
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
		ahead:    ahead,
		ended:    make(chan struct{}),
		halt:     make(chan struct{}),
		conn:     conn,
		lost:     conn.StatusChanged(nats.RECONNECTING, nats.CLOSED),
		unacked:  make(map[uint64]string),
	}
	go p.run(notePin)
	return p, nil
}

// run receives messages until they stop.
func (p *pull) run(notePin func(string)) {
	defer close(p.ended)
	defer close(p.arrived)
	for {
		m, err := p.messages.Next()
		var at *jetstream.MsgMetadata
		if err == nil {
			at, err = m.Metadata()
		}
		if err != nil {
			p.err = err
			return
		}
		notePin(m.Headers().Get(headerPinID))
		d := delivery{reply: m.Reply(), at: at.Sequence, stored: at.Timestamp, data: m.Data()}
		if !p.ahead.enter(len(d.data)) {
			d.data, d.released = nil, true
		}
		select {
		case p.arrived <- d:
		case <-p.halt:
			p.ahead.leave(len(d.data))
			return
		}
	}
}

func (p *pull) stop() {
	close(p.halt)
	p.messages.Stop()
	p.conn.RemoveStatusListener(p.lost)
	<-p.ended
	for d := range p.arrived { // run has closed it
		p.ahead.leave(len(d.data))
	}
}

// next returns the next delivery, or false if no delivery has arrived; with wait it waits
// for ownerEvery. After an error, except the end of ctx, it returns the same error again.
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
		// Otherwise the loss of messages in transit would show only at their
		// redelivery, after ackWait.
		return p.breakOff(errors.New("connection to NATS lost"))
	case <-ctx.Done():
		return delivery{}, false, context.Cause(ctx)
	}
}

// check verifies that no message was delivered to another projector.
func (p *pull) check(d delivery, open bool) (delivery, bool, error) {
	p.ahead.leave(len(d.data))
	switch {
	case !open && p.err == nil:
		return p.breakOff(fmt.Errorf("%w: it was released", ErrLaneMoved))
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

// group returns the group of a delivery, or false for a redelivery: JetStream redelivers a
// group that is not acknowledged within ackWait.
func (p *pull) group(d delivery, lane int) (events.Group, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	again := d.at.Stream <= p.newest
	if _, waits := p.unacked[d.at.Stream]; again && !waits {
		// Its acknowledgement was lost. If this one is lost too, it is redelivered.
		_ = p.acknowledge(d.reply)
		return events.Group{}, false
	}
	p.unacked[d.at.Stream] = d.reply
	if again {
		return events.Group{}, false
	}
	p.newest = d.at.Stream
	return events.Group{Lane: lane, Sequence: d.at.Stream, Stored: d.stored, Data: d.data}, true
}

// ack acknowledges a group. A group of an earlier pull is redelivered instead.
func (p *pull) ack(sequence uint64) error {
	p.mu.Lock()
	reply, ok := p.unacked[sequence]
	delete(p.unacked, sequence)
	p.mu.Unlock()
	if !ok {
		return fmt.Errorf("%w: it was delivered before the lane was resumed", ErrLaneMoved)
	}
	return p.acknowledge(reply)
}

// acknowledge does what jetstream.Msg.Ack does. A Msg that is kept for its Ack would keep its data.
func (p *pull) acknowledge(reply string) error { return p.conn.Publish(reply, ackBody) }

var ackBody = []byte("+ACK")

// read reads the data of a group that did not fit when it was delivered.
func (p *pull) read(ctx context.Context, from jetstream.JetStream, g *events.Group) error {
	if p.journal == nil {
		s, err := from.Stream(ctx, journalStream)
		if err != nil {
			return fmt.Errorf("read group %d: %w", g.Sequence, err)
		}
		p.journal = s
	}
	m, err := p.journal.GetMsg(ctx, g.Sequence)
	if err != nil {
		return fmt.Errorf("read group %d: %w", g.Sequence, err)
	}
	g.Data = m.Data
	return nil
}
