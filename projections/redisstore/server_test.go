package redisstore_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"gavel/events"
	"gavel/internal/redistest"
	"gavel/projections"
	"gavel/projections/redisstore"
)

// fill builds an empty picture of one lane, complete up to sequence 1, and claims the lane.
func fill(tb testing.TB, s projections.Store) {
	tb.Helper()
	b, err := s.Build(tb.Context(), 0)
	if err == nil {
		err = b.Commit(tb.Context(), events.Position{Sequence: 1}, nil)
	}
	if err == nil {
		err = s.Check(tb.Context(), 0, 1)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// create is the write of the nth conference's first event.
func create(n int) projections.Write {
	return projections.Write{
		After: &projections.Conference{
			AccountSid:    "AC0123456789abcdef0123456789abcdef",
			ConferenceSid: fmt.Sprintf("CF%032x", n),
			Created:       projections.Instant(1772452800 + n),
			Updated:       projections.Instant(1772452800 + n),
		},
		Book: projections.Book{Version: 1, Applied: events.Position{Sequence: uint64(n) + 2}},
	}
}

func key(w projections.Write) events.Key {
	return events.Key{AccountSid: w.After.AccountSid, ConferenceSid: w.After.ConferenceSid}
}

func sentinel(err error) bool {
	return errors.Is(err, projections.ErrLost) || errors.Is(err, projections.ErrConflict) ||
		errors.Is(err, projections.ErrNotFound) || errors.Is(err, projections.ErrFilling)
}

func TestForgottenScriptsAreSentAgain(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, server.UnixURL(), 1)
	fill(t, s)
	for n := range 3 {
		server.Do("SCRIPT", "FLUSH")
		writes := []projections.Write{create(1000 * n), create(1000*n + 1), create(1000*n + 2)}
		if err := s.Save(t.Context(), 0, writes); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Conference(t.Context(), key(create(2002))); err != nil {
		t.Error(err)
	}
}

// After a server is emptied between batches it accepts no more writes,
// whichever of its keys a batch writes.
func TestAnEmptiedServerAcceptsNoMoreWrites(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, server.UnixURL(), 1)
	fill(t, s)
	underWay, failed := make(chan struct{}), make(chan error, 1)
	go func() {
		for n := 0; ; n += 100 {
			var writes []projections.Write
			for i := range 100 {
				writes = append(writes, create(n+i))
			}
			if err := s.Save(t.Context(), 0, writes); err != nil {
				failed <- err
				return
			}
			if n == 1000 {
				close(underWay)
			}
		}
	}()
	<-underWay
	server.FlushAll()
	if err := <-failed; !errors.Is(err, projections.ErrLost) {
		t.Errorf("save on an emptied server: %v, want ErrLost", err)
	}
	if size := server.Do("DBSIZE"); size != ":0" {
		t.Errorf("%s keys were written into the emptied server", size)
	}
}

func TestAKilledServerIsAnErrorUntilItIsFilledAgain(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, server.UnixURL(), 1)
	fill(t, s)
	w := create(1)
	if err := s.Save(t.Context(), 0, []projections.Write{w}); err != nil {
		t.Fatal(err)
	}

	server.Kill()
	_, readErr := s.Conference(t.Context(), key(w))
	_, loadErr := s.Load(t.Context(), 0, []events.Key{key(w)})
	for what, err := range map[string]error{
		"read": readErr, "load": loadErr,
		"check": s.Check(t.Context(), 0, 1),
		"save":  s.Save(t.Context(), 0, []projections.Write{create(2)}),
		"note":  s.NoteApplied(t.Context(), 0, w.Book.Applied, nil, ""),
	} {
		if err == nil || sentinel(err) {
			t.Errorf("%s while the server is down: %v, want the network's error", what, err)
		}
	}

	server.Restart() // without data
	if err := s.Save(t.Context(), 0, []projections.Write{create(2)}); !errors.Is(err, projections.ErrLost) {
		t.Errorf("save after it came back empty: %v", err)
	}
	fill(t, s)
	if err := s.Save(t.Context(), 0, []projections.Write{create(2)}); err != nil {
		t.Errorf("save after it was filled: %v", err)
	}
}

func TestOldPicturesAreSwept(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	died := open(t, server.UnixURL(), 1)
	fill(t, died)
	empty := server.Do("DBSIZE")
	b, err := died.Build(t.Context(), 0)
	if err == nil {
		err = b.Put(t.Context(), creates(2000))
	}
	if err != nil {
		t.Fatal(err)
	}

	// Its successor ends the build that the dead process left, rebuilds a large
	// picture, and replaces it with an empty one.
	s := open(t, server.UnixURL(), 1)
	b, err = s.Build(t.Context(), 0)
	if err == nil {
		err = b.Put(t.Context(), creates(2000))
	}
	if err == nil {
		err = b.Commit(t.Context(), events.Position{Sequence: 1}, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s)
	awaitAnswer(t, server, empty, "DBSIZE")
	awaitAnswer(t, server, ":2", "HLEN", "gavel:lane:0") // epoch and position
}

// creates are the writes of the first events of n conferences.
func creates(n int) []projections.Write {
	var out []projections.Write
	for i := range n {
		out = append(out, create(i))
	}
	return out
}

// awaitAnswer waits until the server answers a command with want.
func awaitAnswer(t *testing.T, server *redistest.Server, want string, command ...string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(2 * time.Minute)
	for server.Do(command...) != want {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%v: %s, want %s", command, server.Do(command...), want)
		}
	}
}

