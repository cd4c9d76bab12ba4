package bus_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
	"gavel/internal/bus"
)

// alarmsAt are those of conferences from..to, all for one moment.
func alarmsAt(at time.Time, from, to int) (all []events.Alarm) {
	for n := from; n <= to; n++ {
		all = append(all, events.Alarm{Key: conferenceKey(n), At: at})
	}
	return all
}

func mustSet(t testing.TB, b *bus.Bus, lane int, alarms ...events.Alarm) {
	t.Helper()
	if err := b.Timers().Set(testContext(t), lane, alarms); err != nil {
		t.Fatal(err)
	}
}

// rung is one batch of alarms, and when it was received.
type rung struct {
	keys []events.Key
	at   time.Time
}

// hear returns the alarms that fn accepts without an error.
func hear(t testing.TB, b *bus.Bus, fn func([]events.Key) error) (<-chan rung, func()) {
	t.Helper()
	heard := make(chan rung, 5000)
	stop := background(t, "the hearing", func(ctx context.Context) error {
		return b.Timers().Alarms(ctx, func(_ context.Context, keys []events.Key) error {
			err := fn(keys)
			if err == nil {
				heard <- rung{keys, time.Now()}
			}
			return err
		})
	})
	return heard, stop
}

func everyRing([]events.Key) error { return nil }

// countRings waits for that many rings.
func countRings(t testing.TB, heard <-chan rung, count int) map[events.Key]int {
	t.Helper()
	got := map[events.Key]int{}
	for n := 0; n < count; {
		r := receive(t, fmt.Sprintf("ring %d of %d", n+1, count), heard)
		for _, key := range r.keys {
			got[key]++
		}
		n += len(r.keys)
	}
	return got
}

