package rulebook

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"gavel/events"
	"gavel/rules"
)

// White box, for virtual time: the faults of two processes that share a shelf in
// memory with the guarantees of the bus.

type shelf struct {
	mu        sync.Mutex
	values    map[string][]byte
	revisions map[string]uint64
	contended bool // another process writes first each time
}

func newShelf() *shelf { return &shelf{values: map[string][]byte{}, revisions: map[string]uint64{}} }

func (s *shelf) Read(_ context.Context, key string) ([]byte, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.revisions[key] == 0 {
		return nil, 0, events.ErrKeyNotFound
	}
	return s.values[key], s.revisions[key], nil
}

func (s *shelf) Update(_ context.Context, key string, value []byte, revision uint64) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.contended || s.revisions[key] != revision {
		return 0, events.ErrKeyChanged
	}
	s.values[key], s.revisions[key] = value, revision+1
	return revision + 1, nil
}

func openShelf(t *testing.T, s *shelf) *Book {
	t.Helper()
	b, err := Open(t.Context(), s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func putInForce(t *testing.T, b *Book, version string) {
	t.Helper()
	if _, err := b.Propose(t.Context(), &rules.Set{Version: version}, "test", Change); err != nil {
		t.Fatal(err)
	}
}

func TestFaultsOfAllProcessesAreAddedUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := newShelf()
		one := openShelf(t, shared)
		putInForce(t, one, "v1")
		two := openShelf(t, shared)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go one.Run(ctx)
		<-time.After(time.Second) // virtual: the processes do not write at the same moment
		go two.Run(ctx)

		one.Fault("end-orphaned", "when", "divides by zero")
		one.Fault("end-orphaned", "when", "divides by zero")
		one.Fault("end-orphaned", "unless", "")
		two.Fault("end-orphaned", "when", "divides by zero")
		last := time.Now().UTC().Truncate(time.Second)
		want := []Fault{{"end-orphaned", "unless", 1, last, ""}, {"end-orphaned", "when", 3, last, "divides by zero"}}
		if got := one.Status().Faults; len(got) != 2 || got[1].Count != 2 {
			t.Errorf("its own faults are not shown at once: %+v", got)
		}
		<-time.After(2 * shareEvery) // virtual
		synctest.Wait()
		for name, b := range map[string]*Book{"one": one, "two": two, "three": openShelf(t, shared)} {
			if err := b.shareFaults(t.Context()); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(want, b.Status().Faults); diff != "" {
				t.Errorf("%s: -want +got:\n%s", name, diff)
			}
		}
		putInForce(t, one, "v2")
		if err := one.shareFaults(t.Context()); err != nil || len(one.Status().Faults) > 0 {
			t.Errorf("%v: the next set starts with %+v", err, one.Status().Faults)
		}
	})
}

// A rule that did not change keeps its counts when another rule of the set does.
func TestDecisionsOfAllProcessesAreAddedUpForEachVersionOfARule(t *testing.T) {
	t.Parallel()
	shared := newShelf()
	one, two := openShelf(t, shared), openShelf(t, shared)
	propose := func(length string) {
		t.Helper()
		set, err := rules.Parse(rules.File{Name: "rules.yaml", Text: "rules:\n  - {name: stays, when: size(conference.live) == 1, do: [{end: {}}]}\n" +
			"  - {name: changes, when: size(conference.live) == 1, for: " + length + ", do: [{end: {}}]}\n"})
		if err == nil {
			_, err = one.Propose(t.Context(), set, "test", Change)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range []*Book{one, two} {
			if _, err := b.read(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	share := func() []Fired {
		t.Helper()
		for _, b := range []*Book{one, two, one} {
			if err := b.shareFaults(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		all := one.Status().Fired
		for i := range all {
			if all[i].Version == "" {
				t.Errorf("%s has no version", all[i].Rule)
			}
			all[i].Version = ""
		}
		return all
	}
	at := time.Date(2026, 8, 3, 12, 0, 0, 0, time.UTC)
	propose("1m")
	for i, v := range []rules.Verdict{rules.Act, rules.Would, rules.Refused, rules.Match} {
		one.Decided("stays", v, at.Add(time.Duration(i)*time.Second))
		two.Decided("changes", v, at.Add(time.Duration(i)*time.Second))
		two.Decided("stays", v, at)
	}
	if got := one.Status().Fired; len(got) != 1 || got[0].Acts != 1 {
		t.Errorf("its own decisions are not shown at once: %+v", got)
	}
	stays := Fired{Rule: "stays", Acts: 2, Woulds: 2, Refusals: 2, Last: at.Add(time.Second)}
	changes := Fired{Rule: "changes", Acts: 1, Woulds: 1, Refusals: 1, Last: at.Add(time.Second)}
	if diff := cmp.Diff([]Fired{changes, stays}, share()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	propose("2m")
	one.Decided("changes", rules.Would, at.Add(time.Hour))
	changes = Fired{Rule: "changes", Woulds: 1, Last: at.Add(time.Hour)}
	if diff := cmp.Diff([]Fired{changes, stays}, share()); diff != "" {
		t.Errorf("after a change of one rule: -want +got:\n%s", diff)
	}
}

func TestFaultsThatCouldNotBeSharedAreSharedLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := newShelf()
		shared.contended = true
		b := openShelf(t, shared)
		b.Fault("end-orphaned", "when", "divides by zero")
		if err := b.shareFaults(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.Fault("end-orphaned", "when", "divides by zero")
		shared.contended = false
		for range 2 {
			if err := b.shareFaults(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if got := openFaults(t, shared); len(got) != 1 || got[0].Count != 2 {
			t.Errorf("got %+v", got)
		}
	})
}

func openFaults(t *testing.T, shared *shelf) []Fault {
	t.Helper()
	b := openShelf(t, shared)
	if err := b.shareFaults(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b.Status().Faults
}

func TestFaultsAreBounded(t *testing.T) {
	t.Parallel()
	shared := newShelf()
	b := openShelf(t, shared)
	for round := range 2 {
		for i := range maxFaults + 10 {
			b.Fault(fmt.Sprint(round, i), "when", "")
		}
		if err := b.shareFaults(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(b.Status().Faults); n != maxFaults {
		t.Errorf("%d faults are kept", n)
	}
}
