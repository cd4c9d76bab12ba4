package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
	"gavel/internal/bus"
)

func mustResume(t testing.TB, l *bus.Lane) (floor, last uint64) {
	t.Helper()
	floor, last, err := l.Resume(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	return floor, last
}

// take waits for n groups.
func take(t testing.TB, l *bus.Lane, n int) []events.Group {
	t.Helper()
	var groups []events.Group
	for len(groups) < n {
		some, err := l.Next(testContext(t), n-len(groups))
		if err != nil {
			t.Fatal(err)
		}
		groups = append(groups, some...)
	}
	return groups
}

func mustAck(t testing.TB, l *bus.Lane, groups []events.Group) {
	t.Helper()
	if err := l.Ack(testContext(t), groups); err != nil {
		t.Fatal(err)
	}
}

// awaitFloor waits until the server has worked the acknowledgements.
func awaitFloor(t testing.TB, l *bus.Lane, want uint64) {
	t.Helper()
	eventually(t, "the ack floor to rise", func() bool {
		floor, err := l.Floor(testContext(t))
		return err == nil && floor >= want
	})
}

func sequences(groups []events.Group) []uint64 {
	var out []uint64
	for _, g := range groups {
		out = append(out, g.Sequence)
	}
	return out
}

func numbered(from, to int) []string {
	var out []string
	for n := from; n <= to; n++ {
		out = append(out, fmt.Sprintf("n=%d", n))
	}
	return out
}

func TestLaneIsReadInOrderAndAcknowledged(t *testing.T) {
	t.Parallel()
	b := open(t)
	l := b.Lane(0)
	if floor, last := mustResume(t, l); floor != 0 || last != 0 {
		t.Errorf("empty lane resumes at %d, %d", floor, last)
	}
	mustAppend(t, b, numbered(1, 5)...)
	groups := take(t, l, 5)
	if got := forms(t, groups); !slices.Equal(got, numbered(1, 5)) {
		t.Errorf("the lane returned %q", got)
	}
	mustAck(t, l, groups)
	awaitFloor(t, l, 5)
	if floor, last := mustResume(t, l); floor != 5 || last != 5 {
		t.Errorf("worked lane resumes at %d, %d", floor, last)
	}
}

// A lane goes back behind groups that were acknowledged, and on over groups that were not.
func TestARewoundLaneGoesOnBehindTheGivenGroup(t *testing.T) {
	t.Parallel()
	b := open(t)
	l := b.Lane(0)
	if err := l.Rewind(testContext(t), 0); err == nil {
		t.Error("a lane that is not resumed was rewound")
	}
	mustResume(t, l)
	mustAppend(t, b, numbered(1, 6)...)
	mustAck(t, l, take(t, l, 4))
	awaitFloor(t, l, 4)
	for _, floor := range []uint64{2, 0, 5} {
		if err := l.Rewind(testContext(t), floor); err != nil {
			t.Fatal(err)
		}
		groups := take(t, l, int(6-floor))
		if got := forms(t, groups); !slices.Equal(got, numbered(int(floor)+1, 6)) {
			t.Errorf("behind %d the lane returned %q", floor, got)
		}
	}
	mustAppend(t, b, numbered(7, 7)...)
	if got := forms(t, take(t, l, 1)); !slices.Equal(got, numbered(7, 7)) {
		t.Errorf("then it returned %q", got)
	}
}

func TestNextReturnsWhatHasArrived(t *testing.T) {
	t.Parallel()
	b := open(t)
	l := b.Lane(0)
	mustAppend(t, b, numbered(1, 10)...)
	mustResume(t, l)
	first, err := l.Next(testContext(t), 3)
	if err != nil || len(first) == 0 || len(first) > 3 {
		t.Fatalf("%d groups of at most 3, %v", len(first), err)
	}
	rest := take(t, l, 10-len(first))
	if got := forms(t, append(first, rest...)); !slices.Equal(got, numbered(1, 10)) {
		t.Errorf("the lane returned %q", got)
	}
	ctx, cancel := context.WithCancel(testContext(t))
	cancel()
	if _, err := l.Next(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("without a waiting group: %v", err)
	}
	mustAppend(t, b, "later=1")
	if got := forms(t, take(t, l, 1)); !slices.Equal(got, []string{"later=1"}) {
		t.Errorf("after a wait that timed out the lane returned %q", got)
	}
}

// Groups of 256 KiB that wait for a slow projector would be 128 MB in each lane. Requests for groups
// cannot pause instead, because the lane would count as abandoned.
func TestWhatArrivesInAdvanceIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	const room, groups = 100, 40
	b := open(t, func(c *bus.Config) { c.AheadBytes = room })
	l := b.Lane(0)
	mustResume(t, l)
	for n := range groups {
		mustAppend(t, b, numbered(n+1, n+1)...)
	}
	consumer, err := jetStream(t, client(t, b)).Consumer(testContext(t), "GAVEL_JOURNAL", "project-0")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "all groups to be delivered", func() bool {
		info, err := consumer.Info(testContext(t))
		return err == nil && info.NumPending == 0
	})
	eventually(t, "data to arrive", func() bool { return b.Ahead() > 0 })
	if held := b.Ahead(); held > room {
		t.Errorf("%d bytes have arrived", held)
	}
	all := take(t, l, groups)
	if got := forms(t, all); !slices.Equal(got, numbered(1, groups)) {
		t.Errorf("the lane returned %q", got)
	}
	mustAck(t, l, all)
	awaitFloor(t, l, all[groups-1].Sequence)
	mustAppend(t, b, numbered(1, 3)...)
	eventually(t, "data to arrive", func() bool { return b.Ahead() > 0 })
	mustResume(t, l) // what had arrived counts no longer
	take(t, l, 3)
	if held := b.Ahead(); held != 0 {
		t.Errorf("%d bytes count after the last group", held)
	}
}

