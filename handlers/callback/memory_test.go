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
		p, got := newPressure(limit), int64(0)
		for p.enter(620) > 0 {
			got++
		}
		if got < want-1 || got > want || !p.full() {
			t.Errorf("with %d MiB: %d in flight, want %d", limit>>20, got, want)
		}
	}
	if newPressure(math.MaxInt64).high(time.Now()) {
		t.Error("without a limit memory is short")
	}
}

// A port with little memory has few connections, and slow bodies must leave some of them.
func TestSlowBodiesAreFewerWithLittleMemory(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int64][2]int{math.MaxInt64: {maxUnread, maxUnreadPeer}, 512 << 20: {819, 204}, 64 << 20: {102, 25}} {
		u := newUnread(time.Now, newPressure(limit).room)
		if got := [2]int{u.most, u.mostOfPeer}; got != want {
			t.Errorf("with %d MiB: %d, and %d of one sender", limit>>20, got[0], got[1])
		}
	}
}

// A batch of Event Streams can be 1 MiB, and 3,000 of them do not fit where 3,000 callbacks do.
func TestALargeBodyTakesTheRoomOfSeveral(t *testing.T) {
	t.Parallel()
	p := newPressure(512 << 20)
	held, batches := p.enter(maxBatch), 1
	for p.enter(maxBatch) > 0 {
		batches++
	}
	if batches != 31 || p.enter(620) == 0 {
		t.Errorf("%d batches of 1 MiB are in flight, and then no callback", batches)
	}
	p.leave(held)
	if p.enter(maxBatch) == 0 {
		t.Error("a batch left, and there is no room for another")
	}
}
