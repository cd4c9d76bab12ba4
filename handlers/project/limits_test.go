package project

import (
	"math"
	"testing"
)

// The records of all lanes fit into an eighth of a small limit, unless that is too little to work.
func TestRecordsInMemoryFollowTheMemoryLimit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		limit int64
		lanes int
		want  int
	}{
		{0, 8, cacheRecords},
		{math.MaxInt64, 8, cacheRecords},
		{4 << 30, 8, cacheRecords},
		{2 << 30, 8, 16 << 10},
		{512 << 20, 1, cacheRecords},
		{256 << 20, 1, 16 << 10},
		{256 << 20, 8, leastRecords},
		{1, 64, leastRecords},
	} {
		if got := recordsOf(c.limit, c.lanes); got != c.want {
			t.Errorf("limit of %d bytes, %d lanes: %d records each, want %d", c.limit, c.lanes, got, c.want)
		}
	}
}
