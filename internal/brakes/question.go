package brakes

import (
	"context"
	"sync"
)

// questions let those who ask the same at the same time share one answer. An
// answer never is older than the question: whoever comes while one is being
// read shares the next.
type questions struct {
	mu   sync.Mutex
	next *question // has not begun; nil where nobody waits for it
	turn chan struct{}
}

// question is one reading and all who wait for it.
type question struct {
	done chan struct{}
	stop Stop
	err  error
}

func newQuestions() *questions { return &questions{turn: make(chan struct{}, 1)} }

// ask returns what read says, where read began after ask. The first of those
// who wait together reads for all of them; they have stopTime for that, and
// so has it, the wait for its turn included.
func (q *questions) ask(ctx context.Context, read func(context.Context) (Stop, error)) (Stop, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, stopTime, ErrNoAnswer)
	defer cancel()
	shared, first := q.join()
	if first {
		q.answer(context.WithoutCancel(ctx), shared, read)
	}
	select {
	case <-shared.done:
		return shared.stop, shared.err
	case <-ctx.Done():
		return Stop{}, context.Cause(ctx)
	}
}

// join waits with others for the next reading, or is the first who does.
func (q *questions) join() (shared *question, first bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.next != nil {
		return q.next, false
	}
	q.next = &question{done: make(chan struct{})}
	return q.next, true
}

// answer reads when its turn has come. From then on nobody joins any more.
func (q *questions) answer(ctx context.Context, shared *question, read func(context.Context) (Stop, error)) {
	ctx, cancel := context.WithTimeoutCause(ctx, stopTime, ErrNoAnswer)
	defer cancel()
	defer close(shared.done)
	select {
	case q.turn <- struct{}{}:
		defer func() { <-q.turn }()
	case <-ctx.Done():
		shared.err = context.Cause(ctx)
	}
	q.mu.Lock()
	q.next = nil
	q.mu.Unlock()
	if shared.err == nil {
		shared.stop, shared.err = read(ctx)
	}
}
