package bus

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
)

// disk is a JetStream whose every message waits for an fsync, one after the other. It is a
// stand-in, because a test cannot slow down a real disk, and time is virtual.
type disk struct {
	jetstream.JetStream
	fsync  time.Duration
	mu     sync.Mutex
	stored int
}

func (d *disk) PublishMsg(ctx context.Context, _ *nats.Msg, _ ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	acked := make(chan uint64, 1)
	go func() { // the server stores a message although its sender stops waiting
		d.mu.Lock()
		defer d.mu.Unlock()
		<-time.After(d.fsync)
		d.stored++
		acked <- uint64(d.stored)
	}()
	select {
	case sequence := <-acked:
		return &jetstream.PubAck{Stream: journalStream, Sequence: sequence}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// 20 callbacks a second for a minute, on a disk that is slow and not broken: each is stored
// within its budget, and none is sent to the disk twice.
func TestCallbacksWaitForASlowDisk(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		url   string
		fsync time.Duration
	}{
		{Embedded, time.Second}, {Embedded, 5 * time.Second}, {"nats://nats.example.com", time.Second}, {"nats://nats.example.com", 2500 * time.Millisecond},
	} {
		t.Run(fmt.Sprint(c.url[:4], c.fsync), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := &disk{fsync: c.fsync}
				h := newHealth(embeddedPatience, true, newStore(NewMetrics(nil), slog.New(slog.DiscardHandler)))
				j := newJournal(d, d, 1, h, Config{URL: c.url}.withDefaults())
				var callbacks sync.WaitGroup
				for n := range 20 * 60 {
					callbacks.Go(func() {
						began := time.Now()
						err := j.Append(t.Context(), "CF", events.Entry{Form: fmt.Sprint(n)})
						if took := time.Since(began); err != nil || took > appendBudget {
							t.Errorf("after %s: %v", took, err)
						}
					})
					<-time.After(time.Second / 20)
				}
				callbacks.Wait()
				if most := int(time.Minute/c.fsync) + 3; d.stored > most {
					t.Errorf("%d messages, want at most %d: some were sent twice", d.stored, most)
				}
				if err := j.close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
