package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
	"gavel/internal/bus"
)

// read returns the groups of a lane between two sequences.
func read(t testing.TB, b *bus.Bus, lane int, from, to uint64) []events.Group {
	t.Helper()
	var groups []events.Group
	err := b.Journal().Read(testContext(t), lane, from, to, func(g events.Group) error {
		groups = append(groups, g)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return groups
}

const everything = 1 << 62

func TestCallersThatWaitTogetherShareAMessage(t *testing.T) {
	t.Parallel()
	b := open(t, func(c *bus.Config) { c.Sync = bus.SyncAlways })
	const callers, each = 64, 20
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for n := range each {
				if err := b.Journal().Append(testContext(t), conference, entry(fmt.Sprintf("caller=%d&n=%d", caller, n))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()

	groups := read(t, b, 0, 1, everything)
	if len(groups) > callers*each/2 {
		t.Errorf("%d entries were stored in %d messages", callers*each, len(groups))
	}
	next := make([]int, callers)
	for _, form := range forms(t, groups) {
		var caller, n int
		if _, err := fmt.Sscanf(form, "caller=%d&n=%d", &caller, &n); err != nil {
			t.Fatal(err)
		}
		if n != next[caller] {
			t.Errorf("caller %d: got entry %d, want %d", caller, n, next[caller])
		}
		next[caller]++
	}
	for caller, n := range next {
		if n != each {
			t.Errorf("caller %d: %d of %d entries are there", caller, n, each)
		}
	}
}

func TestGroupsCloseAtTheirLimits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		entries int
		form    string
	}{
		"bytes":   {200, strings.Repeat("x", 60<<10)},
		"entries": {10000, "s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t, func(c *bus.Config) { c.Sync = bus.SyncAlways })
			appendAtOnce(t, b, c.entries, c.form)
			total := 0
			for _, g := range read(t, b, 0, 1, everything) {
				entries := len(forms(t, []events.Group{g}))
				total += entries
				if len(g.Data) > events.MaxGroupBytes || entries > events.MaxGroupEntries {
					t.Errorf("group %d has %d bytes and %d entries", g.Sequence, len(g.Data), entries)
				}
			}
			if total != c.entries {
				t.Errorf("%d of %d entries are there", total, c.entries)
			}
		})
	}
}

// appendAtOnce starts that many callers at the same moment.
func appendAtOnce(t *testing.T, b *bus.Bus, callers int, form string) {
	t.Helper()
	ctx, begin := testContext(t), make(chan struct{})
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			<-begin
			if err := b.Journal().Append(ctx, conference, entry(form)); err != nil {
				t.Error(err)
			}
		})
	}
	close(begin)
	wg.Wait()
}

func TestEntryThatFitsIntoNoMessageIsMalformed(t *testing.T) {
	t.Parallel()
	b := open(t)
	err := b.Journal().Append(testContext(t), conference, entry(strings.Repeat("x", 1<<20)))
	if !errors.Is(err, events.ErrMalformed) {
		t.Errorf("entry of 1 MiB: %v", err)
	}
	mustAppend(t, b, strings.Repeat("x", 900<<10))
}

func TestCallerMayLeaveAndTheGroupGoesOn(t *testing.T) {
	t.Parallel()
	first := open(t)
	b, way := secondProcess(t, first)
	way.hold()
	ctx, cancel := context.WithCancel(testContext(t))
	left := make(chan error, 1)
	go func() { left <- b.Journal().Append(ctx, conference, entry("left=1")) }()
	cancel()
	if err := receive(t, "the caller to leave", left); !errors.Is(err, context.Canceled) {
		t.Errorf("caller that left: %v", err)
	}
	way.goOn()
	mustAppend(t, b, "stayed=1")
	got := forms(t, read(t, first, 0, 1, everything))
	slices.Sort(got)
	got = slices.Compact(got)
	if got[len(got)-1] != "stayed=1" {
		t.Errorf("journal holds %q", got)
	}
}

