package project

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A lane that was behind once must not stay so while traffic flows: its process would not be
// ready, and no overdue alarm would be woken.
func TestTheLagShownIsTheLagOfTheLastBatch(t *testing.T) {
	t.Parallel()
	s := newStatus(numbered{}, NewMetrics(prometheus.NewRegistry()))
	for _, batch := range []struct{ lag, shown time.Duration }{
		{300 * time.Millisecond, 0}, // nothing that an operator would notice
		{16 * time.Second, 16 * time.Second},
		{4 * time.Second, 4 * time.Second},
		{20 * time.Millisecond, 0},
		{time.Second, 0},
	} {
		s.setLag(batch.lag)
		if got := s.lag(); got != batch.shown {
			t.Errorf("after a batch that is %s behind: %s is shown, want %s", batch.lag, got, batch.shown)
		}
	}
}
