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
	s, err := redisstore.Open(tb.Context(), redisstore.Options{
		URL: url, Lanes: lanes, Log: slog.New(slog.DiscardHandler),
	})
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
