// Package ministore keeps the picture inside the process, for --redis embedded.
//
// Records have the same keys and fields as in a real Redis and are accessed by direct Go calls: no
// listener, no Lua, no expiry. Where Redis runs a script, this package holds one mutex. A snapshot
// file outlives the process, so that a start reads only what the journal has beyond it.
//
// Reading order: redis.go, order.go (sorted sets), snapshot.go.
package ministore

import (
	"log/slog"
	"sync"

	"gavel/projections"
	"gavel/projections/internal/picture"
)

// Store is a [projections.Store] on an embedded Redis.
type Store struct {
	*picture.Store
	redis *Redis

	saving sync.Mutex
	saved  uint64 // Redis.changes at the last WriteSnapshot; saving guards it

	mu      sync.Mutex
	resumed map[int]projections.Resumed // by lane, until a fill claims it
}

var _ projections.Store = (*Store)(nil)

// Open returns a store of that many lanes, which must equal the journal's
// number. Stores opened on one Redis share one picture.
func Open(r *Redis, lanes int, log *slog.Logger) (*Store, error) {
	s, err := picture.New(engine{r}, lanes, log)
	if err != nil {
		return nil, err
	}
	return &Store{Store: s, redis: r}, nil
}
