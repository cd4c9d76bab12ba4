package project

import (
	"context"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"gavel/events"
	"gavel/lanes"
)

const (
	// stages is how many batches are processed at the same time. With those in the
	// queue they are the batches that are kept for reuse.
	stages = 4
	// publishQueue is how many saved batches may wait for the publication of their news. News can
	// cost an fsync for each fact, and the picture does not wait for that.
	publishQueue = 8
)

// session works a lane until the first error. The next session begins behind the ack floor and with
// empty memory. It only connects: what each goroutine owns is in the fields of its stage.
type session struct {
	receiver  *receiver
	folder    *folder
	saver     *saver
	publisher *publisher
	auditor   *auditor // nil if the journal is not verified
	// The rest is nil if no rules are evaluated.
	follower *ruleFollower
	waker    *waker
	alarms   *alarmKeeper
}

// newSession connects the stages of a lane that was taken over when its newest
// stream sequence was last. record may be nil.
func newSession(k *keeper, machine *lanes.Machine, last uint64, record *recorder) (*session, error) {
	c, number := &k.config, k.lane.Number()
	spare, writing := make(chan *batch, publishQueue+stages), new(writeLock)
	announced, loaded, wakeAll := new(atomic.Uint64), newLoads(machine), make(signal, 1)
	folder, err := newFolder(k, machine, last)
	if err != nil {
		return nil, err
	}
	folder.announced, folder.loads = announced, loaded
	s := &session{
		receiver: &receiver{lane: k.lane, evaluates: machine.Evaluates(), spare: spare, recorder: record},
		folder:   folder,
		saver: &saver{
			lane: number, store: c.Store, journal: c.Journal, actions: c.Actions, timers: c.Timers, tally: c.RuleBook, writing: writing,
			wakeAll: wakeAll, status: k.status, keep: c.Keep, expired: c.Now(), now: c.Now, passed: c.Passed, log: k.log, metrics: c.Metrics,
		},
		publisher: &publisher{
			lane: k.lane, news: c.News, letters: c.DeadLetters, announced: announced, status: k.status,
			switchover: k.switchover, writing: writing, spare: spare, chain: c.Chain, log: k.log, metrics: c.Metrics,
		},
	}
	if machine.Evaluates() {
		s.follower = &ruleFollower{lane: number, book: c.RuleBook, journal: c.Journal, loads: loaded, now: c.Now, log: k.log}
		s.waker = &waker{lane: number, lanes: len(c.Lanes), listing: c.Listing, journal: c.Journal, requested: wakeAll, now: c.Now, log: k.log}
		s.alarms = &alarmKeeper{
			lane: number, store: c.Store, timers: c.Timers, journal: c.Journal, writing: writing,
			status: k.status, now: c.Now, log: k.log, metrics: c.Metrics,
		}
	}
	if at := machine.LoadedAt(); !at.IsZero() && c.Now().Sub(at) < youngLoad {
		wakeAll.send()
	}
	return s, nil
}

// run runs the goroutines until one fails, and waits for all of them.
func (s *session) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	received, folded, saved := make(chan *batch), make(chan *batch), make(chan *batch, publishQueue)
	g.Go(func() error { return s.receiver.run(ctx, received) })
	g.Go(func() error { return s.folder.run(ctx, received, folded) })
	g.Go(func() error { return s.saver.run(ctx, folded, saved) })
	g.Go(func() error { return s.publisher.run(ctx, saved) })
	if s.auditor != nil {
		g.Go(func() error { return s.auditor.run(ctx) })
	}
	if s.follower != nil {
		g.Go(func() error { return s.follower.run(ctx) })
		g.Go(func() error { return s.waker.run(ctx) })
		g.Go(func() error { return s.alarms.run(ctx) })
	}
	return g.Wait()
}

// writeLock is held while the lane's picture is written or switched.
type writeLock struct {
	sync.Mutex
	// dues are the deadlines, as Book.Due, of the conferences saved while all
	// alarms are set again; nil otherwise. The lock guards it.
	dues map[events.Key]int64
}

// signal is a request to another goroutine. A second request before it begins has no effect.
type signal chan struct{}

// send does not wait.
func (s signal) send() {
	select {
	case s <- struct{}{}:
	default:
	}
}

// pass sends a batch to the next stage, which owns it from then on.
func pass(ctx context.Context, to chan<- *batch, b *batch) error {
	select {
	case to <- b:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
