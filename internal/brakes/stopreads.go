package brakes

import (
	"context"
	"sync"
)

// stopReads lets concurrent requests share one read of the stop. A read never
// begins before a request that shares it: a request that arrives during a read
// shares the next one.
type stopReads struct {
	mu   sync.Mutex
	next *stopRead // has not begun; nil if no request waits for it
	turn chan struct{}
}

// stopRead is one read of the stop and its result.
type stopRead struct {
	done chan struct{} // closed when stop and err are final
	stop Stop
	err  error
}

func newStopReads() *stopReads { return &stopReads{turn: make(chan struct{}, 1)} }

// get returns the result of a read that began after the call. The first of the
// requests that wait together reads for all of them. Each request has stopTime,
// and so has the read, including the wait for its turn.
func (r *stopReads) get(ctx context.Context, read func(context.Context) (Stop, error)) (Stop, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, stopTime, ErrNoAnswer)
	defer cancel()
	shared, first := r.join()
	if first {
		r.run(context.WithoutCancel(ctx), shared, read)
	}
	select {
	case <-shared.done:
		return shared.stop, shared.err
	case <-ctx.Done():
		return Stop{}, context.Cause(ctx)
	}
}

// join returns the next read. first reports that the caller has to run it.
func (r *stopReads) join() (shared *stopRead, first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next != nil {
		return r.next, false
	}
	r.next = &stopRead{done: make(chan struct{})}
	return r.next, true
}

// run waits until the previous read has ended, then reads. No request joins
// once the read has begun.
func (r *stopReads) run(ctx context.Context, shared *stopRead, read func(context.Context) (Stop, error)) {
	ctx, cancel := context.WithTimeoutCause(ctx, stopTime, ErrNoAnswer)
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
		shared.stop, shared.err = read(ctx)
	}
}
