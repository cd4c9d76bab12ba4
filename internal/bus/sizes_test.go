package bus_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"gavel/events"
	"gavel/internal/bus"
)

func TestSizesOfAllStreamsAreShown(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	b := open(t, func(c *bus.Config) { c.Metrics = bus.NewMetrics(registry) })
	mustDecide(t, b, decisions(1, 10)...)
	s, err := b.Sizes(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	of := map[string]bus.StreamSize{}
	for _, stream := range s.Streams {
		of[stream.Name] = stream
	}
	if len(of) != 9 || of["GAVEL_ACTIONS"].Bytes == 0 || of["GAVEL_EVENTS"].Max == 0 || of["GAVEL_LATER"].Max != 0 {
		t.Errorf("the streams are %+v", s.Streams)
	}
	if s.Stored < of["GAVEL_ACTIONS"].Bytes || s.MaxStored < of["GAVEL_JOURNAL"].Max || s.VolumeFree <= 0 {
		t.Errorf("the store is %+v", s)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]int{}
	for _, f := range families {
		values[f.GetName()] = len(f.GetMetric())
	}
	for name, want := range map[string]int{"gavel_stream_bytes": 9, "gavel_stream_max_bytes": 9, "gavel_store_bytes": 1, "gavel_store_max_bytes": 1, "gavel_volume_free_bytes": 1} {
		if values[name] != want {
			t.Errorf("%s has %d values, want %d", name, values[name], want)
		}
	}
}

// A stream of decisions that fills up refuses the next one, and the lane of its rule stops: an operator
// has to see it before.
func TestAStreamOfDecisionsThatFillsUpIsACondition(t *testing.T) {
	t.Parallel()
	b := open(t, func(c *bus.Config) { c.VolumeBytes = 256 << 20 })
	d := decision(1)
	d.Data = []byte(`"` + strings.Repeat("x", 200<<10) + `"`)
	for n := 1; ; n++ {
		d.ID = decision(n).ID
		if _, err := b.Actions().Decide(testContext(t), []events.Decided{d}); errors.Is(err, bus.ErrFull) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Sizes(testContext(t)); err != nil {
		t.Fatal(err)
	}
	s := b.Store()
	if err := s.Ready(); err == nil || !strings.Contains(err.Error(), "decisions-full") || !strings.Contains(err.Error(), "nats stream edit GAVEL_ACTIONS") {
		t.Errorf("ready: %v", err)
	}
	if s.Door() != nil || s.Readers() != nil || s.Rules() != nil {
		t.Errorf("door: %v, readers: %v, rules: %v", s.Door(), s.Readers(), s.Rules())
	}
}
