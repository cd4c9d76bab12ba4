package bus

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
	"gavel/internal/bus/jet"
)

const (
	// ackWait is when an unacknowledged group is redelivered.
	ackWait = 30 * time.Second
	// maxAckPending bounds the delivered groups without an acknowledgement.
	maxAckPending = 512
	// pinTimeout is when an owner that sends no requests loses the lane. The server's
	// default is two minutes.
	pinTimeout = 3 * time.Second
	// pullExpires makes an idle owner send requests often enough to keep the lane.
	pullExpires   = time.Second
	pullHeartbeat = pullExpires / 2
	// pullGroups is how many groups are delivered in advance: at 256 KiB each they fit
	// into the client library's buffer.
	pullGroups = 128
	// nextBytes bounds the groups that are processed together: decoded, folded and published they need
	// ten times their size, in each stage of the projector.
	nextBytes = 2 << 20
	// standbyEvery is how often a projector that waits for the lane checks whether it
	// is free. With pinTimeout a take-over lasts less than 5 s.
	standbyEvery = 250 * time.Millisecond
	// ownerEvery is how often an idle owner checks whether another owns the lane.
	ownerEvery = time.Second
)

// AheadBytes bounds the data of groups that were delivered in advance, in all lanes together. With only
// maxAckPending they are up to 128 MB in each lane, of which the collector's count of live memory has
// nothing before its next run.
const AheadBytes = 64 << 20

// ErrLaneMoved is events.ErrLaneMoved: another projector owns the lane or should own
// it, or messages of it were lost in transit. Resume the lane.
var ErrLaneMoved = events.ErrLaneMoved

// Lane reads one lane of the journal for the projector that owns it. One goroutine may
// call its methods, except Ack and Close, which are safe for concurrent use.
//
// A consumer numbers its deliveries, and Resume restarts the numbers at 1. Any gap means
// that another projector received messages of the lane.
type Lane struct {
	number int
	conn   *nats.Conn
	js     jetstream.JetStream
	config jetstream.ConsumerConfig
	peers  *peers
	// renew is called before groups are delivered again.
	renew func(context.Context) error
	// ahead bounds the data of the groups that have arrived, of all lanes together.
	ahead *queue
	log   *slog.Logger

	// elsewhere is whether Resume waits because another projector owns the lane.
	elsewhere atomic.Bool

	mu   sync.Mutex
	pull *pull  // nil unless resumed
	pin  string // the server's id of this owner, from the first delivery
}

func newLane(n int, conn *nats.Conn, js jetstream.JetStream, p *peers, renew func(context.Context) error, ahead *queue, log *slog.Logger) *Lane {
	return &Lane{
		number: n, conn: conn, js: js, peers: p, renew: renew, ahead: ahead, log: log.With("lane", n),
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

// Resume claims the lane and restarts delivery right after the ack floor: otherwise the
// unacknowledged groups of a dead owner would follow newer ones. While another projector
// owns the lane, or should own it, Resume waits until ctx ends.
//
// floor is the ack floor, a stream sequence, 0 if no group was acknowledged; last is the
// lane's newest sequence, 0 if it is empty.
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

// resume is one try of Resume. Only the wait for the lane may last longer than a try.
func (l *Lane) resume(ctx, try context.Context) (floor, last uint64, err error) {
	consumer, err := l.consumer(try)
	if err != nil {
		return 0, 0, fmt.Errorf("create consumer: %w", err)
	}
	floor, err = l.await(ctx, consumer)
	if err != nil {
		return 0, 0, err
	}
	if last, err = l.begin(ctx, consumer, floor); err != nil {
		l.peers.release(l.number)
		return 0, 0, err
	}
	return floor, last, nil
}

// consumer makes the lane's consumer, or gives it its settings. On a full volume one that exists is used
// as a former Gavel made it, because the picture can be filled through it.
func (l *Lane) consumer(ctx context.Context) (jetstream.Consumer, error) {
	made, err := l.js.CreateOrUpdateConsumer(ctx, journalStream, l.config)
	if err == nil || !strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
		return made, err
	}
	found, missing := l.js.Consumer(ctx, journalStream, l.config.Durable)
	if missing != nil {
		return nil, err
	}
	l.log.Warn("volume is full: the lane is read with the settings of its consumer as they are", "error", err)
	return found, nil
}

// begin restarts delivery after the floor.
func (l *Lane) begin(ctx context.Context, consumer jetstream.Consumer, floor uint64) (last uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, jet.AttemptTimeout)
	defer cancel()
	if err := l.renew(ctx); err != nil {
		return 0, err
	}
	if _, err := l.js.ResetConsumerToSequence(ctx, journalStream, l.config.Durable, floor+1); err != nil {
		return 0, fmt.Errorf("reset consumer: %w", err)
	}
	if last, err = jet.LastOf(ctx, l.js, journalStream, l.config.FilterSubject); err != nil {
		return 0, err
	}
	return last, l.startPull(consumer)
}

// Rewind restarts delivery behind a stream sequence below the ack floor, because the groups behind
// it were replaced. The lane must be resumed.
func (l *Lane) Rewind(ctx context.Context, floor uint64) error {
	p := l.current()
	if p == nil {
		return fmt.Errorf("rewind lane %d: it is not resumed", l.number)
	}
	p.stop()
	if _, err := l.begin(ctx, p.consumer, floor); err != nil {
		return fmt.Errorf("rewind lane %d: %w", l.number, err)
	}
	return nil
}

