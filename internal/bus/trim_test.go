package bus_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
	"gavel/internal/bus"
)

const month = 30 * 24 * time.Hour

// streamOf reads a stream as a client does.
func streamOf(t *testing.T, b *bus.Bus, name string) *jetstream.StreamInfo {
	t.Helper()
	s, err := jetStream(t, client(t, b)).Stream(testContext(t), name)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo()
}

func mustTrim(t *testing.T, b *bus.Bus, passed time.Time, keep time.Duration) {
	t.Helper()
	if err := b.Trim(testContext(t), passed, keep); err != nil {
		t.Fatal(err)
	}
}

// wantHeld requires that a stream holds the messages from first to last.
func wantHeld(t *testing.T, b *bus.Bus, name string, first, last uint64) {
	t.Helper()
	s := streamOf(t, b, name).State
	if s.FirstSeq != first || s.LastSeq != last || s.Msgs != last+1-first {
		t.Errorf("%s holds %d messages from %d to %d, not those from %d to %d", name, s.Msgs, s.FirstSeq, s.LastSeq, first, last)
	}
}

func TestNewsIsRemovedWhenItIsCertainlyOldAndNotBefore(t *testing.T) {
	t.Parallel()
	b := open(t)
	mustPublish(t, b, story(3, 2))
	end := streamOf(t, b, "GAVEL_EVENTS").State.LastTime
	mustPublish(t, b, story(6, 2)[3:])

	mustTrim(t, b, time.Time{}, 0)
	mustTrim(t, b, end, 0)
	mustTrim(t, b, end.Add(month), 0)
	wantHeld(t, b, "GAVEL_EVENTS", 3, 6) // the third was stored at that moment
	for range 2 {
		mustTrim(t, b, end.Add(month+1), 0)
		wantHeld(t, b, "GAVEL_EVENTS", 4, 6)
	}
	mustTrim(t, b, time.Now().Add(2*month), 0)
	wantHeld(t, b, "GAVEL_EVENTS", 7, 6)
	mustPublish(t, b, story(7, 2)[6:])
	wantHeld(t, b, "GAVEL_EVENTS", 7, 7)
}

// NATS's clock was behind when it stored them, so they look older than they are.
func TestNewsWithAYoungTimeOfTwilioStays(t *testing.T) {
	t.Parallel()
	b := open(t)
	facts := story(3, 1)
	facts[2].Data = fmt.Appendf(nil, `{"time":%q,"data":{}}`, time.Now().Add(40*24*time.Hour).Format(time.RFC3339))
	mustPublish(t, b, facts)
	if err := b.Trim(testContext(t), time.Now().Add(month+time.Hour), 0); err == nil || !strings.Contains(err.Error(), "before their own") {
		t.Errorf("the trim ended with %v", err)
	}
	wantHeld(t, b, "GAVEL_EVENTS", 1, 3)
}

// openLogged opens a bus on an external server and returns its log.
func openLogged(t *testing.T, url string) (*bus.Bus, *bytes.Buffer) {
	t.Helper()
	log := new(bytes.Buffer)
	b, err := bus.Open(testContext(t), bus.Config{URL: url, Replicas: 1}, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeBus(t, b) })
	return b, log
}

func TestTheAgeOfAFormerStreamIsHandedOverOnce(t *testing.T) {
	t.Parallel()
	url := foreignServer(t).ClientURL()
	former := formerStreams()["GAVEL_EVENTS"]
	former.Name = "GAVEL_EVENTS"
	makeStream(t, url, former)
	b, log := openLogged(t, url)
	s, err := jetStream(t, dial(t, url)).Stream(testContext(t), "GAVEL_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	if c := s.CachedInfo().Config; c.MaxAge != 0 || c.Metadata["gavel.max-age"] != month.String() {
		t.Errorf("NATS removes after %v, Gavel after %q", c.MaxAge, c.Metadata["gavel.max-age"])
	}
	const line = "stream expired by the clock of NATS"
	if !strings.Contains(log.String(), line) {
		t.Errorf("the log has no line about it:\n%s", log)
	}
	mustPublish(t, b, story(3, 1))
	mustTrim(t, b, time.Now().Add(month+time.Hour), 0)
	if info, err := s.Info(testContext(t)); err != nil || info.State.Msgs != 0 {
		t.Errorf("%d messages stay, %v", info.State.Msgs, err)
	}
	closeBus(t, b)
	if _, log := openLogged(t, url); strings.Contains(log.String(), line) {
		t.Errorf("the second start did it again:\n%s", log)
	}
}

