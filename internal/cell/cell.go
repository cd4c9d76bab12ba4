// Package cell stores one JSON value under a key of a bucket, for all processes that
// share the bucket. It changes the value by compare-and-set; callers of one process
// that wait together share one write.
//
// The bucket is an interface, so that the packages that store their state in a cell
// (brakes, rulebook) do not depend on NATS.
package cell

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"gavel/events"
)

// Bucket is the part of a bucket that cells use.
type Bucket interface {
	// Read returns the leader's value of a key, and its revision for an Update. The
	// error wraps events.ErrKeyNotFound if the key does not exist.
	Read(ctx context.Context, key string) (value []byte, revision uint64, err error)
	// Update stores a value and returns its new revision, if the key still has the
	// given revision; 0 means that the key does not exist. Otherwise the error wraps
	// events.ErrKeyChanged. After any other error the value may be stored or not.
	Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
}

// maxPause is the longest pause between two tries. Pauses are random, so that two
// processes do not collide again and again.
const maxPause = 32 * time.Millisecond

// ErrUnreadable means that this version cannot decode or encode the value. The
// change is not tried again.
var ErrUnreadable = errors.New("the value cannot be read")

// Config describes the value of a cell and limits the time of its calls.
type Config[T any] struct {
	Key string
	// Decode decodes a value. It gets no bytes if the key does not exist. nil decodes
	// JSON.
	Decode func([]byte) (*T, error)
	// Within bounds one Change with all its tries, independently of its ctx, and one
	// Read. If the time is over, the error wraps NoAnswer.
	Within   time.Duration
	NoAnswer error
	// Again allows a second try after a write without an answer, which may have been
	// stored: the changes have to recognize themselves in the value. Without Again, a
	// write is tried again only after events.ErrKeyChanged.
	Again bool
	// Refresh allows a Change to get the value of the Change before it, without decoding it
	// again, and brings it to what Decode would return now. Then nothing else may keep a value:
	// not fn, and not Kept. With nil, each Change decodes its value.
	Refresh func(*T)
	// Kept is called with each value that was stored or read, and its revision,
	// before a Change or Read returns. It may be nil.
	Kept func(value *T, revision uint64)
}

// Cell is one value of type T. Its methods may be called from many goroutines.
type Cell[T any] struct {
	config Config[T]
	bucket Bucket

	mu      sync.Mutex
	waiting []*change[T]
	// turn is held by the goroutine that writes for all that wait. It guards this
	// process's copy of the value and its revision, which is 0 without a copy.
	turn     chan struct{}
	value    []byte
	revision uint64
	// parsed is the decoded value, nil if it has to be decoded: without Refresh, and after a change
	// that was not stored.
	parsed *T
}

// change is one Change that waits. Until done is closed, only the goroutine with the
// turn may use err.
type change[T any] struct {
	fn    func(*T) bool
	fresh bool
	err   error
	done  chan struct{}
}

// New returns the cell of a key of a bucket. It does not read the bucket.
func New[T any](bucket Bucket, config Config[T]) *Cell[T] {
	if config.Decode == nil {
		config.Decode = decodeJSON[T]
	}
	if config.Kept == nil {
		config.Kept = func(*T, uint64) {}
	}
	return &Cell[T]{config: config, bucket: bucket, turn: make(chan struct{}, 1)}
}

func decodeJSON[T any](value []byte) (*T, error) {
	v := new(T)
	if len(value) == 0 {
		return v, nil
	}
	return v, json.Unmarshal(value, v)
}

// Read returns the current value of the bucket's leader.
func (c *Cell[T]) Read(ctx context.Context) (*T, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.config.Within, c.config.NoAnswer)
	defer cancel()
	value, revision, err := c.read(ctx)
	if err != nil {
		return nil, err
	}
	v, err := c.decode(value)
	if err == nil {
		c.config.Kept(v, revision)
	}
	return v, err
}

// Change calls fn on the value and stores the result, unless fn returns false. If
// another process was faster, fn is called again on the newer value. It is never called
// by two goroutines at once. If its last call returned false, that call got a value
// that was read from the leader after Change began.
//
// The goroutine that gets the turn changes and writes for all that wait: a call waits
// for the write in progress and for one more. If ctx ends, Change returns, but fn may
// still be called.
func (c *Cell[T]) Change(ctx context.Context, fn func(*T) (changed bool)) error {
	return c.change(ctx, &change[T]{fn: fn, done: make(chan struct{})})
}

