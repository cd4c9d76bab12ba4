package bus_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gavel/internal/bus"
)

func TestBucketKeepsKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := open(t, func(c *bus.Config) { c.DataDir = dir })
	keys := b.Keys()
	ctx := testContext(t)
	if _, err := keys.Get(ctx, "SK1"); !errors.Is(err, bus.ErrKeyNotFound) {
		t.Errorf("get of nothing: %v", err)
	}
	if all, err := keys.List(ctx); err != nil || len(all) != 0 {
		t.Errorf("list of nothing: %v, %v", all, err)
	}
	if err := keys.Create(ctx, "SK1", []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := keys.Create(ctx, "SK1", []byte("other")); !errors.Is(err, bus.ErrKeyExists) {
		t.Errorf("create again: %v", err)
	}
	for _, key := range []string{"SK2", "SK3"} {
		if err := keys.Put(ctx, key, []byte("first")); err != nil {
			t.Fatal(err)
		}
	}
	if err := keys.Put(ctx, "SK2", []byte("two")); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"SK3", "SK4"} {
		if err := keys.Delete(ctx, key); err != nil {
			t.Fatal(err)
		}
	}
	if v, err := keys.Get(ctx, "SK1"); err != nil || string(v) != "one" {
		t.Errorf("get: %q, %v", v, err)
	}

	closeBus(t, b)
	again := open(t, func(c *bus.Config) { c.DataDir = dir })
	all, err := again.Keys().List(ctx)
	if diff := cmp.Diff(map[string][]byte{"SK1": []byte("one"), "SK2": []byte("two")}, all); diff != "" || err != nil {
		t.Errorf("list after a restart, %v (-want +got):\n%s", err, diff)
	}
}

func TestBucketIsWatched(t *testing.T) {
	t.Parallel()
	b := open(t)
	ctx, cancel := context.WithCancel(testContext(t))
	if err := b.Keys().Put(ctx, "SK1", []byte("before")); err != nil {
		t.Fatal(err)
	}
	type change struct{ key, value string }
	changes, ended := make(chan change, 10), make(chan error, 1)
	go func() {
		ended <- b.Keys().Watch(ctx, func(key string, value []byte) {
			if value == nil {
				value = []byte("deleted")
			}
			changes <- change{key, string(value)}
		})
	}()
	if got := receive(t, "what was there", changes); got != (change{"SK1", "before"}) {
		t.Errorf("watch begins with %v", got)
	}
	if err := b.Keys().Put(ctx, "SK2", []byte("new")); err != nil {
		t.Fatal(err)
	}
	if err := b.Keys().Delete(ctx, "SK1"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []change{{"SK2", "new"}, {"SK1", "deleted"}} {
		if got := receive(t, "a change", changes); got != want {
			t.Errorf("watch tells %v, want %v", got, want)
		}
	}
	cancel()
	if err := receive(t, "the watch to end", ended); !errors.Is(err, context.Canceled) {
		t.Errorf("watch ended with %v", err)
	}
}
