package app

import (
	"math"
	"testing"
)

// A small heap may grow to five times its size; a large one grows by 128 MB, and by half at least.
// A quiet process needs less.
func TestTheCollectorsGoalFollowsTheLiveHeap(t *testing.T) {
	t.Parallel()
	const busy, quiet = 100 << 20, 2 << 20
	for live, want := range map[uint64][2]int{
		0: {400, 400}, 8 << 20: {400, 400}, 16 << 20: {400, 200}, 64 << 20: {200, 50}, 128 << 20: {100, 50}, 4 << 30: {50, 50},
	} {
		if got := [2]int{percentFor(live, busy), percentFor(live, quiet)}; got != want {
			t.Errorf("live heap of %d bytes: %d %% busy and quiet, want %d %%", live, got, want)
		}
	}
}

// Twice as many connections as slow bodies, and half as many as callbacks in flight, fit into memory.
func TestTheConnectionsOfAPortFitIntoMemory(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int64]int{0: 12_000, math.MaxInt64: 12_000, 512 << 20: 1_638, 64 << 20: 256} {
		if got := connectionsOf(limit); got != want {
			t.Errorf("with %d MiB: %d, want %d", limit>>20, got, want)
		}
	}
}
