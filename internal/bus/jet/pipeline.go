package jet

import (
	"context"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// maxInFlight bounds the unacknowledged messages of one Publish; more are not faster.
	maxInFlight = 256
	// resendEvery is how often messages without an acknowledgement are checked.
	resendEvery = AttemptTimeout / 8
)

// Messages are the messages of one Publish.
type Messages struct {
	// Header is the header of each message. Fill may change it, because the library
	// has copied it when a publish returns.
	Header nats.Header
	// Next holds, for each message, the index of the message that must wait for its
	// acknowledgement; -1 means no message. Its length is the number of messages.
	Next []int
	// Fill writes message i into m.
	Fill func(m *nats.Msg, i int)
	// Stored reports whether an error means that the stream has the message already. It may be nil.
	Stored func(error) bool
	// Acked is called with the sequence of each message that is acknowledged and was not stored before.
	// It may be nil.
	Acked func(i int, sequence uint64)
}

// InOrder returns a Next that sends messages with the same key one after the other.
func InOrder[K comparable](count int, key func(int) K) []int {
	next := AnyOrder(count)
	latest := make(map[K]int, count)
	for i := range count {
		k := key(i)
		if before, ok := latest[k]; ok {
			next[before] = i
		}
		latest[k] = i
	}
	return next
}

// AnyOrder returns a Next where no message waits for another.
func AnyOrder(count int) []int { return slices.Repeat([]int{-1}, count) }

// Publish publishes messages and returns once all are acknowledged. It resends, until
// ctx ends, messages without an answer for AttemptTimeout and those with a transient
// error. doubles counts the messages for which Messages.Stored is true.
func (p *Pipeline) Publish(ctx context.Context, messages Messages) (doubles int, err error) {
	w := window{
		Messages: messages, pipeline: p, m: &nats.Msg{Header: messages.Header},
		sent:    make(map[int]sending, maxInFlight),
		answers: make(chan answer, maxInFlight),
		left:    len(messages.Next),
	}
	waits := make([]bool, len(messages.Next))
	for _, next := range messages.Next {
		if next >= 0 {
			waits[next] = true
		}
	}
	for i := range waits {
		if !waits[i] {
			w.ready = append(w.ready, i)
		}
	}
	err = w.run(ctx)
	return w.doubles, err
}

// window is the state of one Publish: at most maxInFlight messages are in sent.
type window struct {
	Messages
	pipeline *Pipeline
	m        *nats.Msg

	ready   []int // may be sent
	delayed []int // had an error and wait for the next resend
	sent    map[int]sending
	answers chan answer
	left    int
	doubles int
}

type sending struct {
	number uint64
	since  time.Time
}

// run keeps the window full until all messages are acknowledged.
func (w *window) run(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	defer w.forget()
	tick := time.NewTicker(resendEvery)
	defer tick.Stop()
	var last error
	for w.left > 0 {
		if err := w.send(); err != nil {
			last = err
		}
		select {
		case a := <-w.answers:
			if err := w.answered(a); err != nil {
				if !Transient(err) {
					return err
				}
				last = err
			}
		case now := <-tick.C:
			w.resend(now)
		case <-ctx.Done():
			return endError(ctx, last)
		}
	}
	return nil
}

// send sends ready messages. After an error the message is delayed and stays in the window.
func (w *window) send() error {
	now := time.Now()
	for len(w.ready) > 0 && len(w.sent) < maxInFlight {
		i := w.ready[0]
		w.ready = w.ready[1:]
		w.Fill(w.m, i)
		number, err := w.pipeline.send(w.m, i, w.answers)
		if err != nil {
			w.delayed = append(w.delayed, i)
			return err
		}
		w.sent[i] = sending{number, now}
	}
	return nil
}

// answered records an answer. Only an acknowledgement makes the next message ready.
func (w *window) answered(a answer) error {
	delete(w.sent, a.index)
	if a.err != nil && w.Stored != nil && w.Stored(a.err) {
		w.doubles++
		a.err = nil
	}
	if a.err != nil {
		w.delayed = append(w.delayed, a.index)
		return a.err
	}
	if w.Acked != nil && a.ack.Sequence > 0 {
		w.Acked(a.index, a.ack.Sequence)
	}
	w.left--
	if next := w.Next[a.index]; next >= 0 {
		w.ready = append(w.ready, next)
	}
	return nil
}

// resend makes delayed messages ready, and those without an answer for
// AttemptTimeout: the stream recognizes duplicates.
func (w *window) resend(now time.Time) {
	w.ready, w.delayed = append(w.ready, w.delayed...), w.delayed[:0]
	for i, s := range w.sent {
		if now.Sub(s.since) < AttemptTimeout {
			continue
		}
		if _, waits := w.pipeline.forget(s.number); waits {
			delete(w.sent, i)
			w.ready = append(w.ready, i)
		}
	}
}

func (w *window) forget() {
	for _, s := range w.sent {
		w.pipeline.forget(s.number)
	}
}

// SetHeader sets a header to one value and reuses its slice.
func SetHeader(h nats.Header, key, value string) {
	if v := h[key]; len(v) == 1 {
		v[0] = value
		return
	}
	h[key] = []string{value}
}
