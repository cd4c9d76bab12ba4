package callback

import (
	"math"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"
)

// White box: a test cannot lower the limit of its own process.
func TestADoorNearItsMemoryLimitAnswers503BeforeItReads(t *testing.T) {
	t.Parallel()
	runtime.GC() // live memory is measured by a collection
	d := &Door{cfg: Config{Metrics: NewMetrics(nil), Now: time.Now}, memory: newPressure(1 << 20)}
	err := d.accept(arrival{httptest.NewRequest(http.MethodPost, ConferencePath, http.NoBody), nil, nil, time.Now()})
	why, ok := err.(*refusal)
	if !ok || why.status != http.StatusServiceUnavailable || why.reason != reasonMemory {
		t.Errorf("with 1 MiB of memory: %v", err)
	}
}

func TestTheRequestsInFlightFitIntoMemory(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int64]int64{math.MaxInt64: maxInFlight, 8 << 30: maxInFlight, 512 << 20: 3276, 64 << 20: 409} {
		if got := newPressure(limit).inFlight; got < want-1 || got > want {
			t.Errorf("with %d MiB: %d in flight, want %d", limit>>20, got, want)
		}
	}
	if newPressure(math.MaxInt64).high(time.Now()) {
		t.Error("without a limit memory is short")
	}
}
