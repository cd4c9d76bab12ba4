package keys_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"gavel/internal/bus"
)

// Keys work with the bucket of production: NATS is real here.
func TestKeysAreStoredInJetStream(t *testing.T) {
	t.Parallel()
	b, err := bus.Open(t.Context(), bus.Config{DataDir: t.TempDir(), Sync: bus.SyncInterval}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	here, there := open(t, b.Keys()), open(t, b.Keys())
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); there.Run(ctx) }()
	defer func() { stop(); <-done }()

	sid, secret := create(t, here, "board", account)
	eventually(t, "a new key opens elsewhere", func() bool { return opens(there, sid, secret) })
	if again := open(t, b.Keys()); !opens(again, sid, secret) {
		t.Error("a key does not open after a restart")
	}
	if err := here.Revoke(t.Context(), sid); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a revoked key opens nowhere", func() bool { return !opens(there, sid, secret) })
	if again := open(t, b.Keys()); opens(again, sid, secret) || len(again.List()) > 0 {
		t.Error("a revoked key opens after a restart")
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(time.Minute); !holds(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal(what + ": not within a minute")
		}
	}
}
