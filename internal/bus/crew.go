package bus

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// maxUnsettled bounds the messages of a crew that are delivered and not
// settled, over all processes: more than all their workers together. Whoever has
// to wait for long leaves them (events.MaxLater), or they would hold up all the
// others.
const maxUnsettled = 4096

// crewPatience is how long a message stays with a process that died. Calls wait
// for what is in it, and who works says so three times in that time.
const crewPatience = 10 * time.Second

// crew works the messages of a durable consumer, several at a time and in no
// order. It asks for no more than it has hands for: what waits here, others
// would get only crewPatience after this process died.
type crew struct {
	durable
	work    func(context.Context, jetstream.Msg) error
	hands   chan struct{} // one for each worker that has nothing to do
	working sync.WaitGroup
}

func newCrew(d durable, workers int, work func(context.Context, jetstream.Msg) error) *crew {
	d.most, d.patience = maxUnsettled, crewPatience
	c := &crew{durable: d, work: work, hands: make(chan struct{}, workers)}
	for range workers {
		c.hands <- struct{}{}
	}
	return c
}

// run works until ctx ends, which is no error, and waits for what is under way.
func (c *crew) run(ctx context.Context) error {
	defer c.working.Wait()
	return c.durable.run(ctx, c.take)
}

// take asks for as many messages as there are free hands, and gives each to one
// when it comes.
func (c *crew) take(ctx context.Context, consumer jetstream.Consumer) error {
	free := c.free(ctx)
	if free == 0 {
		return nil
	}
	err := fetch(consumer, free, fetchWait, func(m jetstream.Msg) {
		free--
		c.working.Go(func() {
			defer func() { c.hands <- struct{}{} }()
			c.handle(ctx, m)
		})
	})
	for range free {
		c.hands <- struct{}{}
	}
	return err
}

// free waits for one hand and takes all that are free; 0 is the end of ctx.
func (c *crew) free(ctx context.Context) (free int) {
	select {
	case <-c.hands:
	case <-ctx.Done():
		return 0
	}
	for free = 1; free < cap(c.hands); free++ {
		select {
		case <-c.hands:
		default:
			return free
		}
	}
	return free
}

// handle works one delivery, tells the server meanwhile that it does, and
// settles it.
func (c *crew) handle(ctx context.Context, m jetstream.Msg) {
	at, err := m.Metadata()
	if err != nil {
		c.log.Error("message of JetStream has no metadata", "consumer", c.name, "err", err)
		return
	}
	if ctx.Err() != nil {
		tellVerdict(c.log, m, verdict{kind: nak})
		return
	}
	done := make(chan struct{})
	var telling sync.WaitGroup
	telling.Go(func() { c.keepUp(m, done) })
	err = c.work(ctx, m)
	close(done)
	telling.Wait()
	v := settle(err, at.NumDelivered)
	if v.kind == term {
		c.log.Error("message is given up", "consumer", c.name, "sequence", at.Sequence.Stream, "err", err)
	}
	tellVerdict(c.log, m, v)
}

// keepUp says that a message is still being worked, so that it does not go to
// a second worker.
func (c *crew) keepUp(m jetstream.Msg, done <-chan struct{}) {
	progress := time.NewTicker(crewPatience / 3)
	defer progress.Stop()
	for {
		select {
		case <-progress.C:
			if err := m.InProgress(); err != nil {
				c.log.Warn("cannot tell that a message is in progress", "consumer", c.name, "err", err)
			}
		case <-done:
			return
		}
	}
}
