package jet

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// maxInFlight bounds the messages of one Publish that are without an answer;
	// more gain nothing.
	maxInFlight = 256
	// resendEvery is how often messages that got no answer, or an error, are
	// checked.
	resendEvery = AttemptTimeout / 8
)

// Messages are what one Publish sends.
type Messages struct {
	// Header is that of each message. Fill may change it, because the library has
	// written it out when a publish returns.
	Header nats.Header
	// Next gives, for each message, the index of the one that is sent only after
	// it is acknowledged; -1: none. Its length is the number of messages.
	Next []int
	// Fill makes m the message i.
	Fill func(m *nats.Msg, i int)
	// Stored recognizes errors that mean that the stream has the message already;
	// nil: none does.
	Stored func(error) bool
}

// InOrder returns the Next of messages of which those with the same key are sent
// one after the other.
func InOrder[K comparable](count int, key func(int) K) []int {
	next := make([]int, count)
	latest := make(map[K]int, count)
	for i := range count {
		next[i] = -1
		k := key(i)
		if before, ok := latest[k]; ok {
			next[before] = i
		}
		latest[k] = i
	}
	return next
}

// AnyOrder returns the Next of messages of which none waits for another.
func AnyOrder(count int) []int {
	next := make([]int, count)
	for i := range next {
		next[i] = -1
	}
	return next
}

// firsts returns which messages follow no other.
func firsts(next []int) []bool {
	first := make([]bool, len(next))
	for i := range first {
		first[i] = true
	}
	for _, n := range next {
		if n >= 0 {
			first[n] = false
		}
	}
	return first
}

// Publish sends messages and returns once all are acknowledged. What has no answer
// for AttemptTimeout, or a transient error, is sent again until ctx ends. doubles
// is how many the stream had already, by Messages.Stored.
func (p *Pipeline) Publish(ctx context.Context, messages Messages) (doubles int, err error) {
	w := window{
		Messages: messages, pipeline: p, m: &nats.Msg{Header: messages.Header},
		sent:    make(map[int]sending, maxInFlight),
		answers: make(chan answer, maxInFlight),
		left:    len(messages.Next),
	}
	for i, first := range firsts(messages.Next) {
		if first {
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
	delayed []int // had an error and may be sent a little later
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
			return ended(ctx, last)
		}
	}
	return nil
}

// send sends what is ready. What the connection does not take is delayed; the
// error is the reason and ends nothing.
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

// answered notes one answer. Only an acknowledgement makes the next message ready.
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
	w.left--
	if next := w.Next[a.index]; next >= 0 {
		w.ready = append(w.ready, next)
	}
	return nil
}

// resend makes ready what was delayed, and what has been without an answer for too
// long: the stream recognizes a message that it has.
func (w *window) resend(now time.Time) {
	w.ready, w.delayed = append(w.ready, w.delayed...), w.delayed[:0]
	for i, s := range w.sent {
		if now.Sub(s.since) >= AttemptTimeout && w.pipeline.forget(s.number) {
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

// SetHeader sets a header's only value in the slice that is there.
func SetHeader(h nats.Header, key, value string) {
	if v := h[key]; len(v) == 1 {
		v[0] = value
		return
	}
	h[key] = []string{value}
}
