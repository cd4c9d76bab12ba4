package app

import "testing"

// A small heap may grow to five times its size; a large one grows by 128 MB, and by half at least.
func TestTheCollectorsGoalFollowsTheLiveHeap(t *testing.T) {
	t.Parallel()
	for live, want := range map[uint64]int{0: 400, 10 << 20: 400, 32 << 20: 400, 64 << 20: 200, 128 << 20: 100, 4 << 30: 50} {
		if got := percentFor(live); got != want {
			t.Errorf("live heap of %d bytes: %d %%, want %d %%", live, got, want)
		}
	}
}
