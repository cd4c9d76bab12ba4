package cell

import (
	"context"
	"sync"
	"time"
)

// Reads lets concurrent requests share one read of a value. A read never begins before a request
// that shares it: a request that arrives during a read shares the next one. So the result is never
// older than the request.
type Reads[T any] struct {
	within   time.Duration
	noAnswer error
	turn     chan struct{}

	mu   sync.Mutex
	next *sharedRead[T] // has not begun; nil if no request waits for it
}

// sharedRead is one read and its result.
type sharedRead[T any] struct {
	done  chan struct{} // closed when value and err are final
	value T
	err   error
}

// NewReads returns a Reads whose requests have that much time, and fail with noAnswer after it.
func NewReads[T any](within time.Duration, noAnswer error) *Reads[T] {
	return &Reads[T]{within: within, noAnswer: noAnswer, turn: make(chan struct{}, 1)}
}

// Get returns the result of a read that began after the call. The first of the requests that wait
// together reads for all of them. Each request is limited in time, and so is the read, including
// the wait for its turn.
func (r *Reads[T]) Get(ctx context.Context, read func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, r.within, r.noAnswer)
	defer cancel()
	shared, first := r.join()
	if first {
		r.run(context.WithoutCancel(ctx), shared, read)
	}
	select {
	case <-shared.done:
		return shared.value, shared.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// join returns the next read. first reports that the caller has to run it.
func (r *Reads[T]) join() (shared *sharedRead[T], first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next != nil {
		return r.next, false
	}
	r.next = &sharedRead[T]{done: make(chan struct{})}
	return r.next, true
}

// run waits until the previous read has ended, then reads. No request joins
// once the read has begun.
func (r *Reads[T]) run(ctx context.Context, shared *sharedRead[T], read func(context.Context) (T, error)) {
	ctx, cancel := context.WithTimeoutCause(ctx, r.within, r.noAnswer)
	defer cancel()
	defer close(shared.done)
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		shared.err = context.Cause(ctx)
	}
	r.mu.Lock()
	r.next = nil
	r.mu.Unlock()
	if shared.err == nil {
		shared.value, shared.err = read(ctx)
	}
}