func TestEveryResumeStartsBehindTheFloor(t *testing.T) {
	t.Parallel()
	b := open(t)
	l := b.Lane(0)
	mustAppend(t, b, numbered(1, 6)...)
	mustResume(t, l)
	mustAck(t, l, take(t, l, 6)[:2])
	awaitFloor(t, l, 2)
	for range 3 {
		floor, last := mustResume(t, l)
		if floor != 2 || last != 6 {
			t.Fatalf("resumed at %d, %d", floor, last)
		}
		if got := sequences(take(t, l, 4)); !slices.Equal(got, []uint64{3, 4, 5, 6}) {
			t.Fatalf("after the floor the lane returns %v", got)
		}
	}
	mustAppend(t, b, "n=7")
	if got := sequences(take(t, l, 1)); !slices.Equal(got, []uint64{7}) {
		t.Errorf("then the lane returns %v", got)
	}
}

// A group acknowledged out of order does not raise the floor, and is redelivered:
// all groups above the floor are processed again, in order.
func TestResumeLeavesNoHoles(t *testing.T) {
	t.Parallel()
	b := open(t)
	l := b.Lane(0)
	mustAppend(t, b, numbered(1, 4)...)
	mustResume(t, l)
	mustAck(t, l, take(t, l, 4)[2:])
	if floor, _ := mustResume(t, l); floor != 0 {
		t.Errorf("floor %d", floor)
	}
	if got := sequences(take(t, l, 4)); !slices.Equal(got, []uint64{1, 2, 3, 4}) {
		t.Errorf("above the floor the lane returns %v", got)
	}
}

