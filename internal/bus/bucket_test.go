package bus_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gavel/events"
	"gavel/internal/bus"
)

func TestBucketKeepsKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := open(t, func(c *bus.Config) { c.DataDir = dir })
	keys := b.Keys()
	ctx := testContext(t)
	if _, _, err := keys.Read(ctx, "SK1"); !errors.Is(err, events.ErrKeyNotFound) {
		t.Errorf("get of nothing: %v", err)
	}
	if all, err := keys.List(ctx); err != nil || len(all) != 0 {
		t.Errorf("list of nothing: %v, %v", all, err)
	}
	if _, err := keys.Update(ctx, "SK1", []byte("one"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Update(ctx, "SK1", []byte("other"), 0); !errors.Is(err, events.ErrKeyChanged) {
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
	if v, _, err := keys.Read(ctx, "SK1"); err != nil || string(v) != "one" {
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
			t.Errorf("the watch returns %v, want %v", got, want)
		}
	}
	cancel()
	if err := receive(t, "the watch to end", ended); !errors.Is(err, context.Canceled) {
		t.Errorf("watch ended with %v", err)
	}
}

func TestBucketIsComparedAndSet(t *testing.T) {
	t.Parallel()
	b := open(t)
	second, _ := secondProcess(t, b)
	brakes, theirs := b.Brakes(), second.Brakes()
	ctx := testContext(t)
	if _, revision, err := brakes.Read(ctx, "any"); !errors.Is(err, events.ErrKeyNotFound) || revision != 0 {
		t.Errorf("read of nothing: %d, %v", revision, err)
	}
	first, err := brakes.Update(ctx, "any", []byte("one"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := theirs.Update(ctx, "any", []byte("two"), 0); !errors.Is(err, events.ErrKeyChanged) {
		t.Errorf("made again: %v", err)
	}
	value, revision, err := theirs.Read(ctx, "any")
	if err != nil || string(value) != "one" || revision != first {
		t.Errorf("read %q at %d, %v; want one at %d", value, revision, err, first)
	}
	second2, err := theirs.Update(ctx, "any", []byte("two"), revision)
	if err != nil || second2 <= first {
		t.Errorf("update: %d, %v", second2, err)
	}
	if _, err := brakes.Update(ctx, "any", []byte("three"), first); !errors.Is(err, events.ErrKeyChanged) {
		t.Errorf("update of a changed key: %v", err)
	}

	// A deleted key can be created again.
	if err := brakes.Delete(ctx, "any"); err != nil {
		t.Fatal(err)
	}
	if _, revision, err := theirs.Read(ctx, "any"); !errors.Is(err, events.ErrKeyNotFound) || revision != 0 {
		t.Errorf("read of a deleted key: %d, %v", revision, err)
	}
	if _, err := theirs.Update(ctx, "any", []byte("four"), 0); err != nil {
		t.Errorf("created again after a delete: %v", err)
	}
	if value, _, err := brakes.Read(ctx, "any"); err != nil || string(value) != "four" {
		t.Errorf("read %q, %v", value, err)
	}
}

func TestBucketTakesASetOfRules(t *testing.T) {
	t.Parallel()
	b := open(t)
	set := bytes.Repeat([]byte("rule"), 1<<18) // 1 MiB
	if _, err := b.Rules().Update(testContext(t), "set.0123", set, 0); err != nil {
		t.Fatal(err)
	}
	if got, _, err := b.Rules().Read(testContext(t), "set.0123"); err != nil || !bytes.Equal(got, set) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
}

// The stop has to be read within 500 ms, or it counts as set.
func TestAReadWithoutAnAnswerEndsInTime(t *testing.T) {
	t.Parallel()
	b := open(t)
	second, way := secondProcess(t, b)
	way.hold()
	defer way.goOn()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := second.Brakes().Read(ctx, "stop"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("read: %v", err)
	}
}
