package bus_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"gavel/internal/bus"
)

func TestExaminationOfARunningBus(t *testing.T) {
	t.Parallel()
	b := open(t)
	mustAppend(t, b, "a=1")
	e, err := bus.Examine(testContext(t), bus.Config{URL: address(t, b), Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	if e.VersionFault != nil || e.Version != b.Info().Version || e.URL != b.Info().URL {
		t.Errorf("version %s (%v) at %s, want %s at %s", e.Version, e.VersionFault, e.URL, b.Info().Version, b.Info().URL)
	}
	if e.Within == 0 || e.Ahead.Abs() > e.Within+time.Second {
		t.Errorf("our own clock is %v ± %v ahead", e.Ahead, e.Within)
	}
	if len(e.Streams) != 9 {
		t.Fatalf("%d streams", len(e.Streams))
	}
	for _, s := range e.Streams {
		if s.Missing || s.Fault != nil || s.Replicas != 1 || s.Wanted != 1 || s.Behind != 0 || s.Unlimited {
			t.Errorf("stream is %+v", s)
		}
	}
	if journal := e.Streams[0]; journal.Bytes == 0 || journal.MaxBytes == 0 || !journal.Refuses {
		t.Errorf("the journal is %+v", journal)
	}
}

// An examination creates nothing, and reports what Open would refuse.
func TestExaminationOfAForeignServer(t *testing.T) {
	t.Parallel()
	s := foreignServer(t)
	c := bus.Config{URL: s.ClientURL()}
	e, err := bus.Examine(testContext(t), c)
	if err != nil {
		t.Fatal(err)
	}
	for _, stream := range e.Streams {
		if !stream.Missing {
			t.Errorf("stream is %+v, want none", stream)
		}
	}
	if e.Within != 0 {
		t.Error("the clock offset is known without a source")
	}

	bad := goodJournal()
	bad.Discard = jetstream.DiscardOld
	if _, err := jetStream(t, dial(t, s.ClientURL())).CreateStream(testContext(t), bad); err != nil {
		t.Fatal(err)
	}
	if e, err = bus.Examine(testContext(t), c); err != nil {
		t.Fatal(err)
	}
	journal := e.Streams[0]
	if journal.Fault == nil || !strings.Contains(journal.Fault.Error(), "drop its oldest") || journal.Wanted != 3 || journal.Refuses {
		t.Errorf("the journal is %+v", journal)
	}
}

func TestAnExaminationWithoutAServerShowsNoSecret(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"nats://secret@127.0.0.1:1", "nats://user:secret@", "secret"} {
		_, err := bus.Examine(testContext(t), bus.Config{URL: url})
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("examined %s: %v", url, err)
		}
	}
}