// One node of a cluster restarts from an old snapshot while no Gavel runs. The
// next Gavel detects it, whichever node it is: the lane's pointer, on another
// node, repeats the position of every shard.
func TestANodeRolledBackWhileNoGavelRunsIsDetected(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	for i := range cluster.Nodes {
		s := open(t, cluster.URL(), 1)
		fill(t, s)
		rollBack := cluster.KeepSnapshotOf(t, i)
		var writes []projections.Write
		for n := range 500 {
			writes = append(writes, create(n))
		}
		applied := events.Position{Sequence: 1000}
		if err := s.Save(t.Context(), 0, writes); err != nil {
			t.Fatal(err)
		}
		if err := s.NoteApplied(t.Context(), 0, applied, nil, ""); err != nil {
			t.Fatal(err)
		}

		rollBack()
		next := open(t, cluster.URL(), 1)
		if err := next.Check(t.Context(), 0, applied.Sequence); !errors.Is(err, projections.ErrLost) {
			t.Errorf("check after node %d was rolled back: %v", i, err)
		}
	}
}

func TestOpenReadsTheServersState(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--maxmemory-policy", "allkeys-lru", "--requirepass", "secret")
	s := open(t, strings.Replace(server.URL(), "://", "://:secret@", 1), 1)
	info := s.Info()
	if info.Version == "" || len(info.Warnings) != 1 || !strings.Contains(info.Warnings[0], "maxmemory-policy") {
		t.Errorf("got %+v, want a version and a warning about the policy", info)
	}
	openWith(t, redisstore.Options{URL: server.URL(), Password: "secret", Lanes: 1})

	for _, url := range []string{server.URL(), strings.Replace(server.URL(), "://", "://:wrong@", 1)} {
		_, err := redisstore.Open(t.Context(), redisstore.Options{URL: url, Lanes: 1})
		if err == nil || strings.Contains(err.Error(), "wrong@") {
			t.Errorf("open without the password: %v", err)
		}
	}
}

func TestAServerMayStartAfterTheStore(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.Kill()
	s := open(t, server.UnixURL(), 1)
	if w := s.Info().Warnings; len(w) != 1 {
		t.Errorf("warnings of an unreachable server: %q", w)
	}
	if err := s.Check(t.Context(), 0, 0); err == nil || sentinel(err) {
		t.Errorf("check while the server is down: %v", err)
	}
	server.Restart()
	fill(t, s)
}

func TestBehindSentinel(t *testing.T) {
	t.Parallel()
	s := open(t, redistest.StartSentinel(t, redistest.Start(t)), 1)
	fill(t, s)
	if err := s.Save(t.Context(), 0, []projections.Write{create(1)}); err != nil {
		t.Error(err)
	}
}

func TestLanesMustFitTheShards(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	for _, lanes := range []int{0, events.Shards + 1} {
		if _, err := redisstore.Open(t.Context(), redisstore.Options{URL: server.UnixURL(), Lanes: lanes}); err == nil {
			t.Errorf("%d lanes are accepted", lanes)
		}
	}
}

// A paused server accepts connections and answers nothing, as one does whose machine hangs. Each of
// a crowd of readers learns that within 5 s, also the later ones, who find all connections in use.
func TestAReadOfAPausedServerEndsWithinSeconds(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, server.URL(), 1)
	fill(t, s)
	w := create(1)
	if err := s.Save(t.Context(), 0, []projections.Write{w}); err != nil {
		t.Fatal(err)
	}
	reads := map[string]func() error{
		"conference": func() error { _, err := s.Conference(t.Context(), key(w)); return err },
		"conferences": func() error {
			_, err := s.Conferences(t.Context(), w.After.AccountSid, projections.Query{Limit: 50})
			return err
		},
		"accounts": func() error { _, err := s.Accounts(t.Context()); return err },
		"armed":    func() error { _, err := s.Armed(t.Context(), "", 50); return err },
	}
	goOn := server.Pause()
	for range 2 {
		var readers sync.WaitGroup
		for range 40 {
			for name, read := range reads {
				readers.Go(func() {
					began := time.Now()
					err := read()
					if took := time.Since(began); took > 5*time.Second || !errors.Is(err, projections.ErrUnreachable) {
						t.Errorf("%s: after %s: %v", name, took, err)
					}
				})
			}
		}
		readers.Wait()
	}
	goOn()
	for name, read := range reads {
		if err := read(); err != nil {
			t.Errorf("%s when the server goes on: %v", name, err)
		}
	}
}
