package app

import (
	"context"
	"math"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

const (
	// gcPercent lets a small heap grow to five times the live heap before a collection, so that
	// collections do not slow the door's slowest answers.
	gcPercent = 400
	// gcHeadroom bounds that growth, in bytes: a picture of 100,000 conferences is live heap, and
	// four times as much garbage would need 1 GB.
	gcHeadroom = 128 << 20
	// gcSeconds is how long the garbage of a quiet process grows, and quietHeadroom what it may be
	// in any case. A process that makes 2 MB in a second would hold 128 MB for the sake of a
	// collection every minute.
	gcSeconds     = 5
	quietHeadroom = 32 << 20
	// leastPercent keeps the collector from running all the time on a huge heap.
	leastPercent = 50
	// limitPercent is the part of the cgroup's memory limit that becomes the limit of the Go
	// runtime. The rest is for what the runtime does not count: the binary, buffers of the kernel.
	limitPercent = 90
	// followEvery is how often the collector's goal is compared with the live heap.
	followEvery = time.Second
)

// TuneMemory sets the garbage collector's goal, and the memory limit from the cgroup (v1 or v2), so
// that a container is not killed for a heap that the collector lets grow. GOGC and GOMEMLIMIT
// override the two. It returns the limit in bytes; without a cgroup or a limit in it, that is
// math.MaxInt64.
func TuneMemory(lookup func(string) (string, bool)) int64 {
	if _, set := lookup("GOGC"); !set {
		debug.SetGCPercent(gcPercent)
	}
	limit, err := memlimit.Set(memlimit.WithRatio(limitPercent / 100.0))
	if err != nil {
		return math.MaxInt64 // a system without cgroups
	}
	return limit
}

// FollowHeap lowers the collector's goal while the live heap is large, until ctx ends. It does
// nothing if GOGC is set.
func FollowHeap(lookup func(string) (string, bool)) func(context.Context) error {
	return func(ctx context.Context) error {
		if _, set := lookup("GOGC"); set {
			return nil
		}
		heap := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"}}
		tick := time.NewTicker(followEvery)
		defer tick.Stop()
		before := uint64(math.MaxUint64)
		for now := gcPercent; ; {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return nil
			}
			metrics.Read(heap)
			live, made := heap[0].Value.Uint64(), heap[1].Value.Uint64()
			// A change stops the process for a moment, so small ones are not made.
			if want := percentFor(live, made-min(made, before)); want > now*5/4 || want < now*4/5 {
				now = want
				debug.SetGCPercent(now)
			}
			before = made
		}
	}
}

// percentFor returns the collector's goal for a live heap and the bytes allocated in a second.
func percentFor(live, perSecond uint64) int {
	headroom := min(max(perSecond*gcSeconds, quietHeadroom), gcHeadroom)
	return int(min(max(headroom*100/max(live, 1), leastPercent), gcPercent))
}
