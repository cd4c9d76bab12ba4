package natsd

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// probesBesideBusyCores checks a healthy server that many times while every core is busy, and returns
// the false alarms: those of Fault, and those that nats-server's own check would have given.
func probesBesideBusyCores(t testing.TB, probes int) (alarms, theirs int) {
	s, err := Start(Options{DataDir: t.TempDir(), MaxPayload: 1 << 20, StorePercent: 90}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	var busy sync.WaitGroup
	var done atomic.Bool
	for range 8 * runtime.GOMAXPROCS(0) {
		busy.Go(func() {
			for !done.Load() {
			}
		})
	}
	for range probes {
		if err := s.Fault(); err != nil {
			t.Log(err)
			alarms++
		}
		if h := s.Healthz(nil); h.Error != "" {
			theirs++
		}
	}
	done.Store(true)
	busy.Wait()
	return alarms, theirs
}

func TestAHealthyServerBesideBusyCoresGivesNoAlarm(t *testing.T) {
	t.Parallel()
	alarms, theirs := probesBesideBusyCores(t, 50)
	if t.Logf("false alarms: %d, and %d of nats-server's own check", alarms, theirs); alarms > 0 {
		t.Errorf("%d of 50 probes were false alarms", alarms)
	}
}

// make probes runs 100,000.
func BenchmarkProbesBesideBusyCores(b *testing.B) {
	alarms, theirs := probesBesideBusyCores(b, b.N)
	b.ReportMetric(float64(alarms), "alarms")
	b.ReportMetric(float64(theirs), "alarms-of-nats-server")
	if alarms > 0 {
		b.Errorf("%d false alarms", alarms)
	}
}
