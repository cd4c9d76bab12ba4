package ministore_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gavel/events"
	"gavel/projections"
	"gavel/projections/ministore"
)

// What is real in these tests: the store and the file. The test plays the projector.

const snapshotAccount = "AC00000000000000000000000000000001"

var journal = ministore.Journal{Created: time.Date(2026, 11, 1, 9, 0, 0, 123, time.UTC), Last: 1000}

func openStore(t *testing.T, lanes int) *ministore.Store {
	t.Helper()
	s, err := ministore.Open(ministore.NewRedis(), lanes, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// room is the nth conference, with one leg.
func room(n int) projections.Write {
	at := projections.Instant(1772452800 + n)
	return projections.Write{
		After: &projections.Conference{
			AccountSid: snapshotAccount, ConferenceSid: fmt.Sprintf("CF%032x", n), Created: at, Updated: at,
			FriendlyName: projections.Stated[string]{Seq: 1, Value: fmt.Sprintf("room %d", n/20)},
			Participants: []*projections.Participant{{CallSid: fmt.Sprintf("CA%032x", n), Created: at}},
		},
		Book:  projections.Book{Version: 1, Applied: events.Position{Sequence: 7, Index: n}, LastEventAt: at, Due: int64(n % 2)},
		Rules: []byte(fmt.Sprintf(`{"n":%d}`, n)),
	}
}

// fillLanes builds all lanes from conferences, up to stream sequence 7.
func fillLanes(t *testing.T, s *ministore.Store, lanes, conferences int) {
	t.Helper()
	for lane := range lanes {
		b, err := s.Build(t.Context(), lane)
		must(t, "build", err)
		var writes []projections.Write
		for n := range conferences {
			if w := room(n); events.Lane(w.After.ConferenceSid, lanes) == lane {
				writes = append(writes, w)
			}
		}
		must(t, "put", b.Put(t.Context(), writes))
		must(t, "commit", b.Commit(t.Context(), events.Position{Sequence: 7, Index: events.MaxGroupEntries}, []byte("state")))
		must(t, "check", s.Check(t.Context(), lane, 7))
	}
}

func listed(t *testing.T, s *ministore.Store) []*projections.Conference {
	t.Helper()
	page, err := s.Conferences(t.Context(), snapshotAccount, projections.Query{Limit: 1000})
	must(t, "list", err)
	return page.Conferences
}

// A process stops and starts again. Readers find nothing until the fill has continued each lane;
// then they find what was there and what came since.
func TestARestoredPictureIsHiddenUntilItIsContinued(t *testing.T) {
	t.Parallel()
	const lanes, conferences = 2, 300
	path := filepath.Join(t.TempDir(), "picture")
	before := openStore(t, lanes)
	fillLanes(t, before, lanes, conferences)
	if written, err := before.WriteSnapshot(t.Context(), path, journal); !written || err != nil {
		t.Fatalf("write a snapshot: %v, %v", written, err)
	}
	if written, err := before.WriteSnapshot(t.Context(), path, journal); written || err != nil {
		t.Errorf("write it again without a change: %v, %v; want false", written, err)
	}

	after := openStore(t, lanes)
	must(t, "restore", after.Restore(t.Context(), path, journal))
	first := room(0)
	if _, err := after.Conference(t.Context(), first.After.Key()); !errors.Is(err, projections.ErrFilling) {
		t.Errorf("read before the fill: %v, want %v", err, projections.ErrFilling)
	}
	if written, err := after.WriteSnapshot(t.Context(), path, journal); written || err != nil {
		t.Errorf("write a snapshot before the fill: %v, %v; want false", written, err)
	}
	for lane := range lanes {
		r, ok := after.Resumed(lane)
		if want := (events.Position{Sequence: 7, Index: events.MaxGroupEntries}); !ok || r.Applied != want || string(r.State) != "state" {
			t.Fatalf("lane %d is resumed: %v, at %v, in state %q", lane, ok, r.Applied, r.State)
		}
		if _, ok := after.Resumed(lane); ok {
			t.Errorf("lane %d is resumed twice", lane)
		}
		if events.Lane(first.After.ConferenceSid, lanes) == lane {
			stored, err := r.Build.Load(t.Context(), []events.Key{first.After.Key()})
			must(t, "load", err)
			if diff := cmp.Diff(projections.Stored{Conference: first.After, Book: first.Book, Rules: first.Rules}, stored[0]); diff != "" {
				t.Errorf("the record differs (-written +restored):\n%s", diff)
			}
			ended := *stored[0].Conference
			ended.End = &projections.Ending{Reason: "participant-with-end-conference-on-exit-left"}
			must(t, "put", r.Build.Put(t.Context(), []projections.Write{{
				Before: stored[0].Conference, After: &ended, Book: projections.Book{Version: 2}, DueBefore: stored[0].Book.Due,
			}}))
		}
		must(t, "commit", r.Build.Commit(t.Context(), events.Position{Sequence: 9}, []byte("later")))
		must(t, "check", after.Check(t.Context(), lane, 9))
	}
	got, want := listed(t, after), listed(t, before)
	for _, c := range got {
		if c.ConferenceSid == first.After.ConferenceSid {
			if c.Status() != projections.StatusCompleted {
				t.Errorf("the conference that ended meanwhile is %s", c.Status())
			}
			c.End = nil
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lists differ (-before +after):\n%s", diff)
	}
	if due, err := after.Armed(t.Context(), "", 1000); err != nil || len(due) != conferences/2 {
		t.Errorf("%d deadlines, %v; want %d", len(due), err, conferences/2)
	}
	if written, err := after.WriteSnapshot(t.Context(), path, journal); !written || err != nil {
		t.Errorf("write a snapshot after the fill: %v, %v", written, err)
	}
}

// A file that was changed, cut off or written for another journal is refused as a whole.
func TestASnapshotThatIsNotWholeOrNotOursIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "picture")
	s := openStore(t, 1)
	fillLanes(t, s, 1, 40)
	_, err := s.WriteSnapshot(t.Context(), path, journal)
	must(t, "write a snapshot", err)
	whole, err := os.ReadFile(path)
	must(t, "read the snapshot", err)

	refused := func(what string, content []byte, lanes int, j ministore.Journal) {
		t.Helper()
		must(t, "write", os.WriteFile(path, content, 0o600))
		after := openStore(t, lanes)
		if err := after.Restore(t.Context(), path, j); !errors.Is(err, ministore.ErrSnapshot) {
			t.Errorf("%s: %v, want %v", what, err, ministore.ErrSnapshot)
		}
		if _, ok := after.Resumed(0); ok {
			t.Errorf("%s: lane 0 is resumed", what)
		}
		if err := after.Check(t.Context(), 0, 0); !errors.Is(err, projections.ErrLost) {
			t.Errorf("%s: check: %v, want %v", what, err, projections.ErrLost)
		}
	}
	for at := 0; at < len(whole); at += 97 {
		flipped := append([]byte(nil), whole...)
		flipped[at] ^= 1 << (at % 8)
		refused(fmt.Sprintf("bit %d of byte %d flipped", at%8, at), flipped, 1, journal)
	}
	for _, size := range []int{0, 1, 31, 32, 33, len(whole) / 2, len(whole) - 1} {
		refused(fmt.Sprintf("cut to %d bytes", size), whole[:size], 1, journal)
	}
	refused("another journal", whole, 1, ministore.Journal{Created: journal.Created.Add(1), Last: journal.Last})
	refused("a journal that went back", whole, 1, ministore.Journal{Created: journal.Created, Last: 6})
	refused("another number of lanes", whole, 2, journal)
	must(t, "remove", os.Remove(path))
	if err := openStore(t, 1).Restore(t.Context(), path, journal); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v, want %v", err, fs.ErrNotExist)
	}
}