// Elsewhere reports whether Resume waits because another projector owns the lane or
// should own it. It is safe for concurrent use.
func (l *Lane) Elsewhere() bool { return l.elsewhere.Load() }

// await claims the lane once it has no owner, and returns its ack floor. It first
// releases the pin of an earlier pull of this process and checks again, because another
// projector may have claimed the lane, whose consumer must not be reset then.
func (l *Lane) await(ctx context.Context, consumer jetstream.Consumer) (floor uint64, err error) {
	if err := l.peers.join(ctx); err != nil {
		return 0, err
	}
	defer l.elsewhere.Store(false)
	free := time.Now() // since when the lane has had no owner
	for {
		info, err := l.info(ctx, consumer)
		if err != nil {
			return 0, err
		}
		switch pinned(info) {
		case "":
			if l.peers.claim(l.number, time.Since(free)) {
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

// pinned is the pin of the consumer's owner, empty without an owner.
func pinned(info *jetstream.ConsumerInfo) string {
	for _, g := range info.PriorityGroups {
		if g.Group == projectGroup {
			return g.PinnedClientID
		}
	}
	return ""
}

// unpin releases the lane at once instead of after pinTimeout.
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

// Next waits for at least one group and returns the groups that have arrived, in order, at most
// `most`, and no more than reach nextBytes. After an error resume the lane, unless ctx ended: then Next may be called again.
func (l *Lane) Next(ctx context.Context, most int) ([]events.Group, error) {
	p := l.current()
	if p == nil {
		return nil, fmt.Errorf("read groups of lane %d: it is not resumed", l.number)
	}
	var groups []events.Group
	for size := 0; len(groups) < most && size < nextBytes; {
		d, ok, err := l.next(ctx, p, len(groups) == 0)
		if err != nil && len(groups) == 0 {
			return nil, fmt.Errorf("read groups of lane %d: %w", l.number, err)
		}
		if err != nil || !ok {
			break
		}
		g, fresh := p.group(d, l.number)
		if fresh && d.released {
			if err := l.read(ctx, p, &g); err != nil {
				return nil, fmt.Errorf("read groups of lane %d: %w", l.number, err)
			}
		}
		if fresh {
			groups, size = append(groups, g), size+len(g.Data)
		}
	}
	return groups, nil
}

// read reads a group's data from the journal. If it fails the pull has ended: the groups of this
// Next are delivered again.
func (l *Lane) read(ctx context.Context, p *pull, g *events.Group) error {
	err := jet.Retry(ctx, jet.Transient, func(try context.Context) error { return p.read(try, l.js, g) })
	if err != nil {
		_, _, err = p.breakOff(err)
	}
	return err
}

// next is the pull's next. With wait it also checks who should own the lane, at once,
// and who owns it by the server whenever nothing has arrived for ownerEvery. The server
// pins an owner with the first delivery, so two projectors may resume one idle lane.
func (l *Lane) next(ctx context.Context, p *pull, wait bool) (delivery, bool, error) {
	for {
		if wait && p.broken == nil && l.peers.shouldRelease(l.number) {
			return p.breakOff(fmt.Errorf("%w: it is assigned to a projector with fewer lanes", ErrLaneMoved))
		}
		d, ok, err := p.next(ctx, wait)
		if ok || err != nil || !wait {
			return d, ok, err
		}
		if l.ownedByOther(ctx, p) {
			return p.breakOff(fmt.Errorf("%w: another owner receives its groups", ErrLaneMoved))
		}
	}
}

// ownedByOther reports whether two checks in a row found the same foreign pin: after one check, the
// first delivery under a new pin of ours may still be in transit. It is false without an answer.
func (l *Lane) ownedByOther(ctx context.Context, p *pull) bool {
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

// Ack acknowledges groups. It does not wait for the server: a group whose
// acknowledgement is lost is redelivered.
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

// Floor reads the ack floor: every group of the lane up to this stream sequence is acknowledged.
func (l *Lane) Floor(ctx context.Context) (uint64, error) {
	return jet.AckFloor(ctx, l.js, journalStream, l.config.Durable)
}

// Close releases the lane, so that another process need not wait for it. Unacknowledged
// groups are redelivered after the next Resume.
func (l *Lane) Close(ctx context.Context) error {
	resumed := l.stopPull()
	if !resumed || l.ownPin() == "" || !l.conn.IsConnected() {
		return nil
	}
	consumer, err := l.js.Consumer(ctx, journalStream, l.config.Durable)
	if err != nil {
		return fmt.Errorf("release lane %d: %w", l.number, err)
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
	p, err := startPull(l.conn, consumer, l.ahead, l.notePin)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pull = p
	return nil
}

// stopPull stops the pull and reports whether there was one.
func (l *Lane) stopPull() bool {
	l.mu.Lock()
	p := l.pull
	l.pull = nil
	l.mu.Unlock()
	if p == nil {
		return false
	}
	p.stop()
	l.peers.release(l.number)
	return true
}
