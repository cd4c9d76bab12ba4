package ministore_test

import (
	"log/slog"
	"testing"

	"gavel/projections"
	"gavel/projections/ministore"
	"gavel/projections/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		redis := ministore.NewRedis()
		return storetest.Harness{
			Open: func(t *testing.T, lanes int) projections.Store {
				s, err := ministore.Open(redis, lanes, slog.New(slog.DiscardHandler))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					if err := s.Close(); err != nil {
						t.Error(err)
					}
				})
				return s
			},
			Empty:    func(*testing.T) { redis.Empty() },
			Snapshot: func(*testing.T) func() { return redis.Snapshot() },
		}
	})
}