// What waits for a journal that does not answer is bounded in bytes, and refused at once beyond that.
func TestWhatWaitsForTheJournalIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	const size, room = 60 << 10, 10
	b, way := secondProcess(t, open(t), func(c *bus.Config) { c.QueueBytes = room*size + 1<<10 })
	mustAppend(t, b, "first=1")
	way.hold()
	answers := make(chan error, room+1)
	for range room + 1 {
		go func() { answers <- b.Journal().Append(testContext(t), conference, entry(strings.Repeat("x", size))) }()
	}
	if err := receive(t, "the refusal", answers); !errors.Is(err, events.ErrUnavailable) {
		t.Errorf("an entry beyond the limit: %v", err)
	}
	way.goOn()
	for range room {
		if err := receive(t, "the acknowledgement", answers); err != nil {
			t.Error(err)
		}
	}
	mustAppend(t, b, "last=1")
}

func TestAppendGivesUpWhenItsBudgetIsUsedUp(t *testing.T) {
	t.Parallel()
	b, way := secondProcess(t, open(t), func(c *bus.Config) { c.AppendBudget = 300 * time.Millisecond })
	mustAppend(t, b, "before=1")
	way.hold()
	start := time.Now()
	err := b.Journal().Append(testContext(t), conference, entry("a=1"))
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, events.ErrUnavailable) {
		t.Errorf("a stream that does not answer: %v", err)
	}
	if took := time.Since(start); took < 300*time.Millisecond {
		t.Errorf("the append gave up after %v", took)
	}
	way.goOn()
	eventually(t, "appends to go on", func() bool {
		return b.Journal().Append(testContext(t), conference, entry("after=1")) == nil
	})
}

func TestAppendOutlastsAStreamThatIsAwayForAWhile(t *testing.T) {
	t.Parallel()
	b := open(t)
	js := jetStream(t, client(t, b))
	journal, err := js.Stream(testContext(t), "GAVEL_JOURNAL")
	if err != nil {
		t.Fatal(err)
	}
	config := journal.CachedInfo().Config
	if err := js.DeleteStream(testContext(t), "GAVEL_JOURNAL"); err != nil {
		t.Fatal(err)
	}
	answer := make(chan error, 1)
	go func() { answer <- b.Journal().Append(testContext(t), conference, entry("a=1")) }()
	if _, err := js.CreateStream(testContext(t), config); err != nil {
		t.Fatal(err)
	}
	// The watchdog may have seen the stream gone: then the door answers 503,
	// and the next try succeeds.
	if err := receive(t, "the append", answer); err != nil && !errors.Is(err, events.ErrUnavailable) {
		t.Error(err)
	}
	eventually(t, "appends to go on", func() bool {
		return b.Journal().Append(testContext(t), conference, entry("b=1")) == nil
	})
}

func TestServerThatIsGoneIsUnavailableAtOnce(t *testing.T) {
	t.Parallel()
	b := open(t)
	waiting := make(chan error, 1)
	b.StopServer()
	go func() { waiting <- b.Journal().Append(testContext(t), conference, entry("a=1")) }()
	start := time.Now()
	if err := receive(t, "the append that was under way", waiting); !errors.Is(err, events.ErrUnavailable) {
		t.Errorf("append under way: %v", err)
	}
	if took := time.Since(start); took > 8*time.Second {
		t.Errorf("the error took %v", took)
	}
	if err := b.Healthy(); !errors.Is(err, events.ErrUnavailable) {
		t.Errorf("health: %v", err)
	}
	start = time.Now()
	err := b.Journal().Append(testContext(t), conference, entry("b=1"))
	if !errors.Is(err, events.ErrUnavailable) || time.Since(start) > time.Second {
		t.Errorf("next append after %v: %v", time.Since(start), err)
	}
	if err := receive(t, "the sign that only a new process helps", b.Dead()); !errors.Is(err, events.ErrUnavailable) {
		t.Errorf("dead: %v", err)
	}
}