func TestOneMayAcknowledgeWhileAnotherReads(t *testing.T) {
	t.Parallel()
	b := open(t)
	l := b.Lane(0)
	mustResume(t, l)
	const count = 300
	worked, ended := make(chan []events.Group, count), make(chan error, 1)
	go func() {
		for groups := range worked {
			if err := l.Ack(context.Background(), groups); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	for range count {
		mustAppend(t, b, "n=1")
		worked <- take(t, l, 1)
	}
	close(worked)
	if err := receive(t, "the other goroutine", ended); err != nil {
		t.Error(err)
	}
	awaitFloor(t, l, count)
}

func TestGroupsOfAnEarlierResumeAreNotAcknowledged(t *testing.T) {
	t.Parallel()
	b := open(t)
	l := b.Lane(0)
	mustAppend(t, b, "n=1")
	mustResume(t, l)
	old := take(t, l, 1)
	mustResume(t, l)
	if err := l.Ack(testContext(t), old); !errors.Is(err, bus.ErrLaneMoved) {
		t.Errorf("old group: %v", err)
	}
}

func TestALaneThatIsNotResumedReturnsNoGroups(t *testing.T) {
	t.Parallel()
	l := open(t).Lane(0)
	if _, err := l.Next(testContext(t), 1); err == nil {
		t.Error("the lane returned groups")
	}
	if err := l.Ack(testContext(t), nil); err == nil {
		t.Error("groups were acknowledged")
	}
	if floor, err := l.Floor(testContext(t)); floor != 0 || err != nil {
		t.Errorf("floor %d, %v", floor, err)
	}
}

func TestLanesHoldTheirOwnConferences(t *testing.T) {
	t.Parallel()
	b := open(t, func(c *bus.Config) { c.Lanes = 4 })
	want := make([][]string, 4)
	for n := range 40 {
		sid := fmt.Sprintf("CF%032x", n)
		if err := b.Journal().Append(testContext(t), sid, entry(sid)); err != nil {
			t.Fatal(err)
		}
		lane := events.Lane(sid, 4)
		want[lane] = append(want[lane], sid)
	}
	for n, l := range b.Lanes() {
		mustResume(t, l)
		groups := take(t, l, len(want[n]))
		if got := forms(t, groups); !slices.Equal(got, want[n]) {
			t.Errorf("lane %d returned %q", n, got)
		}
		mustAck(t, l, groups)
		awaitFloor(t, l, groups[len(groups)-1].Sequence)
		if floor, last := mustResume(t, l); floor != groups[len(groups)-1].Sequence || last != floor {
			t.Errorf("lane %d resumes at %d, %d", n, floor, last)
		}
	}
}

// The server redelivers a group that waits longer than AckWait. The group must
// neither arrive twice nor arrive late.
func TestSlowProjectorGetsNothingTwice(t *testing.T) {
	t.Parallel()
	b := open(t)
	l := b.Lane(0)
	mustAppend(t, b, numbered(1, 3)...)
	mustResume(t, l)
	groups := take(t, l, 3)
	js := jetStream(t, client(t, b))
	consumer, err := js.Consumer(testContext(t), "GAVEL_JOURNAL", "project-0")
	if err != nil {
		t.Fatal(err)
	}
	config := consumer.CachedInfo().Config
	config.AckWait = 50 * time.Millisecond
	if _, err := js.UpdateConsumer(testContext(t), "GAVEL_JOURNAL", config); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the server to deliver again", func() bool {
		info, err := consumer.Info(testContext(t))
		return err == nil && info.Delivered.Consumer > 6
	})
	mustAppend(t, b, "n=4")
	if got := sequences(take(t, l, 1)); !slices.Equal(got, []uint64{4}) {
		t.Errorf("after 1, 2, 3 the lane returns %v", got)
	}
	mustAck(t, l, groups)
	awaitFloor(t, l, 3)
}

func TestLaneIsTakenOverWhenItsOwnerVanishes(t *testing.T) {
	t.Parallel()
	b := open(t)
	first, way := secondProcess(t, b)
	mustAppend(t, b, numbered(1, 6)...)
	mustResume(t, first.Lane(0))
	mustAck(t, first.Lane(0), take(t, first.Lane(0), 4)[:2])
	awaitFloor(t, first.Lane(0), 2)

	way.vanish()
	start := time.Now()
	floor, last := mustResume(t, b.Lane(0))
	// The promise is five seconds; a busy test machine gets more, but less than
	// AckWait, after which the server redelivers the groups to any projector.
	if took := time.Since(start); took > patience {
		t.Errorf("the takeover took %v", took)
	}
	if floor != 2 || last != 6 {
		t.Errorf("taken over at %d, %d", floor, last)
	}
	if got := sequences(take(t, b.Lane(0), 4)); !slices.Equal(got, []uint64{3, 4, 5, 6}) {
		t.Errorf("the new owner gets %v", got)
	}
}