// stored is how many messages a stream holds.
func stored(t testing.TB, b *bus.Bus, stream string) uint64 {
	t.Helper()
	s, err := jetStream(t, client(t, b)).Stream(testContext(t), stream)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

func TestAlarmsRingOnceAndNeverEarly(t *testing.T) {
	t.Parallel()
	b := open(t)
	heard, _ := hear(t, b, everyRing)
	at := time.Now().Add(400 * time.Millisecond)
	mustSet(t, b, 0, alarmsAt(at, 1, 1000)...)
	mustSet(t, b, 7, events.Alarm{Key: events.Key{AccountSid: other, ConferenceSid: conferenceKey(1).ConferenceSid}, At: at})
	far := alarmsAt(time.Now().Add(time.Hour), 2000, 2099)
	mustSet(t, b, 0, far...)
	got := map[events.Key]int{}
	for len(got) < 1001 {
		r := receive(t, "a ring", heard)
		if r.at.Before(at) {
			t.Fatalf("delivered %v early", at.Sub(r.at))
		}
		for _, key := range r.keys {
			got[key]++
		}
	}
	for key, times := range got {
		if times != 1 {
			t.Errorf("%v was delivered %d times", key, times)
		}
	}
	// Acknowledged alarms are deleted; alarms that have not rung remain.
	eventually(t, "nothing but the far alarms to be left", func() bool { return stored(t, b, "GAVEL_TIMERS") == 100 })
}

func TestAlarmIsReplaced(t *testing.T) {
	t.Parallel()
	b := open(t)
	heard, _ := hear(t, b, everyRing)
	hour, now := time.Now().Add(time.Hour), time.Now()
	key := conferenceKey(1)
	// Within one call and over two, a later one counts.
	mustSet(t, b, 0, events.Alarm{Key: key, At: now}, events.Alarm{Key: key, At: hour})
	if n := stored(t, b, "GAVEL_TIMERS"); n != 1 {
		t.Errorf("%d messages for one alarm", n)
	}
	mustSet(t, b, 0, alarmsAt(now, 2, 2)...)
	if got := receive(t, "the other's ring", heard); !cmp.Equal(got.keys, []events.Key{conferenceKey(2)}) {
		t.Errorf("delivered %v", got.keys)
	}
	mustSet(t, b, 0, events.Alarm{Key: key, At: now})
	if got := receive(t, "its ring", heard); !cmp.Equal(got.keys, []events.Key{key}) {
		t.Errorf("delivered %v", got.keys)
	}
}

// Alarms that were due while no process ran ring at the start; the others wait.
func TestAlarmsOutliveAStop(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := open(t, func(c *bus.Config) { c.DataDir = dir })
	// A consumer that has acknowledged an alarm, so that it has an ack floor;
	// nothing above the floor may count as acknowledged.
	heard, stop := hear(t, b, everyRing)
	mustSet(t, b, 0, alarmsAt(time.Now(), 1, 50)...)
	countRings(t, heard, 50)
	stop()
	soon := time.Now().Add(300 * time.Millisecond)
	mustSet(t, b, 0, alarmsAt(time.Now().Add(time.Hour), 200, 299)...)
	mustSet(t, b, 0, alarmsAt(soon, 51, 150)...)
	closeBus(t, b)
	eventually(t, "their moment to pass", func() bool { return time.Now().After(soon) })

	again := open(t, func(c *bus.Config) { c.DataDir = dir })
	heard, _ = hear(t, again, everyRing)
	for key, times := range countRings(t, heard, 100) {
		if times != 1 {
			t.Errorf("%v was delivered %d times", key, times)
		}
	}
	eventually(t, "only those of an hour to be left", func() bool { return stored(t, again, "GAVEL_TIMERS") == 100 })
	mustSet(t, again, 0, alarmsAt(time.Now(), 200, 299)...)
	countRings(t, heard, 100)
}

func TestAnAlarmIsRedeliveredUntilItIsAcknowledged(t *testing.T) {
	t.Parallel()
	one := open(t)
	two, _ := secondProcess(t, one)
	deaf := make(chan int, 1000)
	_, stop := hear(t, one, func(keys []events.Key) error {
		deaf <- len(keys)
		return errors.New("the journal is away")
	})
	mustSet(t, one, 0, alarmsAt(time.Now(), 1, 20)...)
	receive(t, "a ring that is not heard", deaf)
	stop()
	heard, _ := hear(t, two, everyRing)
	if got := countRings(t, heard, 20); len(got) != 20 {
		t.Errorf("%d of 20 were delivered", len(got))
	}
	eventually(t, "all to be gone", func() bool { return stored(t, one, "GAVEL_TIMERS") == 0 })
}

func TestRingsAreSharedAndComeInBatches(t *testing.T) {
	t.Parallel()
	one := open(t)
	two, _ := secondProcess(t, one)
	const count = 5000
	mustSet(t, one, 0, alarmsAt(time.Now(), 1, count)...)
	eventually(t, "all alarms to have rung", func() bool { return ranAll(t, one, count) })
	here, _ := hear(t, one, everyRing)
	there, _ := hear(t, two, everyRing)
	got, batches := map[events.Key]int{}, 0
	for len(got) < count {
		var r rung
		select {
		case r = <-here:
		case r = <-there:
		case <-time.After(patience):
			t.Fatalf("received %d of %d", len(got), count)
		}
		batches++
		for _, key := range r.keys {
			got[key]++
		}
	}
	if batches > count/4 {
		t.Errorf("%d alarms were delivered in %d batches", count, batches)
	}
}

// ranAll reports whether nothing is left to ring.
func ranAll(t testing.TB, b *bus.Bus, count uint64) bool {
	t.Helper()
	s, err := jetStream(t, client(t, b)).Stream(testContext(t), "GAVEL_TIMERS")
	if err != nil {
		t.Fatal(err)
	}
	info, err := s.Info(testContext(t), jetstream.WithSubjectFilter("gavel.timers.due.>"))
	if err != nil {
		t.Fatal(err)
	}
	return uint64(len(info.State.Subjects)) == count
}

func TestAlarmsWithoutAConferenceAreRefused(t *testing.T) {
	t.Parallel()
	b := open(t)
	if err := b.Timers().Set(testContext(t), 0, nil); err != nil {
		t.Error(err)
	}
	bad := events.Alarm{Key: events.Key{AccountSid: account, ConferenceSid: ">"}, At: time.Now()}
	if err := b.Timers().Set(testContext(t), 0, []events.Alarm{bad}); !errors.Is(err, events.ErrMalformed) {
		t.Errorf("a wildcard: %v", err)
	}
	if err := b.Timers().Later(testContext(t), bad.Key, "1", time.Now(), nil); !errors.Is(err, events.ErrMalformed) {
		t.Errorf("a wildcard: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Timers().Set(ctx, 0, alarmsAt(time.Now(), 1, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("set with %v", err)
	}
	if err := b.Timers().Alarms(ctx, func(context.Context, []events.Key) error { return nil }); err != nil {
		t.Error(err)
	}
}

// due is a decision whose moment came.
type due struct {
	Key  events.Key
	ID   string
	Note string
}

func dues(t testing.TB, b *bus.Bus, fn func(due) error) (<-chan due, func()) {
	t.Helper()
	came := make(chan due, 1000)
	stop := background(t, "the dues", func(ctx context.Context) error {
		return b.Timers().Dues(ctx, 4, func(_ context.Context, key events.Key, id string, note []byte) error {
			d := due{key, id, string(note)}
			err := fn(d)
			if err == nil {
				came <- d
			}
			return err
		})
	})
	return came, stop
}

func mustLater(t testing.TB, b *bus.Bus, d due, at time.Time) {
	t.Helper()
	if err := b.Timers().Later(testContext(t), d.Key, d.ID, at, []byte(d.Note)); err != nil {
		t.Fatal(err)
	}
}

func TestDecisionIsPutOff(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := open(t, func(c *bus.Config) { c.DataDir = dir })
	first := due{conferenceKey(1), decision(1).ID, "waits for the brakes"}
	nobodys := due{events.Key{AccountSid: account}, decision(2).ID, ""}
	far := due{conferenceKey(1), decision(3).ID, "an hour"}
	mustLater(t, b, first, time.Now().Add(time.Hour))
	mustLater(t, b, far, time.Now().Add(time.Hour))
	first.Note = "waits no more"
	soon := time.Now().Add(200 * time.Millisecond)
	mustLater(t, b, first, soon)
	mustLater(t, b, nobodys, soon)
	closeBus(t, b)

	again := open(t, func(c *bus.Config) { c.DataDir = dir })
	failed := make(chan struct{}, 1)
	came, _ := dues(t, again, func(d due) error {
		if d.ID != nobodys.ID {
			return nil
		}
		select {
		case failed <- struct{}{}:
			return events.Later{After: time.Millisecond} // once
		default:
			return nil
		}
	})
	got := map[string]due{}
	for range 2 {
		d := receive(t, "what is due", came)
		got[d.ID] = d
	}
	if time.Now().Before(soon) {
		t.Error("it was delivered early")
	}
	if diff := cmp.Diff(map[string]due{first.ID: first, nobodys.ID: nobodys}, got); diff != "" {
		t.Errorf("due (-want +got):\n%s", diff)
	}
	eventually(t, "only the one of an hour to be left", func() bool { return stored(t, again, "GAVEL_LATER") == 1 })
}

// changeBit changes one bit at the last occurrence of text in the messages of a stream.
func changeBit(t testing.TB, dir, stream, text string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "nats/jetstream/$G/streams", stream, "msgs/*.blk"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.LastIndex(content, []byte(text)); at >= 0 {
			content[at] ^= 1
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no file of %s contains %s", stream, text)
}

// A damaged alarm would freeze its stream as soon as it is set again.
func TestADamagedAlarmIsSetAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := func(c *bus.Config) { c.DataDir, c.Rearms = dir, true }
	b := open(t, in)
	hour := time.Now().Add(time.Hour)
	mustSet(t, b, 0, alarmsAt(hour, 1, 3)...)
	closeBus(t, b)
	changeBit(t, dir, "GAVEL_TIMERS", conferenceKey(2).ConferenceSid)

	b = open(t, in)
	mustSet(t, b, 0, alarmsAt(hour, 1, 3)...)
	heard, _ := hear(t, b, everyRing)
	mustSet(t, b, 0, alarmsAt(time.Now(), 1, 3)...)
	if got := countRings(t, heard, 3); len(got) != 3 {
		t.Errorf("rings: %v", got)
	}
}

func TestADamagedDeferralIsNoticedAndTheOthersStay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := func(c *bus.Config) { c.DataDir = dir }
	b := open(t, in)
	later := func(at time.Time, numbers ...int) {
		t.Helper()
		for _, n := range numbers {
			if err := b.Timers().Later(testContext(t), conferenceKey(n), fmt.Sprint("d", n), at, fmt.Append(nil, "note ", n)); err != nil {
				t.Fatal(err)
			}
		}
	}
	later(time.Now().Add(time.Hour), 1, 2, 3)
	closeBus(t, b)
	changeBit(t, dir, "GAVEL_LATER", "note 2")

	b = open(t, in)
	for n, want := range map[int]bool{1: true, 2: false, 3: true} {
		if waits, err := b.Timers().Waits(testContext(t), conferenceKey(n), fmt.Sprint("d", n)); waits != want || err != nil {
			t.Errorf("%d waits: %v, %v", n, waits, err)
		}
	}
	later(time.Now(), 2, 3)
	due := make(chan string, 3)
	background(t, "the deferrals", func(ctx context.Context) error {
		return b.Timers().Dues(ctx, 1, func(_ context.Context, _ events.Key, _ string, note []byte) error {
			due <- string(note)
			return nil
		})
	})
	got := map[string]bool{receive(t, "a deferral", due): true, receive(t, "another", due): true}
	if want := map[string]bool{"note 2": true, "note 3": true}; !cmp.Equal(got, want) {
		t.Errorf("due: %v", got)
	}
}

// After kill -9 a damaged message takes the rest of its file with it: here the removal of a decision that
// was due and settled, because it had to wait again, and its next alarm.
func TestADeferralThatDamageBringsBackIsDeliveredAgain(t *testing.T) {
	t.Parallel()
	dir, earlier := t.TempDir(), filepath.Join(t.TempDir(), "msgs")
	messages := filepath.Join(dir, "nats/jetstream/$G/streams/GAVEL_LATER/msgs")
	in := func(c *bus.Config) { c.DataDir, c.Sync = dir, bus.SyncAlways }
	b := open(t, in)
	want := due{conferenceKey(1), decision(1).ID, "waits"}
	came, stop := dues(t, b, func(due) error { return os.CopyFS(earlier, os.DirFS(messages)) })
	mustLater(t, b, want, time.Now())
	receive(t, "the decision", came)
	eventually(t, "it to be settled", func() bool { return stored(t, b, "GAVEL_LATER") == 0 })
	mustLater(t, b, want, time.Now().Add(time.Hour))
	stop()
	closeBus(t, b)
	_ = os.Remove(filepath.Join(earlier, "index.db")) // kill -9 leaves none that is valid
	if err := errors.Join(os.RemoveAll(messages), os.CopyFS(messages, os.DirFS(earlier))); err != nil {
		t.Fatal(err)
	}

	b = open(t, in)
	came, _ = dues(t, b, func(due) error { return nil })
	if got := receive(t, "the decision again", came); got != want {
		t.Errorf("due: %v, want %v", got, want)
	}
}
