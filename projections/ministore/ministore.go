// Package ministore keeps the picture inside the process, for --redis embedded.
//
// Records lie in a miniredis, in the same keys and fields as in a real Redis,
// and are reached by direct Go calls: no listener, no Lua, no expiry. What a
// script does in Redis happens here under one mutex. Nothing of it survives
// the process, so the picture is filled from the journal at every start.
package ministore

import (
	"log/slog"

	"gavel/projections"
	"gavel/projections/internal/picture"
)

// Store is a [projections.Store] on an embedded Redis.
type Store struct{ *picture.Store }

var _ projections.Store = (*Store)(nil)

// Open returns a store of that many lanes, which must be the journal's number.
// Stores opened on one Redis see the same picture.
func Open(r *Redis, lanes int, log *slog.Logger) (*Store, error) {
	s, err := picture.New(engine{r}, lanes, log)
	if err != nil {
		return nil, err
	}
	return &Store{s}, nil
}
