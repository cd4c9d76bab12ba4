package ministore

import "gavel/projections/internal/picture"

// Snapshot copies the Redis's data; calling the result restores it.
func (r *Redis) Snapshot() (rollBack func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	hashes := map[string][]string{}
	sets := map[string][]picture.Ref{}
	for _, key := range r.db.Keys() {
		if o := r.orders[key]; o != nil {
			sets[key] = o.read(picture.Range{Min: picture.Lowest, Max: picture.Highest})
			continue
		}
		fields, _ := r.db.HKeys(key)
		for _, field := range fields {
			hashes[key] = append(hashes[key], field, r.db.HGet(key, field))
		}
	}
	return func() {
		r.Empty()
		r.mu.Lock()
		defer r.mu.Unlock()
		for key, fields := range hashes {
			r.db.HSet(key, fields...)
		}
		for key, refs := range sets {
			for _, ref := range refs {
				r.add(key, ref)
			}
		}
	}
}