func TestFullJournalIsUnavailable(t *testing.T) {
	t.Parallel()
	b := open(t, func(c *bus.Config) { c.JournalMaxBytes = 64 << 10 })
	mustAppend(t, b, strings.Repeat("x", 40<<10))
	start := time.Now()
	err := b.Journal().Append(testContext(t), conference, entry(strings.Repeat("x", 40<<10)))
	if !errors.Is(err, events.ErrUnavailable) || !strings.Contains(err.Error(), "journal is full") {
		t.Errorf("full journal: %v", err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("the error took %v", took)
	}
	usage, err := b.Journal().Usage(testContext(t))
	if err != nil || usage.Max != 64<<10 || usage.Full() < 0.5 || usage.First != 1 || usage.Last != 1 {
		t.Errorf("usage %+v, %v", usage, err)
	}
}

func TestAClosedJournalAcceptsNothing(t *testing.T) {
	t.Parallel()
	b := open(t)
	closeBus(t, b)
	if err := b.Journal().Append(testContext(t), conference, entry("a=1")); !errors.Is(err, events.ErrUnavailable) {
		t.Errorf("append after close: %v", err)
	}
}

// Entries that wait when the bus closes are stored before it is closed.
func TestCloseStoresWaitingEntries(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := open(t, func(c *bus.Config) { c.DataDir, c.Sync = dir, bus.SyncAlways })
	var wg sync.WaitGroup
	stored := make(chan string, 200)
	for n := range 200 {
		wg.Go(func() {
			form := fmt.Sprintf("n=%d", n)
			if b.Journal().Append(testContext(t), conference, entry(form)) == nil {
				stored <- form
			}
		})
	}
	closeBus(t, b)
	wg.Wait()
	close(stored)
	got := forms(t, read(t, open(t, func(c *bus.Config) { c.DataDir = dir }), 0, 1, everything))
	for form := range stored {
		if !slices.Contains(got, form) {
			t.Errorf("%s was acknowledged and is not there", form)
		}
	}
}

func TestReadEndsWhereItShould(t *testing.T) {
	t.Parallel()
	b := open(t, func(c *bus.Config) { c.Lanes = 2 })
	var mine, theirs int
	confs := []string{conference, "CFbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"}
	for i := 0; events.Lane(confs[0], 2) == events.Lane(confs[1], 2); i++ {
		confs[1] = fmt.Sprintf("CF%032x", i)
	}
	mine, theirs = events.Lane(confs[0], 2), events.Lane(confs[1], 2)
	for n := range 6 { // sequences 1, 3, 5 are mine; 2, 4, 6 theirs
		if err := b.Journal().Append(testContext(t), confs[n%2], entry(fmt.Sprintf("n=%d", n+1))); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		lane     int
		from, to uint64
		want     []uint64
	}{
		{mine, 1, 6, []uint64{1, 3, 5}}, // the last belongs to the other lane
		{mine, 1, 5, []uint64{1, 3, 5}},
		{mine, 1, 4, []uint64{1, 3}},
		{mine, 2, 2, nil},
		{mine, 6, 6, nil},
		{mine, 7, 100, nil},
		{mine, 5, 1, nil},
		{mine, 1, 0, nil},
		{theirs, 0, everything, []uint64{2, 4, 6}},
		{theirs, 3, everything, []uint64{4, 6}},
	} {
		var got []uint64
		for _, g := range read(t, b, c.lane, c.from, c.to) {
			got = append(got, g.Sequence)
			if g.Lane != c.lane {
				t.Errorf("group %d states lane %d", g.Sequence, g.Lane)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("lane %d from %d to %d: %v, want %v", c.lane, c.from, c.to, got, c.want)
		}
	}
	if last, err := b.Journal().Last(testContext(t), mine); err != nil || last != 5 {
		t.Errorf("last = %d, %v", last, err)
	}
}

func TestReadOfAnEmptyLane(t *testing.T) {
	t.Parallel()
	b := open(t)
	if got := read(t, b, 0, 1, everything); got != nil {
		t.Errorf("groups %v", got)
	}
	if last, err := b.Journal().Last(testContext(t), 0); err != nil || last != 0 {
		t.Errorf("last = %d, %v", last, err)
	}
	if usage, err := b.Journal().Usage(testContext(t)); err != nil || usage.First != 0 || usage.Last != 0 {
		t.Errorf("usage = %+v, %v", usage, err)
	}
}

func TestReadStopsAtTheReadersError(t *testing.T) {
	t.Parallel()
	b := open(t)
	mustAppend(t, b, "a=1", "b=1", "c=1")
	enough, calls := errors.New("enough"), 0
	err := b.Journal().Read(testContext(t), 0, 1, everything, func(events.Group) error {
		calls++
		return enough
	})
	if !errors.Is(err, enough) || calls != 1 {
		t.Errorf("%d calls, error %v", calls, err)
	}
}

func TestReadBeginsWhereTheJournalWasTrimmed(t *testing.T) {
	t.Parallel()
	b := open(t)
	mustAppend(t, b, "a=1", "b=1", "c=1")
	journal, err := jetStream(t, client(t, b)).Stream(testContext(t), "GAVEL_JOURNAL")
	if err != nil {
		t.Fatal(err)
	}
	if err := journal.Purge(testContext(t), jetstream.WithPurgeSequence(3)); err != nil {
		t.Fatal(err)
	}
	if got := forms(t, read(t, b, 0, 1, everything)); !slices.Equal(got, []string{"c=1"}) {
		t.Errorf("journal holds %q", got)
	}
	if usage, err := b.Journal().Usage(testContext(t)); err != nil || usage.First != 3 {
		t.Errorf("usage = %+v, %v", usage, err)
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, sync := range []bus.Sync{bus.SyncInterval, bus.SyncAlways} {
		b.Run(string(sync), func(b *testing.B) {
			j := open(b, func(c *bus.Config) { c.Sync = sync }).Journal()
			before, _ := j.Last(b.Context(), 0)
			e := entry(strings.Repeat("Parameter=Value&", 40))
			b.ReportAllocs()
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := j.Append(b.Context(), conference, e); err != nil {
						b.Error(err)
					}
				}
			})
			after, _ := j.Last(b.Context(), 0)
			b.ReportMetric(float64(b.N)/float64(after-before), "entries/group")
		})
	}
}

