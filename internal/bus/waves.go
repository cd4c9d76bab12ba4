package bus

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"

	"gavel/events"
)

const (
	// maxInFlight bounds the messages of a wave on their way; more gain nothing.
	maxInFlight = 256
	// tryAgainEvery is how often messages that got no answer, or were turned
	// away, are looked after.
	tryAgainEvery = attemptTimeout / 8
)

// publishSingly tells facts one message each, many conferences at a time and
// one fact of each.
func (n *News) publishSingly(ctx context.Context, facts []events.News) error {
	next := following(len(facts), func(i int) events.Key { return facts[i].Key })
	w := newWave(n.tickets, newLetter(), next, func(m *nats.Msg, i int) { n.letterOf(m, &facts[i]) })
	if err := w.run(ctx); err != nil {
		return err
	}
	n.metrics.news.WithLabelValues(bySingles).Add(float64(len(facts)))
	return nil
}

// following gives for each of so many messages the index of the next one of
// its conference, -1 for the last.
func following(count int, key func(int) events.Key) []int {
	next := make([]int, count)
	latest := make(map[events.Key]int, count)
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

// freely is following for messages of which none waits for another.
func freely(count int) []int {
	next := make([]int, count)
	for i := range next {
		next[i] = -1
	}
	return next
}

// firsts tells which messages follow no other.
func firsts(following []int) []bool {
	first := make([]bool, len(following))
	for i := range first {
		first[i] = true
	}
	for _, next := range following {
		if next >= 0 {
			first[next] = false
		}
	}
	return first
}

// wave is many messages to one stream, of which as many are on their way at
// once as may be.
type wave struct {
	tickets   *tickets
	fill      func(m *nats.Msg, i int) // makes letter the message i
	letter    *nats.Msg
	following []int
	// known tells the errors that mean that the stream has the message already;
	// nil where none does. doubles counts them.
	known   func(error) bool
	doubles int

	ready   []int // may fly
	resting []int // were turned away and may fly a little later
	flying  map[int]flight
	answers chan answer
	left    int
}

type flight struct {
	ticket uint64
	since  time.Time
}

// newWave lets a message fly only after the one that it follows has landed.
// The letter is used again for each, because the library has written it out
// when publishing returns.
func newWave(t *tickets, letter *nats.Msg, following []int, fill func(*nats.Msg, int)) *wave {
	w := &wave{
		tickets: t, fill: fill, letter: letter, following: following,
		flying:  make(map[int]flight, maxInFlight),
		answers: make(chan answer, maxInFlight),
		left:    len(following),
	}
	for i, first := range firsts(following) {
		if first {
			w.ready = append(w.ready, i)
		}
	}
	return w
}

// run keeps as many in flight as may be, until all have landed.
func (w *wave) run(ctx context.Context) error {
	defer w.callBack()
	tick := time.NewTicker(tryAgainEvery)
	defer tick.Stop()
	var last error
	for w.left > 0 {
		if err := w.launch(); err != nil {
			last = err
		}
		select {
		case a := <-w.answers:
			if err := w.land(a); err != nil {
				if !isTransient(err) {
					return err
				}
				last = err
			}
		case now := <-tick.C:
			w.tryAgain(now)
		case <-ctx.Done():
			return ended(ctx, last)
		}
	}
	return nil
}

// launch sends what is ready. What the connection does not take rests; the
// error says why and ends nothing.
func (w *wave) launch() error {
	now := time.Now()
	for len(w.ready) > 0 && len(w.flying) < maxInFlight {
		i := w.ready[0]
		w.ready = w.ready[1:]
		w.fill(w.letter, i)
		ticket, err := w.tickets.publish(w.letter, i, w.answers)
		if err != nil {
			w.resting = append(w.resting, i)
			return err
		}
		w.flying[i] = flight{ticket, now}
	}
	return nil
}

// land takes one answer in. Only an acknowledgement lets the next message of
// the conference fly.
func (w *wave) land(a answer) error {
	delete(w.flying, a.index)
	if a.err != nil && w.known != nil && w.known(a.err) {
		w.doubles++
		a.err = nil
	}
	if a.err != nil {
		w.resting = append(w.resting, a.index)
		return a.err
	}
	w.left--
	if next := w.following[a.index]; next >= 0 {
		w.ready = append(w.ready, next)
	}
	return nil
}

// tryAgain lets fly what rested, and what has been without an answer for too
// long: the stream knows it again if it has it.
func (w *wave) tryAgain(now time.Time) {
	w.ready, w.resting = append(w.ready, w.resting...), w.resting[:0]
	for i, f := range w.flying {
		if now.Sub(f.since) >= attemptTimeout && w.tickets.giveBack(f.ticket) {
			delete(w.flying, i)
			w.ready = append(w.ready, i)
		}
	}
}

// callBack gives the tickets of all that is still in flight back.
func (w *wave) callBack() {
	for _, f := range w.flying {
		w.tickets.giveBack(f.ticket)
	}
}
