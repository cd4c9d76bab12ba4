package cell_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gavel/events"
	"gavel/internal/cell"
)

// The bucket is a stand-in with the guarantees of a real one, in virtual time;
// the tests of brakes and rulebook use a real NATS.

// bucket is one key. Its network can be slow, or lose the answer to a write.
type bucket struct {
	mu       sync.Mutex
	value    []byte
	revision uint64
	writes   int
	reads    int
	mute     int           // number of writes that are stored without an answer
	takes    time.Duration // duration of each write
}

var errMute = errors.New("no answer came")

func (b *bucket) Read(context.Context, string) ([]byte, uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reads++
	if b.revision == 0 {
		return nil, 0, events.ErrKeyNotFound
	}
	return b.value, b.revision, nil
}

func (b *bucket) Update(_ context.Context, _ string, value []byte, revision uint64) (uint64, error) {
	<-time.After(b.takes)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.writes++
	if revision != b.revision {
		return 0, events.ErrKeyChanged
	}
	b.value, b.revision = value, b.revision+1
	if b.mute > 0 {
		b.mute--
		return 0, errMute
	}
	return b.revision, nil
}

// set is a value to which each change adds a name.
type set struct {
	Names map[string]bool `json:"names"`
}

var errLate = errors.New("too late")

func open(b *bucket, again bool) *cell.Cell[set] {
	return cell.New(b, cell.Config[set]{Key: "set", Within: time.Second, NoAnswer: errLate, Again: again})
}

func add(ctx context.Context, c *cell.Cell[set], name string) error {
	return c.Change(ctx, func(s *set) bool {
		if s.Names[name] {
			return false
		}
		if s.Names == nil {
			s.Names = map[string]bool{}
		}
		s.Names[name] = true
		return true
	})
}

func wantNames(t *testing.T, c *cell.Cell[set], want int) {
	t.Helper()
	if s, err := c.Read(t.Context()); err != nil || len(s.Names) != want {
		t.Errorf("%v, %v; want %d names", s, err, want)
	}
}

func TestChangesThatWaitTogetherShareAWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := &bucket{takes: 10 * time.Millisecond}
		one, two := open(shared, true), open(shared, true)
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				if err := add(t.Context(), []*cell.Cell[set]{one, two}[i%2], fmt.Sprint(i)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		wantNames(t, one, 200)
		if shared.writes > 20 {
			t.Errorf("%d writes", shared.writes)
		}
	})
}

func TestAWriteWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	for again, want := range map[bool]error{true: nil, false: errMute} {
		synctest.Test(t, func(t *testing.T) {
			shared := &bucket{mute: 1}
			c := open(shared, again)
			if err := add(t.Context(), c, "a"); !errors.Is(err, want) {
				t.Errorf("made again %v: %v", again, err)
			}
			wantNames(t, c, 1)
			if shared.writes != 1 {
				t.Errorf("made again %v: %d writes", again, shared.writes)
			}
		})
	}
}

// Before Change reports that nothing changes, it reads the stored value: the
// value in memory may be stale.
func TestAChangeThatChangesNothingReadsTheStoredValueFirst(t *testing.T) {
	t.Parallel()
	shared := &bucket{}
	mine, theirs := open(shared, true), open(shared, true)
	if err := errors.Join(add(t.Context(), mine, "a"), theirs.Change(t.Context(), func(s *set) bool { s.Names = nil; return true })); err != nil {
		t.Fatal(err)
	}
	if err := add(t.Context(), mine, "a"); err != nil {
		t.Fatal(err)
	}
	wantNames(t, theirs, 1)
	calls := 0
	if err := mine.ChangeRead(t.Context(), func(*set) bool { calls++; return false }); err != nil || calls != 1 {
		t.Errorf("%d calls with a value that was read, %v", calls, err)
	}
}

// A value is decoded again only if another process changed it, or if it may have been changed without
// being stored.
func TestAValueThatIsKeptIsDecodedOnce(t *testing.T) {
	t.Parallel()
	b, decoded, refreshed := &bucket{}, 0, 0
	c := cell.New(b, cell.Config[set]{
		Key: "set", Within: time.Second, NoAnswer: errLate, Again: true,
		Decode: func(value []byte) (*set, error) {
			decoded++
			s := &set{}
			if len(value) == 0 {
				return s, nil
			}
			return s, json.Unmarshal(value, s)
		},
		Refresh: func(*set) { refreshed++ },
	})
	step := func(what string, err error, wantDecoded, wantRefreshed int) {
		t.Helper()
		if err != nil || decoded != wantDecoded || refreshed != wantRefreshed {
			t.Errorf("%s: %v, decoded %d times and refreshed %d times, want %d and %d", what, err, decoded, refreshed, wantDecoded, wantRefreshed)
		}
	}
	ctx := t.Context()
	step("the first change", add(ctx, c, "a"), 1, 0)
	step("the next one", add(ctx, c, "b"), 1, 1)
	step("one that changes nothing reads the value", add(ctx, c, "b"), 2, 2)
	step("the one after it", add(ctx, c, "c"), 3, 2)
	if err := add(ctx, open(b, true), "d"); err != nil {
		t.Fatal(err)
	}
	step("one after another process changed the value", add(ctx, c, "e"), 4, 3)
	b.mute = 1
	step("one whose answer is lost", add(ctx, c, "f"), 5, 4)
	stored := &set{}
	if err := json.Unmarshal(b.value, stored); err != nil || len(stored.Names) != 6 {
		t.Errorf("stored %v, %v; want all six names", stored.Names, err)
	}
}

func TestAValueThatCannotBeDecodedIsNotRetried(t *testing.T) {
	t.Parallel()
	shared := &bucket{value: []byte("{"), revision: 1}
	if err := add(t.Context(), open(shared, true), "a"); !errors.Is(err, cell.ErrUnreadable) || shared.reads != 1 {
		t.Errorf("%d reads, %v", shared.reads, err)
	}
}

// The write goes on for the others that wait for it.
func TestACallerThatGivesUpDoesNotCancelTheChangesOfOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := &bucket{takes: 100 * time.Millisecond}
		c := open(shared, true)
		first := make(chan error, 1)
		go func() { first <- add(t.Context(), c, "first") }()
		synctest.Wait()
		leaving, leave := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer leave()
		if err := add(leaving, c, "left"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the caller that gave up: %v", err)
		}
		if err := add(t.Context(), c, "last"); err != nil {
			t.Error(err)
		}
		if err := <-first; err != nil {
			t.Error(err)
		}
		wantNames(t, c, 2)
	})
}

func TestAChangeEndsInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		err := add(t.Context(), open(&bucket{mute: 1e6, takes: 10 * time.Millisecond, revision: 1, value: []byte("{}")}, false), "a")
		if !errors.Is(err, errMute) {
			t.Error(err)
		}
		shared := &rival{bucket: bucket{}}
		err = add(t.Context(), cell.New(shared, cell.Config[set]{Within: time.Second, NoAnswer: errLate}), "a")
		if !errors.Is(err, errLate) || !errors.Is(err, events.ErrKeyChanged) {
			t.Error(err)
		}
		if took := time.Since(began); took > 1200*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
}

// rival is a bucket where another process writes first each time.
type rival struct{ bucket }

func (r *rival) Update(context.Context, string, []byte, uint64) (uint64, error) {
	return 0, events.ErrKeyChanged
}
