package brakes_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gavel/internal/brakes"
	"gavel/internal/bus"
	"gavel/rules"
)

// NATS is real here, embedded; so is all contention. Time is a clock that tests
// set. What a network does to writes and reads is played by a bucket in front
// of the real one. Nothing may be asserted of how many tries something took.

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	account = "AC0123456789abcdef0123456789abcdef"
	other   = "ACffffffffffffffffffffffffffffffff"
)

// bucket is a fresh one in a NATS of its own.
func bucket(t testing.TB) brakes.Bucket {
	t.Helper()
	b, err := bus.Open(t.Context(), bus.Config{DataDir: t.TempDir(), Sync: bus.SyncInterval}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return b.Brakes()
}

// clock is set by hand.
type clock struct {
	mu sync.Mutex
	at time.Time
}

// noon is in the middle of a second.
func noon() *clock { return &clock{at: time.Date(2026, 11, 22, 12, 0, 0, 500e6, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// weather is a bucket in front of another one, whose network can be bad.
type weather struct {
	brakes.Bucket
	updates atomic.Int64
	down    atomic.Bool
	mute    atomic.Int64 // so many writes are kept without an answer
}

var errDown = errors.New("bucket is down")

func (w *weather) Read(ctx context.Context, key string) ([]byte, uint64, error) {
	if w.down.Load() {
		return nil, 0, errDown
	}
	return w.Bucket.Read(ctx, key)
}

func (w *weather) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	w.updates.Add(1)
	if w.down.Load() {
		return 0, errDown
	}
	kept, err := w.Bucket.Update(ctx, key, value, revision)
	if err == nil && w.mute.Add(-1) >= 0 {
		return 0, errDown
	}
	return kept, err
}

// ask is one request of a rule.
func ask(rule, id string, perMinute, tripAfter int) brakes.Request {
	return brakes.Request{Rule: rule, AccountSid: account, ID: id, Limits: rules.Limits{PerMinute: perMinute, TripAfter: tripAfter}}
}

func admit(t *testing.T, b *brakes.Brakes, r brakes.Request) brakes.Verdict {
	t.Helper()
	v, err := b.Admit(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// expect asks and compares the answer.
func expect(t *testing.T, b *brakes.Brakes, want brakes.Answer, r brakes.Request) brakes.Verdict {
	t.Helper()
	v := admit(t, b, r)
	if v.Answer != want {
		t.Errorf("%s of %s: %+v, want %s", r.ID, r.Rule, v, want)
	}
	return v
}

// many asks that often, each time with another id.
func many(t *testing.T, b *brakes.Brakes, n int, r brakes.Request) {
	t.Helper()
	for i := range n {
		one := r
		one.ID = fmt.Sprintf("%s-%d", r.ID, i)
		expect(t, b, brakes.Admitted, one)
	}
}
