package project_test

import (
	"testing"

	"gavel/internal/redistest"
	"gavel/projections"
	"gavel/projections/redisstore"
)

// newRedisStack is a stack whose store is a real redis-server.
func newRedisStack(t *testing.T) (*stack, *redistest.Server) {
	t.Helper()
	s := newStack(t)
	server := redistest.Start(t)
	store, err := redisstore.Open(t.Context(), redisstore.Options{URL: server.URL(), Lanes: s.bus.Info().Lanes, Log: quiet()})
	if err != nil {
		t.Fatalf("open store: %v", err)
	}
	t.Cleanup(func() { store.Close() })
	s.store = store
	return s, server
}

// heals waits until the picture of the conferences is whole again: until then
// reads must fail, and never report that the conference does not exist.
func (s *stack) heals(t *testing.T, conferences ...int) {
	t.Helper()
	for _, n := range conferences {
		_, want := s.journaled(t, n)
		s.until(t, "the picture is whole again", func() bool {
			got, err := s.tryStored(n)
			return err == nil && projections.Equal(got, want)
		})
	}
	s.settled(t)
	s.agree(t, conferences...)
}

// An emptied Redis is noticed while nothing happens and while callbacks come.
func TestAnEmptiedRedisIsFilledAgain(t *testing.T) {
	t.Parallel()
	s, server := newRedisStack(t)
	run(t, killed(s.config(), newKiller(0, ""), 1))
	s.tell(t, call(1)...)
	s.tell(t, call(2)[:5]...)
	s.settled(t)

	server.FlushAll()
	s.heals(t, 1, 2)

	s.tell(t, call(3)[:4]...)
	server.FlushAll()
	s.tell(t, call(3)[4:]...)
	s.tell(t, call(2)[5:]...)
	s.heals(t, 1, 2, 3)
}

// A Redis that comes back with an old snapshot is noticed by its first write
// or within a second, and never answers from it for good.
func TestARolledBackRedisIsFilledAgain(t *testing.T) {
	t.Parallel()
	s, server := newRedisStack(t)
	run(t, killed(s.config(), newKiller(0, ""), 1))
	s.tell(t, call(1)[:4]...)
	s.settled(t)
	rollBack := server.KeepSnapshot()
	s.tell(t, call(1)[4:]...)
	s.tell(t, call(2)...)
	s.settled(t)

	rollBack()
	s.heals(t, 1, 2)
}

// While Redis is away nothing is lost; what came meanwhile is worked when it is back.
func TestARedisThatIsAwayIsWaitedFor(t *testing.T) {
	t.Parallel()
	s, server := newRedisStack(t)
	run(t, killed(s.config(), newKiller(0, ""), 1))
	s.tell(t, call(1)...)
	s.settled(t)
	server.Kill()
	s.tell(t, call(2)...)
	server.Restart()
	s.heals(t, 1, 2)
}