func TestAnAgeThatAnOperatorSetStays(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		age  time.Duration
		warn bool
	}{"another": {90 * 24 * time.Hour, true}, "none": {0, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := foreignServer(t).ClientURL()
			former := formerStreams()["GAVEL_EVENTS"]
			former.Name, former.MaxAge = "GAVEL_EVENTS", c.age
			makeStream(t, url, former)
			b, log := openLogged(t, url)
			if warned := strings.Contains(log.String(), "set its max-age to 0"); warned != c.warn {
				t.Errorf("the log is:\n%s", log)
			}
			mustPublish(t, b, story(3, 1))
			mustTrim(t, b, time.Now().Add(12*month), 0)
			s, err := jetStream(t, dial(t, url)).Stream(testContext(t), "GAVEL_EVENTS")
			if err != nil {
				t.Fatal(err)
			}
			if i := s.CachedInfo(); i.Config.MaxAge != c.age || i.State.Msgs != 3 {
				t.Errorf("NATS removes after %v, and %d messages stay", i.Config.MaxAge, i.State.Msgs)
			}
		})
	}
}

// processGroups appends groups and works the lane up to the last one.
func processGroups(t *testing.T, b *bus.Bus, forms ...string) {
	t.Helper()
	for _, form := range forms {
		mustAppend(t, b, form)
	}
	mustResume(t, b.Lane(0))
	groups := take(t, b.Lane(0), len(forms))
	mustAck(t, b.Lane(0), groups)
	awaitFloor(t, b.Lane(0), groups[len(groups)-1].Sequence)
}

// decidedAt is the n-th decision, at a group of lane 0.
func decidedAt(n int, sequence uint64, asOf time.Time) events.Decided {
	d := decision(n)
	d.Lane, d.Position, d.AsOf = 0, events.Position{Sequence: sequence}, asOf.UTC()
	return d
}

func TestARemovedDecisionIsNotStoredAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := open(t, func(c *bus.Config) { c.DataDir = dir })
	processGroups(t, b, "a=1", "a=2")
	began := time.Now()
	old := []events.Decided{decidedAt(1, 1, began), decidedAt(2, 2, began)}
	mustDecide(t, b, old...)
	mustTrim(t, b, time.Now().Add(month), month)
	mustTrim(t, b, time.Now().Add(10*month), 0) // no age: for ever
	wantHeld(t, b, "GAVEL_ACTIONS", 1, 2)
	mustTrim(t, b, time.Now().Add(month+26*time.Hour), month)
	wantHeld(t, b, "GAVEL_ACTIONS", 3, 2)

	later := began.Add(month)
	wantFresh := func(b *bus.Bus) {
		t.Helper()
		if fresh := mustDecide(t, b, old...); fresh != 0 {
			t.Errorf("%d removed decisions are stored again", fresh)
		}
	}
	wantFresh(b)
	if fresh := mustDecide(t, b, old[0], decidedAt(3, 3, later), old[1]); fresh != 1 {
		t.Errorf("%d decisions are fresh, not the one of a new group", fresh)
	}
	closeBus(t, b)

	// Redis and the consumer were lost: another process reads the whole journal again.
	b = open(t, func(c *bus.Config) { c.DataDir = dir })
	mustResume(t, b.Lane(0))
	wantFresh(b)
	// A journal from a backup uses its sequences again.
	if fresh := mustDecide(t, b, decidedAt(4, 1, later.Add(26*time.Hour))); fresh != 1 {
		t.Error("a decision at a sequence that is used again was not stored")
	}
}

func TestNoDecisionIsRemovedWhileALaneHasNotProcessedItsGroups(t *testing.T) {
	t.Parallel()
	b := open(t)
	mustAppend(t, b, "a=1")
	mustResume(t, b.Lane(0))
	mustDecide(t, b, decidedAt(1, 1, time.Now()))
	if err := b.Trim(testContext(t), time.Now().Add(3*month), month); err == nil || !strings.Contains(err.Error(), "has not processed") {
		t.Errorf("the trim ended with %v", err)
	}
	wantHeld(t, b, "GAVEL_ACTIONS", 1, 1)
}

// Two processes trim at the same moment, and a third makes the decisions again.
func TestProcessesTrimTogether(t *testing.T) {
	t.Parallel()
	one := open(t)
	two, _ := secondProcess(t, one)
	processGroups(t, one, "a=1")
	old := decidedAt(1, 1, time.Now())
	mustDecide(t, one, old)
	mustPublish(t, one, story(5, 1))
	passed, ended := time.Now().Add(3*month), make(chan error, 2)
	for _, b := range []*bus.Bus{one, two} {
		go func() { ended <- b.Trim(testContext(t), passed, month) }()
	}
	for range 2 {
		if err := receive(t, "the trim", ended); err != nil {
			t.Error(err)
		}
	}
	wantHeld(t, one, "GAVEL_ACTIONS", 2, 1)
	wantHeld(t, one, "GAVEL_EVENTS", 6, 5)
	if fresh := mustDecide(t, one, old); fresh != 0 {
		t.Error("the removed decision was stored again")
	}
}
