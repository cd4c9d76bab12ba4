package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
	"gavel/internal/bus/jet"
)

const (
	// ackWait is after what time a group that nobody acknowledged is delivered
	// again.
	ackWait = 30 * time.Second
	// maxAckPending bounds the groups that are delivered and not acknowledged.
	maxAckPending = 512
	// pinTimeout is how long the lane stays with an owner that stopped asking.
	// The server's own default is two minutes.
	pinTimeout = 3 * time.Second
	// pullExpires makes an idle owner ask often enough to keep the lane.
	pullExpires   = time.Second
	pullHeartbeat = pullExpires / 2
	// pullGroups is how far delivery runs ahead: at 256 KiB each it stays
	// below what the client library buffers.
	pullGroups = 128
	// standbyEvery is how often somebody who waits for the lane asks whether
	// it is free. With pinTimeout it makes a take-over in less than 5 s.
	standbyEvery = 250 * time.Millisecond
	// ownerEvery is how often somebody who is told nothing looks whether
	// another is.
	ownerEvery = time.Second
)

// ErrLaneMoved is events.ErrLaneMoved: somebody else took the lane over, or is
// to have it, or messages of it were lost on the way to us. Resume it.
var ErrLaneMoved = events.ErrLaneMoved

// Lane is one lane of the journal as its one active projector reads it. Its
// methods are for one goroutine, but for Ack and Close.
//
// Order is kept by counting: a consumer numbers what it delivers, and Resume
// starts that count anew, so an owner sees 1, 2, 3, and any other number means
// that something of the lane went to somebody else.
type Lane struct {
	number int
	conn   *nats.Conn
	js     jetstream.JetStream
	config jetstream.ConsumerConfig
	peers  *peers
	log    *slog.Logger

	// elsewhere: Resume is waiting, for the lane is another's.
	elsewhere atomic.Bool

	mu   sync.Mutex
	pull *pull  // nil unless resumed
	pin  string // what the server knows us by, since the first delivery
}

func newLane(n int, conn *nats.Conn, js jetstream.JetStream, p *peers, log *slog.Logger) *Lane {
	return &Lane{
		number: n, conn: conn, js: js, peers: p, log: log.With("lane", n),
		config: jetstream.ConsumerConfig{
			Durable:        projectConsumer(n),
			Description:    "Gavel's projector of one lane.",
			FilterSubject:  journalSubject(n),
			AckPolicy:      jetstream.AckExplicitPolicy,
			AckWait:        ackWait,
			MaxDeliver:     -1,
			MaxAckPending:  maxAckPending,
			PriorityPolicy: jetstream.PriorityPolicyPinned,
			PriorityGroups: []string{projectGroup},
			PinnedTTL:      pinTimeout,
		},
	}
}

// Number is the lane's, from 0.
func (l *Lane) Number() int { return l.number }

// Resume takes the lane over and makes delivery begin again right behind the
// ack floor: without that the unacknowledged groups of a dead owner would come
// after newer ones. While the lane is another projector's, or is to be, it waits,
// until ctx ends.
//
// floor is the ack floor, a stream sequence, 0 when nothing was acknowledged;
// last is the lane's newest sequence at this moment, 0 when it is empty.
func (l *Lane) Resume(ctx context.Context) (floor, last uint64, err error) {
	l.stopPull()
	err = jet.Retry(ctx, jet.Transient, func(try context.Context) error {
		floor, last, err = l.resume(ctx, try)
		return err
	})
	if err != nil {
		return 0, 0, fmt.Errorf("resume lane %d: %w", l.number, err)
	}
	return floor, last, nil
}

// resume is one try of Resume; only the waiting for the lane lasts longer than
// a try may.
func (l *Lane) resume(ctx, try context.Context) (floor, last uint64, err error) {
	consumer, err := l.js.CreateOrUpdateConsumer(try, journalStream, l.config)
	if err != nil {
		return 0, 0, fmt.Errorf("make consumer: %w", err)
	}
	floor, err = l.await(ctx, consumer)
	if err != nil {
		return 0, 0, err
	}
	if last, err = l.begin(ctx, consumer, floor); err != nil {
		l.peers.drop(l.number)
		return 0, 0, err
	}
	return floor, last, nil
}

// begin makes delivery begin behind the floor.
func (l *Lane) begin(ctx context.Context, consumer jetstream.Consumer, floor uint64) (last uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, jet.AttemptTimeout)
	defer cancel()
	if _, err := l.js.ResetConsumerToSequence(ctx, journalStream, l.config.Durable, floor+1); err != nil {
		return 0, fmt.Errorf("reset consumer: %w", err)
	}
	if last, err = jet.LastOf(ctx, l.js, journalStream, l.config.FilterSubject); err != nil {
		return 0, err
	}
	return last, l.startPull(consumer)
}

// Elsewhere reports whether a Resume is waiting because the lane is another
// projector's, or is to be. It may be called at any time.
func (l *Lane) Elsewhere() bool { return l.elsewhere.Load() }

// await returns the ack floor once the lane is nobody's and we may take it. It
// gives free what an earlier pull of ours still holds and then looks again:
// somebody who waited may have got the lane, and it must not be reset under
// them.
func (l *Lane) await(ctx context.Context, consumer jetstream.Consumer) (floor uint64, err error) {
	if err := l.peers.meet(ctx); err != nil {
		return 0, err
	}
	defer l.elsewhere.Store(false)
	free := time.Now() // since when nobody has had it
	for {
		info, err := l.info(ctx, consumer)
		if err != nil {
			return 0, err
		}
		switch pinned(info) {
		case "":
			if l.peers.take(l.number, time.Since(free)) {
				return info.AckFloor.Stream, nil
			}
		case l.ownPin():
			if err := l.unpin(ctx); err != nil {
				return 0, err
			}
			continue
		default:
			free = time.Now()
		}
		l.elsewhere.Store(true)
		if err := jet.Wait(ctx, standbyEvery); err != nil {
			return 0, err
		}
	}
}

