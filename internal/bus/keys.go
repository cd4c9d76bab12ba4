package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// The errors of a Bucket that callers decide by.
var (
	ErrKeyNotFound = errors.New("key is not in the bucket")
	ErrKeyExists   = errors.New("key is in the bucket already")
)

// Bucket is a small store of keys and values that all processes share.
type Bucket struct{ kv jetstream.KeyValue }

// Get returns a value, or ErrKeyNotFound.
func (b *Bucket) Get(ctx context.Context, key string) ([]byte, error) {
	entry, err := b.kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		err = ErrKeyNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("get key: %w", err)
	}
	return entry.Value(), nil
}

// Create keeps a value under a key that is free, else ErrKeyExists.
func (b *Bucket) Create(ctx context.Context, key string, value []byte) error {
	_, err := b.kv.Create(ctx, key, value)
	if errors.Is(err, jetstream.ErrKeyExists) {
		err = ErrKeyExists
	}
	if err != nil {
		return fmt.Errorf("create key: %w", err)
	}
	return nil
}

// Put keeps a value, whatever was there.
func (b *Bucket) Put(ctx context.Context, key string, value []byte) error {
	if _, err := b.kv.Put(ctx, key, value); err != nil {
		return fmt.Errorf("put key: %w", err)
	}
	return nil
}

// Delete removes a key; one that is not there is no error.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	if err := b.kv.Delete(ctx, key); err != nil {
		return fmt.Errorf("delete key: %w", err)
	}
	return nil
}

// List returns all keys and values.
func (b *Bucket) List(ctx context.Context) (map[string][]byte, error) {
	all := make(map[string][]byte)
	err := b.watch(ctx, func(entry jetstream.KeyValueEntry) bool {
		if entry != nil {
			all[entry.Key()] = entry.Value()
		}
		return entry != nil
	}, jetstream.IgnoreDeletes())
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	return all, nil
}

// Watch calls fn with every key and value and with each change, until ctx
// ends. A nil value means that the key was deleted.
func (b *Bucket) Watch(ctx context.Context, fn func(key string, value []byte)) error {
	err := b.watch(ctx, func(entry jetstream.KeyValueEntry) bool {
		switch {
		case entry == nil: // what was there is told; changes follow
		case entry.Operation() == jetstream.KeyValuePut:
			fn(entry.Key(), entry.Value())
		default:
			fn(entry.Key(), nil)
		}
		return true
	})
	if err != nil {
		return fmt.Errorf("watch keys: %w", err)
	}
	return nil
}

// watch calls fn with entries until it returns false; nil marks the end of
// what was there.
func (b *Bucket) watch(ctx context.Context, fn func(jetstream.KeyValueEntry) bool, opts ...jetstream.WatchOpt) error {
	w, err := b.kv.WatchAll(ctx, opts...)
	if err != nil {
		return err
	}
	defer func() { _ = w.Stop() }() // the subscription may have ended with ctx
	for {
		select {
		case entry, open := <-w.Updates():
			if !open {
				return errClosed
			}
			if !fn(entry) {
				return nil
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
