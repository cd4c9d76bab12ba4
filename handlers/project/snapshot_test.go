package project_test

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"

	"gavel/events"
	"gavel/handlers/project"
	"gavel/projections/ministore"
)

// firstRead is a journal that notes the least sequence that a fill read.
type firstRead struct {
	project.Journal
	groups atomic.Int64
}

func (j *firstRead) Read(ctx context.Context, lane int, from, to uint64, fn func(events.Group) error) error {
	return j.Journal.Read(ctx, lane, from, to, func(g events.Group) error {
		j.groups.Add(1)
		return fn(g)
	})
}

// A process with an embedded picture writes a snapshot, works on, and crashes. The next one reads
// only what the journal has since, and its picture is what the journal folds to.
func TestAStartContinuesThePictureOfASnapshot(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	path, journal := filepath.Join(t.TempDir(), "picture"), s.journal(t)
	_, stop := run(t, s.config())
	for n := range 20 {
		s.tell(t, call(n)...)
	}
	s.tell(t, call(20)[:5]...)
	s.settled(t)
	if written, err := s.store.(*ministore.Store).WriteSnapshot(t.Context(), path, journal); !written || err != nil {
		t.Fatalf("write a snapshot: %v, %v", written, err)
	}
	s.tell(t, call(20)[5:]...)
	s.tell(t, call(21)...)
	s.settled(t)
	stop()

	s.loseStore(t)
	restored := s.store.(*ministore.Store)
	if err := restored.Restore(t.Context(), path, s.journal(t)); err != nil {
		t.Fatal(err)
	}
	c, counted := s.config(), &firstRead{Journal: s.bus.Journal()}
	c.Journal, c.Resumed = counted, restored.Resumed
	_, stop = run(t, c)
	s.heals(t, 0, 19, 20, 21)
	s.tell(t, call(22)...)
	s.settled(t)
	s.agree(t, 0, 19, 20, 21, 22)
	stop()
	// Each callback is a group: 3 of conference 20, 8 of conference 21, and for each lane the group
	// at the snapshot's position.
	if got, most := counted.groups.Load(), int64(3+8+s.bus.Info().Lanes); got > most {
		t.Errorf("the start read %d groups, want at most %d", got, most)
	}
}

// journal identifies the journal as a snapshot does.
func (s *stack) journal(t *testing.T) ministore.Journal {
	t.Helper()
	usage, err := s.bus.Journal().Usage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return ministore.Journal{Created: usage.Created, Last: usage.Last}
}
