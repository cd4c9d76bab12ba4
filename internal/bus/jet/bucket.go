package jet

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
)

// Bucket is a small key-value store that all processes share. Its errors wrap
// events.ErrKeyNotFound and events.ErrKeyChanged.
type Bucket struct {
	kv jetstream.KeyValue
	js jetstream.JetStream
}

// OpenBucket opens a bucket, or creates it if it is missing, and reports whether it did. It removes
// damaged records.
func OpenBucket(ctx context.Context, js jetstream.JetStream, c jetstream.KeyValueConfig, log *slog.Logger) (b *Bucket, made bool, err error) {
	kv, err := js.KeyValue(ctx, c.Bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		made = true
		kv, err = js.CreateKeyValue(ctx, c)
	}
	b = &Bucket{kv, js}
	if err == nil && !made {
		_, err = RemoveDamaged(ctx, js, bucketPrefix+c.Bucket, log)
	}
	if err != nil {
		return nil, false, fmt.Errorf("open or create bucket %s: %w", c.Bucket, err)
	}
	return b, made, nil
}

// Read returns a value and its revision, for an Update. It reads from the stream's
// leader, because a follower may lag behind, and does not retry. A missing key is
// events.ErrKeyNotFound, with revision 0.
func (b *Bucket) Read(ctx context.Context, key string) (value []byte, revision uint64, err error) {
	m, err := b.readFromLeader(ctx, key)
	if err != nil {
		return nil, 0, fmt.Errorf("read key: %w", err)
	}
	if m.deletes() {
		return nil, 0, fmt.Errorf("read key: %w", events.ErrKeyNotFound)
	}
	return m.Data, m.Sequence, nil
}

// Update writes a value if revision is still the key's, and returns the new
// revision; revision 0 means a missing key. events.ErrKeyChanged means that another
// writer was faster. After any other error the value may have been written.
func (b *Bucket) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	var stored uint64
	var err error
	if revision == 0 {
		stored, err = b.kv.Create(ctx, key, value)
	} else {
		stored, err = b.kv.Update(ctx, key, value, revision)
	}
	if errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		err = events.ErrKeyChanged
	}
	if err != nil {
		return 0, fmt.Errorf("update key: %w", err)
	}
	return stored, nil
}

const (
	// bucketKeyPrefix begins the subject of a bucket's key, $KV.<bucket>.<key>, and
	// bucketPrefix the name of its stream.
	bucketKeyPrefix   = "$KV."
	bucketPrefix      = "KV_"
	headerKVOperation = "KV-Operation"
)

// deletes reports whether the message marks its key as deleted.
func (m *lastMessage) deletes() bool { return bytes.Contains(m.Header, []byte(headerKVOperation+": ")) }

// readFromLeader returns the last message of a key.
func (b *Bucket) readFromLeader(ctx context.Context, key string) (*lastMessage, error) {
	return lastFromLeader(ctx, b.js, bucketPrefix+b.kv.Bucket(), bucketKeyPrefix+b.kv.Bucket()+"."+key)
}

// Put writes a value unconditionally.
func (b *Bucket) Put(ctx context.Context, key string, value []byte) error {
	if _, err := b.kv.Put(ctx, key, value); err != nil {
		return fmt.Errorf("put key: %w", err)
	}
	return nil
}

// Delete removes a key. A missing key is not an error.
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
		case entry == nil: // end of the initial values
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

// watch calls fn with entries until fn returns false. A nil entry marks the end of
// the initial values.
func (b *Bucket) watch(ctx context.Context, fn func(jetstream.KeyValueEntry) bool, opts ...jetstream.WatchOpt) error {
	w, err := b.kv.WatchAll(ctx, opts...)
	if err != nil {
		return err
	}
	defer func() { _ = w.Stop() }() // the subscription may have ended with ctx
	for {
		select {
		case entry, open := <-w.Updates():
			if !open { // also because ctx ended
				return cmp.Or(ctx.Err(), errClosed)
			}
			if !fn(entry) {
				return nil
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
