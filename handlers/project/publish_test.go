package project

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gavel/events"
	"gavel/lanes"
	"gavel/projections"
)

// White box, for virtual time: what the publisher does with batches depends on how
// long a publish takes.

// slowNews takes publishTakes for each publish, however many facts it has.
type slowNews struct {
	News
	publishes []int // their facts
	ids       []string
}

const publishTakes = 20 * time.Millisecond

func (n *slowNews) Publish(_ context.Context, facts []events.News) error {
	<-time.After(publishTakes)
	n.publishes = append(n.publishes, len(facts))
	for _, f := range facts {
		n.ids = append(n.ids, f.ID)
	}
	return nil
}

// ackedLane remembers what was acknowledged.
type ackedLane struct {
	Lane
	acked []uint64
}

func (*ackedLane) Number() int { return 0 }

func (*ackedLane) Elsewhere() bool { return false }

func (l *ackedLane) Ack(_ context.Context, groups []events.Group) error {
	for _, g := range groups {
		l.acked = append(l.acked, g.Sequence)
	}
	return nil
}

// savedBatch is one group of so many facts.
func savedBatch(sequence uint64, facts int) *batch {
	b := &batch{groups: []events.Group{{Sequence: sequence}}}
	for i := range facts {
		e := &lanes.Entry{}
		e.Event.ID = fmt.Sprintf("%d.%d", sequence, i)
		b.news = append(b.news, lanes.News{Entry: e, After: &projections.Conference{}})
	}
	return b
}

func startPublisher(t *testing.T) (*slowNews, *ackedLane, chan<- *batch) {
	news, lane, saved := &slowNews{}, &ackedLane{}, make(chan *batch, publishQueue)
	metrics := NewMetrics(prometheus.NewRegistry())
	p := &publisher{
		lane: lane, news: news, announced: new(atomic.Uint64), status: newStatus(lane, metrics),
		spare: make(chan *batch, stages), log: slog.New(slog.DiscardHandler), metrics: metrics,
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.run(ctx, saved) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != context.Canceled {
			t.Error(err)
		}
	})
	return news, lane, saved
}

func TestNewsOfBatchesThatComeQuicklyIsPublishedTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		news, lane, saved := startPublisher(t)
		const batches, facts = 200, 10
		for i := range batches {
			saved <- savedBatch(uint64(i+1), facts)
			<-time.After(5 * time.Millisecond)
		}
		<-time.After(time.Second)
		synctest.Wait()
		// A third of the time of the load is for publishing.
		if n := len(news.publishes); n > 20 || news.publishes[0] != facts {
			t.Errorf("%d publishes, the first of %d facts", n, news.publishes[0])
		}
		if len(news.ids) != batches*facts || len(lane.acked) != batches {
			t.Fatalf("%d facts were published, %d groups acknowledged", len(news.ids), len(lane.acked))
		}
		for i, id := range news.ids {
			if want := fmt.Sprintf("%d.%d", i/facts+1, i%facts); id != want {
				t.Fatalf("fact %d is %s, not %s", i, id, want)
			}
		}
		for i, sequence := range lane.acked {
			if sequence != uint64(i+1) {
				t.Fatalf("group %d was acknowledged as number %d", sequence, i+1)
			}
		}
	})
}

func TestNewsDoesNotWaitWhereLittleComesOrMuch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		news, _, saved := startPublisher(t)
		saved <- savedBatch(1, 1)
		<-time.After(time.Second)
		began := time.Now()
		saved <- savedBatch(2, 1) // after a pause
		<-time.After(publishTakes)
		synctest.Wait()
		if len(news.publishes) != 2 {
			t.Errorf("%d publishes", len(news.publishes))
		}
		saved <- savedBatch(3, fullNews) // as many as one publish takes
		<-time.After(publishTakes)
		synctest.Wait()
		if took := time.Since(began); len(news.publishes) != 3 || took > 2*publishTakes {
			t.Errorf("%d publishes after %v", len(news.publishes), took)
		}
	})
}
