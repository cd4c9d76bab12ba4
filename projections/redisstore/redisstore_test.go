// These tests use real redis-server processes, one for each test, and the real
// network between. They use no doubles.
package redisstore_test

import (
	"log/slog"
	"testing"

	"gavel/internal/redistest"
	"gavel/projections"
	"gavel/projections/redisstore"
	"gavel/projections/storetest"
)

// open opens a store on a URL, as another process would.
func open(tb testing.TB, url string, lanes int) *redisstore.Store {
	tb.Helper()
	return openWith(tb, redisstore.Options{URL: url, Lanes: lanes})
}

func openWith(tb testing.TB, o redisstore.Options) *redisstore.Store {
	tb.Helper()
	o.Log = slog.New(slog.DiscardHandler)
	s, err := redisstore.Open(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		server := redistest.Start(t)
		return storetest.Harness{
			Open: func(t *testing.T, lanes int) projections.Store {
				return open(t, server.UnixURL(), lanes)
			},
			Empty:    func(*testing.T) { server.FlushAll() },
			Snapshot: func(*testing.T) func() { return server.KeepSnapshot() },
		}
	})
}

// A cluster refuses a script whose keys are not all in one slot, so passing here proves that they
// are. Starting a cluster takes seconds, so the tests share two of them.
func TestStoreOnACluster(t *testing.T) {
	t.Parallel()
	free := make(chan *redistest.Cluster, 2)
	for range cap(free) {
		free <- redistest.StartCluster(t)
	}
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		cluster := <-free
		t.Cleanup(func() { free <- cluster })
		cluster.FlushAll()
		return storetest.Harness{
			Open: func(t *testing.T, lanes int) projections.Store {
				return open(t, cluster.URL(), lanes)
			},
			Empty:    func(*testing.T) { cluster.FlushAll() },
			Snapshot: func(t *testing.T) func() { return cluster.KeepSnapshot(t) },
		}
	})
}
