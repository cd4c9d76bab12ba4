package jet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
)

// Bucket is a small store of keys and values that all processes share. Callers
// compare its errors with events.ErrKeyNotFound and events.ErrKeyChanged.
type Bucket struct {
	kv jetstream.KeyValue
	js jetstream.JetStream
}

// OpenBucket opens a bucket, and makes it where it is missing.
func OpenBucket(ctx context.Context, js jetstream.JetStream, c jetstream.KeyValueConfig) (*Bucket, error) {
	kv, err := js.KeyValue(ctx, c.Bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		kv, err = js.CreateKeyValue(ctx, c)
	}
	if err != nil {
		return nil, fmt.Errorf("find or make bucket %s: %w", c.Bucket, err)
	}
	return &Bucket{kv, js}, nil
}

// Read returns a value and its revision, for an Update. It asks the stream's
// leader, because a follower may not know the last one yet, and asks once: the
// caller's ctx says how long. A key that is not there is events.ErrKeyNotFound, with
// revision 0.
func (b *Bucket) Read(ctx context.Context, key string) (value []byte, revision uint64, err error) {
	m, err := b.askLeader(ctx, key)
	if err != nil {
		return nil, 0, fmt.Errorf("read key: %w", err)
	}
	if m.removed() {
		return nil, 0, fmt.Errorf("read key: %w", events.ErrKeyNotFound)
	}
	return m.Data, m.Sequence, nil
}

// Update keeps a value where the revision is still the key's, and returns the
// new one; revision 0 is a key that is not there. events.ErrKeyChanged means
// that another writer was faster. After any other error the value may be kept
// or not.
func (b *Bucket) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	var err error
	var kept uint64
	if revision == 0 {
		kept, err = b.kv.Create(ctx, key, value)
	} else {
		kept, err = b.kv.Update(ctx, key, value, revision)
	}
	if errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		err = events.ErrKeyChanged
	}
	if err != nil {
		return 0, fmt.Errorf("update key: %w", err)
	}
	return kept, nil
}

const (
	// bucketKeyPrefix begins the subject of a bucket's key, $KV.<bucket>.<key>, and
	// bucketPrefix the name of its stream.
	bucketKeyPrefix = "$KV."
	bucketPrefix    = "KV_"
	// getMessage is a request that the stream's leader answers:
	// $JS.API.STREAM.MSG.GET.<stream>.
	getMessage        = "$JS.API.STREAM.MSG.GET."
	headerKVOperation = "KV-Operation"
)

// keyMessage is a key's last message as JetStream answers to a STREAM.MSG.GET.
type keyMessage struct {
	Sequence uint64 `json:"seq"`
	Header   []byte `json:"hdrs"`
	Data     []byte `json:"data"`
}

// removed reports whether it is the mark of a key that was deleted.
func (m *keyMessage) removed() bool {
	return len(m.Header) > 0 && bytes.Contains(m.Header, []byte(headerKVOperation+": "))
}

// askLeader gets the last message of a key. The client library would ask any
// member of the stream, as buckets allow.
func (b *Bucket) askLeader(ctx context.Context, key string) (*keyMessage, error) {
	request, err := json.Marshal(map[string]string{"last_by_subj": bucketKeyPrefix + b.kv.Bucket() + "." + key})
	if err != nil {
		return nil, err
	}
	answer, err := b.js.Conn().RequestWithContext(ctx, getMessage+bucketPrefix+b.kv.Bucket(), request)
	if err != nil {
		return nil, err
	}
	var said struct {
		Error   *jetstream.APIError `json:"error"`
		Message *keyMessage         `json:"message"`
	}
	if err := json.Unmarshal(answer.Data, &said); err != nil {
		return nil, err
	}
	switch {
	case said.Error != nil && said.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return nil, events.ErrKeyNotFound
	case said.Error != nil:
		return nil, said.Error
	case said.Message == nil:
		return nil, jetstream.ErrInvalidJSAck
	}
	return said.Message, nil
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