// ChangeRead is like Change, but reads the value first: fn never gets this process's
// copy of it.
func (c *Cell[T]) ChangeRead(ctx context.Context, fn func(*T) (changed bool)) error {
	return c.change(ctx, &change[T]{fn: fn, fresh: true, done: make(chan struct{})})
}

func (c *Cell[T]) change(ctx context.Context, mine *change[T]) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	c.waiting = append(c.waiting, mine)
	c.mu.Unlock()
	select {
	case <-mine.done:
	case c.turn <- struct{}{}:
		c.serve(ctx)
		<-c.turn
		<-mine.done
	case <-ctx.Done():
		c.mu.Lock()
		defer c.mu.Unlock()
		c.waiting = slices.DeleteFunc(c.waiting, func(other *change[T]) bool { return other == mine })
		return ctx.Err()
	}
	return mine.err
}

// serve makes all changes that wait. It ignores the end of ctx, because it also writes
// for other callers.
func (c *Cell[T]) serve(ctx context.Context) {
	c.mu.Lock()
	all := c.waiting
	c.waiting = nil
	c.mu.Unlock()
	if len(all) == 0 {
		return
	}
	if slices.ContainsFunc(all, func(one *change[T]) bool { return one.fresh }) {
		c.revision = 0
	}
	err := c.commit(context.WithoutCancel(ctx), func(v *T) (changed bool) {
		for _, one := range all {
			changed = one.fn(v) || changed
		}
		return changed
	})
	for _, one := range all {
		one.err = err
		close(one.done)
	}
}

// commit tries until the change is stored, or must not be tried again.
//
// A write without an answer may have been stored. So commit reads the value again, and
// a change that the value already contains does not change it again.
func (c *Cell[T]) commit(ctx context.Context, fn func(*T) bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.config.Within, c.config.NoAnswer)
	defer cancel()
	pause := time.Millisecond
	for {
		err := c.try(ctx, fn)
		if err == nil || errors.Is(err, ErrUnreadable) {
			return err
		}
		c.revision = 0
		if !c.config.Again && !errors.Is(err, events.ErrKeyChanged) {
			return err
		}
		select {
		case <-time.After(rand.N(pause)):
			pause = min(2*pause, maxPause)
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}

// try makes the change on this process's copy of the value, which saves a read. If fn
// does not change the copy, try reads the value and calls fn again, because another
// process may have changed the value.
func (c *Cell[T]) try(ctx context.Context, fn func(*T) bool) (err error) {
	for cached := c.revision > 0; ; cached = false {
		if !cached {
			c.parsed = nil
			if c.value, c.revision, err = c.read(ctx); err != nil {
				return err
			}
		}
		v, err := c.own()
		if err != nil {
			return err
		}
		if fn(v) {
			return c.store(ctx, v)
		}
		if !cached {
			c.config.Kept(v, c.revision)
			return nil
		}
	}
}

// own returns this process's copy of the value, decoded. fn may change it before anything is stored,
// so store keeps it only after it was.
func (c *Cell[T]) own() (*T, error) {
	v := c.parsed
	if c.parsed = nil; v == nil {
		return c.decode(c.value)
	}
	c.config.Refresh(v)
	return v, nil
}

// store writes the value if the bucket still has the copy's revision.
func (c *Cell[T]) store(ctx context.Context, v *T) error {
	value, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	revision, err := c.bucket.Update(ctx, c.config.Key, value, c.revision)
	if err != nil {
		return err
	}
	c.value, c.revision = value, revision
	c.config.Kept(v, revision)
	if c.config.Refresh != nil {
		c.parsed = v
	}
	return nil
}

// read returns the current value and its revision, or nil and 0 if the key does not
// exist.
func (c *Cell[T]) read(ctx context.Context) ([]byte, uint64, error) {
	value, revision, err := c.bucket.Read(ctx, c.config.Key)
	if errors.Is(err, events.ErrKeyNotFound) {
		return nil, 0, nil
	}
	return value, revision, err
}

func (c *Cell[T]) decode(value []byte) (*T, error) {
	v, err := c.config.Decode(value)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	return v, nil
}
