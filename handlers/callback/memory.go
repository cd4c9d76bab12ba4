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
	// inFlight is how many genuine requests may wait at the same time.
	inFlight int64
	next     atomic.Int64
	short    atomic.Bool
}

// newPressure takes the runtime's limit, as debug.SetMemoryLimit returns it.
func newPressure(limit int64) *pressure {
	p := &pressure{inFlight: maxInFlight}
	if limit < math.MaxInt64 {
		p.limit = uint64(limit)
		p.inFlight = int64(min(p.limit/100*memoryPercent/requestBytes, maxInFlight))
	}
	return p
}

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