// One operation is one group of ten entries.
func BenchmarkRead(b *testing.B) {
	bb := open(b)
	var group []byte
	for range 10 {
		group = events.AppendEntry(group, entry(strings.Repeat("x", 600)))
	}
	js := jetStream(b, client(b, bb))
	for range b.N {
		if _, err := js.PublishAsync("gavel.journal.0", group); err != nil {
			b.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	b.ReportAllocs()
	b.SetBytes(int64(len(group)))
	b.ResetTimer()
	if got := len(read(b, bb, 0, 1, everything)); got != b.N {
		b.Errorf("read %d of %d groups", got, b.N)
	}
}

func TestEntryOfNoConferenceGoesToItsLane(t *testing.T) {
	t.Parallel()
	b := open(t, func(c *bus.Config) { c.Lanes = 4 })
	if got := b.Journal().Lanes(); got != 4 {
		t.Fatalf("%d lanes", got)
	}
	for lane := range 4 {
		if err := b.Journal().AppendLane(testContext(t), lane, entry(fmt.Sprint("lane=", lane))); err != nil {
			t.Fatal(err)
		}
	}
	for lane := range 4 {
		var got []string
		err := b.Journal().Read(testContext(t), lane, 1, 4, func(g events.Group) error {
			got = append(got, forms(t, []events.Group{g})...)
			return nil
		})
		if want := []string{fmt.Sprint("lane=", lane)}; err != nil || !slices.Equal(got, want) {
			t.Errorf("lane %d has %q, %v", lane, got, err)
		}
	}
}
