package app

import "testing"

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
