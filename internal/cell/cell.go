// Package cell keeps one JSON value under a key of a bucket, for all processes that
// share the bucket. Changes are made by compare-and-set; callers of one process that
// wait together share one write.
//
// The bucket is an interface, so that those who keep their state in a cell (brakes,
// rulebook) depend on no NATS.
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
	// Read returns a value as the leader has it, and its revision for an Update, or
	// events.ErrKeyNotFound.
	Read(ctx context.Context, key string) (value []byte, revision uint64, err error)
	// Update keeps a value where the revision is still that one, 0 for none, and
	// returns the new revision; else events.ErrKeyChanged. After any other error the
	// value may be kept or not.
	Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
}

// maxPause is the longest pause between two tries. Pauses are random, so that two
// processes do not collide again and again.
const maxPause = 32 * time.Millisecond

// ErrUnreadable means that the value is not one that this version can read. It is
// not tried again.
var ErrUnreadable = errors.New("the value cannot be read")

// Config says what a cell holds and how long it may take.
type Config[T any] struct {
	Key string
	// Decode reads a value, of no bytes where there is none yet; nil: JSON.
	Decode func([]byte) (*T, error)
	// Within bounds one Change with all its tries, whatever ctx it was called with,
	// and one Read. NoAnswer is in the error when it is over.
	Within   time.Duration
	NoAnswer error
	// Again says that a change may be made again where it is not known whether it
	// was kept: it then finds itself in the value. Without it only a write that
	// another was faster than is tried again.
	Again bool
	// Kept is called with each value that was kept or read, and its revision,
	// before a Change or Read returns; nil: nothing is.
	Kept func(value *T, revision uint64)
}

// Cell is one value of type T. Its methods may be called from many goroutines.
type Cell[T any] struct {
	config Config[T]
	bucket Bucket

	mu      sync.Mutex
	waiting []*change[T]
	// turn is held by the goroutine that writes for all that wait; it guards the
	// value as this process knows it and its revision, 0 where it knows none.
	turn     chan struct{}
	value    []byte
	revision uint64
}

// change is one Change that waits. Until done is closed it belongs to the turn.
type change[T any] struct {
	fn    func(*T) bool
	fresh bool
	err   error
	done  chan struct{}
}

// New returns the cell of a key of a bucket. It reads nothing.
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

// Read returns the value as the bucket's leader has it now.
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

// Change calls fn on the value and keeps what fn made of it, unless fn returns false.
// fn is called again on a newer value where another process was faster, and is never
// called by two goroutines at once. Where it returns false last, it has seen the value
// as the leader had it after Change was called.
//
// The goroutine that gets the turn changes and writes for all that wait: a call waits
// for the write under way and for one more. A caller whose ctx ends leaves; then its
// fn may still be called.
func (c *Cell[T]) Change(ctx context.Context, fn func(*T) (changed bool)) error {
	return c.change(ctx, &change[T]{fn: fn, done: make(chan struct{})})
}

// ChangeRead is Change on the value as it is read now: fn is called on no value that
// this process remembers.
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

// serve makes all changes that wait. It does not end with the caller, who writes for
// the others too.
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

// commit tries until the change is kept, or may not be tried again.
//
// A write without an answer may have been kept: the value is read again, and a
// change that is in it already changes nothing.
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

// try makes the change on the value that this process remembers, which saves the
// reading. That nothing changes is believed only of a value that was read just now:
// it may have been changed elsewhere.
func (c *Cell[T]) try(ctx context.Context, fn func(*T) bool) (err error) {
	for remembered := c.revision > 0; ; remembered = false {
		if !remembered {
			if c.value, c.revision, err = c.read(ctx); err != nil {
				return err
			}
		}
		v, err := c.decode(c.value)
		if err != nil {
			return err
		}
		if fn(v) {
			return c.keep(ctx, v)
		}
		if !remembered {
			c.config.Kept(v, c.revision)
			return nil
		}
	}
}

// keep writes the value where the revision is still the last one.
func (c *Cell[T]) keep(ctx context.Context, v *T) error {
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
	return nil
}

// read returns the value as it is now, nothing where there is none yet.
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
