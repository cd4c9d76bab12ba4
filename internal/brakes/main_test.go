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

// NATS (embedded) is real here, and so is all contention. Tests set the clock. A
// bucket in front of the real one simulates network errors of writes and reads.
// Tests must not assert how many tries a write took.

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	account = "AC0123456789abcdef0123456789abcdef"
	other   = "ACffffffffffffffffffffffffffffffff"
)

// bucket returns a new bucket in its own NATS.
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

// overwrite replaces a value, whatever it is.
func overwrite(t *testing.T, b brakes.Bucket, key, value string) {
	t.Helper()
	_, revision, err := b.Read(t.Context(), key)
	if err == nil {
		_, err = b.Update(t.Context(), key, []byte(value), revision)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// clock is set by the test.
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

// weather is a bucket in front of another one; its network can fail.
type weather struct {
	brakes.Bucket
	updates atomic.Int64
	down    atomic.Bool
	mute    atomic.Int64 // number of writes that are stored without an answer
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

// ask returns one request of a rule.
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

// expect sends a request and compares the answer.
func expect(t *testing.T, b *brakes.Brakes, want brakes.Answer, r brakes.Request) brakes.Verdict {
	t.Helper()
	v := admit(t, b, r)
	if v.Answer != want {
		t.Errorf("%s of %s: %+v, want %s", r.ID, r.Rule, v, want)
	}
	return v
}

// many sends n requests, each with another id.
func many(t *testing.T, b *brakes.Brakes, n int, r brakes.Request) {
	t.Helper()
	for i := range n {
		one := r
		one.ID = fmt.Sprintf("%s-%d", r.ID, i)
		expect(t, b, brakes.Admitted, one)
	}
}