func TestLaneIsHandedOverAtOnceWhenItsOwnerCloses(t *testing.T) {
	t.Parallel()
	b := open(t)
	first, _ := secondProcess(t, b)
	mustAppend(t, b, numbered(1, 3)...)
	mustResume(t, first.Lane(0))
	mustAck(t, first.Lane(0), take(t, first.Lane(0), 3)[:1])
	awaitFloor(t, first.Lane(0), 1)
	closeBus(t, first)
	start := time.Now()
	if floor, _ := mustResume(t, b.Lane(0)); floor != 1 {
		t.Errorf("released at %d", floor)
	}
	if took := time.Since(start); took > 2500*time.Millisecond {
		t.Errorf("the release took %v, as long as a takeover", took)
	}
}

func TestAStandbyDoesNotTakeTheLaneFromItsOwner(t *testing.T) {
	t.Parallel()
	b := open(t)
	owner := b.Lane(0)
	mustAppend(t, b, "n=1")
	mustResume(t, owner)
	take(t, owner, 1)

	standby, _ := secondProcess(t, b)
	// Longer than an idle owner is given: it must keep the lane by asking.
	ctx, cancel := context.WithTimeout(testContext(t), 5*time.Second)
	defer cancel()
	if _, _, err := standby.Lane(0).Resume(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("standby resumed: %v", err)
	}
	mustAppend(t, b, "n=2")
	if got := sequences(take(t, owner, 1)); !slices.Equal(got, []uint64{2}) {
		t.Errorf("the owner continues with %v", got)
	}
}

// An empty lane has no owner. If two projectors resume it, one receives the
// groups, and the other must report that the lane is elsewhere.
func TestTwoProjectorsThatResumeAnIdleLaneAgreeOnOneOwner(t *testing.T) {
	t.Parallel()
	b := open(t)
	other, _ := secondProcess(t, b)
	owner, loser := b.Lane(0), other.Lane(0)
	mustResume(t, owner)
	mustResume(t, loser)
	mustAppend(t, b, "n=1")
	take(t, owner, 1)
	if groups, err := loser.Next(testContext(t), 1); !errors.Is(err, bus.ErrLaneMoved) {
		t.Fatalf("the loser was given %v, %v", sequences(groups), err)
	}

	ctx, cancel := context.WithCancel(testContext(t))
	resumed := make(chan error, 1)
	go func() {
		_, _, err := loser.Resume(ctx)
		resumed <- err
	}()
	eventually(t, "the loser to stand by", loser.Elsewhere)
	mustAppend(t, b, "n=2")
	if got := sequences(take(t, owner, 1)); !slices.Equal(got, []uint64{2}) {
		t.Errorf("the owner continues with %v", got)
	}
	cancel()
	if err := <-resumed; !errors.Is(err, context.Canceled) || loser.Elsewhere() {
		t.Errorf("the loser stopped standing by with %v", err)
	}
}

