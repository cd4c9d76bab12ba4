package keys_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
)

// fakeBucket is a bucket in memory that several Gavels can share: a fake of JetStream's that keeps
// the contract of keys.Bucket. Its watches can be broken and its store made unreachable.
type fakeBucket struct {
	mu       sync.Mutex
	values   map[string][]byte
	deleted  []string
	watchers map[chan change]struct{}
	broken   chan struct{}
	down     bool
	watched  chan struct{} // one signal for each watch that began
}

type change struct {
	key   string
	value []byte
}

var errDown = errors.New("bucket is down")

func newFakeBucket() *fakeBucket {
	return &fakeBucket{
		values:   map[string][]byte{},
		watchers: map[chan change]struct{}{},
		broken:   make(chan struct{}),
		watched:  make(chan struct{}, 100),
	}
}

func (s *fakeBucket) List(context.Context) (map[string][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return nil, errDown
	}
	return maps.Clone(s.values), nil
}

func (s *fakeBucket) Put(_ context.Context, key string, value []byte) error {
	return s.change(key, value)
}

func (s *fakeBucket) Delete(_ context.Context, key string) error {
	return s.change(key, nil)
}

func (s *fakeBucket) change(key string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return errDown
	}
	if value == nil {
		delete(s.values, key)
		s.deleted = append(s.deleted, key)
	} else {
		s.values[key] = bytes.Clone(value)
	}
	for w := range s.watchers {
		w <- change{key, value}
	}
	return nil
}

func (s *fakeBucket) Lost(context.Context) ([]string, error) { return nil, nil }

func (s *fakeBucket) Watch(ctx context.Context, fn func(string, []byte)) error {
	s.mu.Lock()
	changes := make(chan change, 1000)
	for _, key := range slices.Sorted(maps.Keys(s.values)) {
		changes <- change{key, s.values[key]}
	}
	s.watchers[changes] = struct{}{}
	broken := s.broken
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers, changes)
	}()
	s.watched <- struct{}{}
	for {
		select {
		case c := <-changes:
			fn(c.key, c.value)
		case <-broken:
			return errDown
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// fail breaks all watches and makes the store unreachable; mend restores it.
func (s *fakeBucket) fail() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = true
	close(s.broken)
	s.broken = make(chan struct{})
}

func (s *fakeBucket) mend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = false
}

// drop deletes without notifying watchers, as happens while a watch is broken.
func (s *fakeBucket) drop(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.values, key)
}
