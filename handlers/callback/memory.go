package callback

import (
	"math"
	"runtime/metrics"
	"sync/atomic"
	"time"
)

// pressure is whether memory is short. Above its limit the Go runtime collects garbage all the
// time, and a control group kills the process, with everything that is in flight.
type pressure struct {
	limit uint64 // of the Go runtime, in bytes; 0 for none
	// room is for genuine requests in flight, in bytes; held is what they use of it.
	room  int64
	held  atomic.Int64
	next  atomic.Int64
	short atomic.Bool
}

// newPressure takes the runtime's limit, as debug.SetMemoryLimit returns it.
func newPressure(limit int64) *pressure {
	p := &pressure{room: maxInFlight * requestBytes}
	if limit < math.MaxInt64 {
		p.limit = uint64(limit)
		p.room = min(limit/100*memoryPercent, p.room)
	}
	return p
}

// full reports whether no request fits beside those in flight.
func (p *pressure) full() bool { return p.held.Load()+requestBytes > p.room }

// enter makes room for a genuine request with a body of that size, and reports how much it holds
// until leave; 0 if it does not fit.
func (p *pressure) enter(body int) (held int64) {
	held = max(requestBytes, int64(body)*bodyCopies)
	if p.held.Add(held) > p.room {
		p.leave(held)
		return 0
	}
	return held
}

func (p *pressure) leave(held int64) { p.held.Add(-held) }

// high reports whether live memory is near the limit. Garbage does not count: the collector lets
// it grow up to the limit on purpose. One request of each memoryEvery measures for all others.
func (p *pressure) high(now time.Time) bool {
	if p.limit == 0 {
		return false
	}
	if at := p.next.Load(); now.UnixNano() >= at && p.next.CompareAndSwap(at, now.Add(memoryEvery).UnixNano()) {
		used := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
		metrics.Read(used)
		p.short.Store(used[0].Value.Uint64()+used[1].Value.Uint64() > p.limit/100*shortPercent)
	}
	return p.short.Load()
}