// An owner that stalled for too long has lost the lane. It must get an error
// before it gets a group that is out of order.
func TestAStalledOwnerGetsAnErrorWhenTheLaneMoved(t *testing.T) {
	t.Parallel()
	b := open(t)
	frozen, way := secondProcess(t, b)
	mustAppend(t, b, numbered(1, 4)...)
	mustResume(t, frozen.Lane(0))
	take(t, frozen.Lane(0), 4)

	way.hold()
	next := b.Lane(0)
	mustResume(t, next)
	mustAck(t, next, take(t, next, 4))
	awaitFloor(t, next, 4)
	mustAppend(t, b, "n=5")
	take(t, next, 1)
	way.goOn()
	if err := next.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}

	mustAppend(t, b, "n=6")
	if groups, err := frozen.Lane(0).Next(testContext(t), 1); !errors.Is(err, bus.ErrLaneMoved) {
		t.Fatalf("it was given %v, %v", sequences(groups), err)
	}
	if floor, last := mustResume(t, frozen.Lane(0)); floor != 4 || last != 6 {
		t.Errorf("it resumes at %d, %d", floor, last)
	}
	if got := sequences(take(t, frozen.Lane(0), 2)); !slices.Equal(got, []uint64{5, 6}) {
		t.Errorf("and gets %v", got)
	}
}

// The error stays: a gap that was seen once must not be forgotten while nothing new arrives.
func TestResetByAnotherIsNoticed(t *testing.T) {
	t.Parallel()
	b := open(t)
	l := b.Lane(0)
	mustAppend(t, b, numbered(1, 2)...)
	mustResume(t, l)
	take(t, l, 2)
	js := jetStream(t, client(t, b))
	if _, err := js.ResetConsumerToSequence(testContext(t), "GAVEL_JOURNAL", "project-0", 2); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := l.Next(testContext(t), 1); !errors.Is(err, bus.ErrLaneMoved) {
			t.Fatalf("after a reset: %v", err)
		}
	}
}

func TestADeletedConsumerOfALaneIsCreatedAgain(t *testing.T) {
	t.Parallel()
	b := open(t)
	l := b.Lane(0)
	mustAppend(t, b, "n=1")
	mustResume(t, l)
	mustAck(t, l, take(t, l, 1))
	if err := jetStream(t, client(t, b)).DeleteConsumer(testContext(t), "GAVEL_JOURNAL", "project-0"); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Next(testContext(t), 1); !errors.Is(err, jetstream.ErrConsumerDeleted) {
		t.Errorf("consumer deleted: %v", err)
	}
	if floor, last := mustResume(t, l); floor != 0 || last != 1 {
		t.Errorf("resumed at %d, %d", floor, last)
	}
	if got := sequences(take(t, l, 1)); !slices.Equal(got, []uint64{1}) {
		t.Errorf("the lane returns %v", got)
	}
}

// A delivery that was on its way when the connection broke is missed at once,
// not when the server delivers it again.
func TestLaneGoesOnAfterItsConnectionBroke(t *testing.T) {
	t.Parallel()
	b := open(t)
	far, way := secondProcess(t, b)
	l := far.Lane(0)
	mustResume(t, l)
	mustAppend(t, b, "n=1")
	take(t, l, 1)

	way.hold()
	mustAppend(t, b, "n=2")
	js := jetStream(t, client(t, b))
	eventually(t, "the delivery to be on its way", func() bool {
		c, err := js.Consumer(testContext(t), "GAVEL_JOURNAL", "project-0")
		return err == nil && c.CachedInfo().Delivered.Stream == 2
	})
	way.breakOff()

	ctx, cancel := context.WithTimeout(testContext(t), patience) // less than AckWait
	defer cancel()
	if groups, err := l.Next(ctx, 1); err == nil || ctx.Err() != nil {
		t.Fatalf("the lane continues with %v, %v", sequences(groups), err)
	}
	mustResume(t, l)
	if got := sequences(take(t, l, 2)); !slices.Equal(got, []uint64{1, 2}) {
		t.Errorf("the lane continues with %v", got)
	}
}

func BenchmarkLane(b *testing.B) {
	bb := open(b)
	form := strings.Repeat("x", 6000) // a group of ten
	for range b.N {
		mustAppend(b, bb, form)
	}
	l := bb.Lane(0)
	mustResume(b, l)
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; {
		groups, err := l.Next(b.Context(), 64)
		if err != nil {
			b.Fatal(err)
		}
		if err := l.Ack(b.Context(), groups); err != nil {
			b.Fatal(err)
		}
		done += len(groups)
	}
}