func (l *Lane) info(ctx context.Context, consumer jetstream.Consumer) (*jetstream.ConsumerInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, jet.AttemptTimeout)
	defer cancel()
	info, err := consumer.Info(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask for the state of the consumer: %w", err)
	}
	return info, nil
}

// pinned is the pin of the consumer's owner, empty when it has none.
func pinned(info *jetstream.ConsumerInfo) string {
	for _, g := range info.PriorityGroups {
		if g.Group == projectGroup {
			return g.PinnedClientID
		}
	}
	return ""
}

// unpin gives the lane free at once instead of after pinTimeout.
func (l *Lane) unpin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, jet.AttemptTimeout)
	defer cancel()
	s, err := l.js.Stream(ctx, journalStream)
	if err == nil {
		err = s.UnpinConsumer(ctx, l.config.Durable, projectGroup)
	}
	if err != nil {
		return fmt.Errorf("unpin consumer: %w", err)
	}
	return nil
}

// Next waits for at least one group and returns what has arrived, at most most
// groups, in order. After an error the lane must be resumed, unless ctx ended:
// then it may be called again.
func (l *Lane) Next(ctx context.Context, most int) ([]events.Group, error) {
	p := l.current()
	if p == nil {
		return nil, fmt.Errorf("take groups of lane %d: it is not resumed", l.number)
	}
	var groups []events.Group
	for len(groups) < most {
		d, ok, err := l.next(ctx, p, len(groups) == 0)
		if err != nil && len(groups) == 0 {
			return nil, fmt.Errorf("take groups of lane %d: %w", l.number, err)
		}
		if err != nil || !ok {
			break
		}
		if g, fresh := p.take(d, l.number); fresh {
			groups = append(groups, g)
		}
	}
	return groups, nil
}

// next is the pull's, and with wait it looks whose the lane is: to be at once, and
// to the server whenever nothing has come for a while. The server decides with
// the first delivery, so of two who resume an idle lane both wait for it, and one
// of them in vain.
func (l *Lane) next(ctx context.Context, p *pull, wait bool) (delivery, bool, error) {
	for {
		if wait && p.broken == nil && l.peers.gives(l.number) {
			return p.breakOff(fmt.Errorf("%w: it is given to one that has fewer", ErrLaneMoved))
		}
		d, ok, err := p.next(ctx, wait)
		if ok || err != nil || !wait {
			return d, ok, err
		}
		if l.isAnothers(ctx, p) {
			return p.breakOff(fmt.Errorf("%w: another owner gets what it holds", ErrLaneMoved))
		}
	}
}

// isAnothers wants to see a pin that is not ours twice: the first delivery
// under a new pin of ours may be on its way. No answer is no reason to leave.
func (l *Lane) isAnothers(ctx context.Context, p *pull) bool {
	info, err := l.info(ctx, p.consumer)
	if err != nil {
		return false
	}
	owner, before := pinned(info), p.rival
	p.rival = ""
	if owner != l.ownPin() {
		p.rival = owner
	}
	return p.rival != "" && p.rival == before
}

// Ack says that the groups are worked. It does not wait until the server knows:
// a group whose acknowledgement is lost comes again.
func (l *Lane) Ack(_ context.Context, groups []events.Group) error {
	p := l.current()
	if p == nil {
		return fmt.Errorf("acknowledge groups of lane %d: it is not resumed", l.number)
	}
	for _, g := range groups {
		if err := p.ack(g.Sequence); err != nil {
			return fmt.Errorf("acknowledge group %d of lane %d: %w", g.Sequence, l.number, err)
		}
	}
	return nil
}

// Floor asks for the ack floor: every group of the lane up to this stream
// sequence is acknowledged.
func (l *Lane) Floor(ctx context.Context) (uint64, error) {
	consumer, err := l.js.Consumer(ctx, journalStream, l.config.Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("ask for the ack floor of lane %d: %w", l.number, err)
	}
	return consumer.CachedInfo().AckFloor.Stream, nil
}

// Close gives the lane free, so that another process need not wait for it.
// What was delivered and not acknowledged comes again, to whoever resumes.
func (l *Lane) Close(ctx context.Context) error {
	resumed := l.stopPull()
	if !resumed || l.ownPin() == "" || !l.conn.IsConnected() {
		return nil
	}
	consumer, err := l.js.Consumer(ctx, journalStream, l.config.Durable)
	if err != nil {
		return fmt.Errorf("give lane %d free: %w", l.number, err)
	}
	if pinned(consumer.CachedInfo()) != l.ownPin() {
		return nil
	}
	return l.unpin(ctx)
}

func (l *Lane) current() *pull {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pull
}

func (l *Lane) ownPin() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pin
}

func (l *Lane) notePin(pin string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pin = pin
}

func (l *Lane) startPull(consumer jetstream.Consumer) error {
	p, err := startPull(l.conn, consumer, l.notePin)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pull = p
	return nil
}

// stopPull reports whether there was anything to stop.
func (l *Lane) stopPull() bool {
	l.mu.Lock()
	p := l.pull
	l.pull = nil
	l.mu.Unlock()
	if p == nil {
		return false
	}
	p.stop()
	l.peers.drop(l.number)
	return true
}
