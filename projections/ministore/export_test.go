package ministore

import (
	"maps"
	"slices"
)

// Snapshot copies the Redis's data; calling the result restores it.
func (r *Redis) Snapshot() (rollBack func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	copied := copySlots(r.slots)
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.slots = copySlots(copied)
	}
}

func copySlots(slots map[string]*slot) map[string]*slot {
	out := map[string]*slot{}
	for name, s := range slots {
		c := &slot{hashes: map[string]fields{}, sets: map[string]*set{}}
		for key, f := range s.hashes {
			c.hashes[key] = slices.Clone(f)
		}
		for key, s := range s.sets {
			c.sets[key] = &set{members: slices.Clone(s.members), scores: maps.Clone(s.scores)}
		}
		out[name] = c
	}
	return out
}
