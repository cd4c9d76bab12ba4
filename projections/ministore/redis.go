package ministore

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"gavel/projections/internal/picture"
)

// Redis is the part of a Redis that the picture needs, inside the process: hashes, sorted sets and
// changes that are executed completely or not at all. It has no expiry and no listener. A library
// with all of Redis needs 2 KB for a conference of two legs, this one half of that.
type Redis struct {
	mu    sync.Mutex
	slots map[string]*slot
	// changes counts the changes, so that a snapshot is written only if there is one.
	changes uint64
}

// slot holds the keys with one hash tag. As in a Redis Cluster, a change touches one slot only, so
// a copy of a slot is consistent in itself.
type slot struct {
	hashes map[string]fields
	sets   map[string]*set
}

// fields are the alternating names and values of a hash. A record has few, and a map of its own
// would be larger than the record.
type fields []string

// NewRedis returns an empty Redis.
func NewRedis() *Redis { return &Redis{slots: map[string]*slot{}} }

// Empty removes all data, as FLUSHALL does.
func (r *Redis) Empty() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes++
	clear(r.slots)
}

// slotOf returns the slot of a key: its hash tag, or the whole key if it has none.
func slotOf(key string) string {
	if _, rest, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(rest, "}"); ok {
			return tag
		}
	}
	return key
}

// slot returns the slot of a key, and makes it if it does not exist.
func (r *Redis) slot(key string) *slot {
	name := slotOf(key)
	s := r.slots[name]
	if s == nil {
		s = &slot{hashes: map[string]fields{}, sets: map[string]*set{}}
		r.slots[strings.Clone(name)] = s
	}
	return s
}

// get returns the value of a field, "" if it does not exist.
func (f fields) get(name string) string {
	if at := f.index(name); at >= 0 {
		return f[at+1]
	}
	return ""
}

func (f fields) index(name string) int {
	for i := 0; i < len(f); i += 2 {
		if f[i] == name {
			return i
		}
	}
	return -1
}

// with returns f with fields set, which are alternating names and values.
func (f fields) with(set []string) fields {
	if f == nil {
		return slices.Clone(fields(set))
	}
	for i := 0; i < len(set); i += 2 {
		if at := f.index(set[i]); at >= 0 {
			f[at+1] = set[i+1]
		} else {
			f = append(f, set[i], set[i+1])
		}
	}
	return f
}

func (f fields) without(names []string) fields {
	for _, name := range names {
		if at := f.index(name); at >= 0 {
			f = slices.Delete(f, at, at+2)
		}
	}
	return f
}

// engine executes the picture's commands on the embedded Redis.
type engine struct{ r *Redis }

// each calls do for every item, as one pipeline of a real Redis does.
func each[T, R any](ctx context.Context, e engine, items []T, do func(*Redis, T) R) ([]R, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e.r.mu.Lock()
	defer e.r.mu.Unlock()
	results := make([]R, len(items))
	for i, item := range items {
		results[i] = do(e.r, item)
	}
	return results, nil
}

func (e engine) Apply(ctx context.Context, changes []picture.Change) ([]picture.SaveResult, error) {
	return each(ctx, e, changes, func(r *Redis, c picture.Change) picture.SaveResult {
		out := r.check(c)
		if out.Failed == picture.Done {
			r.make(c)
		}
		return out
	})
}

func (r *Redis) check(c picture.Change) picture.SaveResult {
	for i, cond := range c.If {
		if got := r.slot(cond.Key).hashes[cond.Key].get(cond.Field); got != cond.Want {
			return picture.SaveResult{Failed: i, Got: got}
		}
	}
	for i, record := range c.Records {
		got := r.slot(record.Key).hashes[record.Key].get(picture.CoreField)
		if !strings.HasPrefix(got, record.Expect) || record.Expect == "" && got != "" {
			return picture.SaveResult{Failed: len(c.If) + i, Got: got}
		}
	}
	return picture.SaveResult{Failed: picture.Done}
}

func (r *Redis) make(c picture.Change) {
	r.changes++
	for _, record := range c.Records {
		if len(record.Fields) > 0 {
			r.do(picture.SetFields, record.Key, record.Fields)
		}
	}
	for _, d := range c.Do {
		r.do(d.Op, d.Key, d.Args)
	}
}

func (r *Redis) do(op picture.Op, key string, args []string) {
	s := r.slot(key)
	switch op {
	case picture.SetFields:
		s.hashes[key] = s.hashes[key].with(args)
	case picture.RemoveFields:
		if left := s.hashes[key].without(args); len(left) > 0 {
			s.hashes[key] = left
		} else {
			delete(s.hashes, key)
		}
	case picture.AddMember:
		score, _ := strconv.ParseInt(args[0], 10, 64)
		if s.sets[key] == nil {
			s.sets[key] = new(set)
		}
		s.sets[key].add(picture.Ref{Score: score, Member: args[1]})
	case picture.RemoveMember:
		if s.sets[key].remove(args[0]); len(s.sets[key].refs()) == 0 {
			delete(s.sets, key)
		}
	case picture.RemoveKey:
		delete(s.hashes, key)
		delete(s.sets, key)
	}
}

func (e engine) Hashes(ctx context.Context, keys []string) ([]map[string]string, error) {
	return each(ctx, e, keys, func(r *Redis, key string) map[string]string {
		f := r.slot(key).hashes[key]
		hash := make(map[string]string, len(f)/2)
		for i := 0; i < len(f); i += 2 {
			hash[f[i]] = f[i+1]
		}
		return hash
	})
}

func (e engine) Ranges(ctx context.Context, ranges []picture.Range) ([][]picture.Ref, error) {
	return each(ctx, e, ranges, func(r *Redis, rng picture.Range) []picture.Ref {
		return r.slot(rng.Key).sets[rng.Key].refs().read(rng)
	})
}

func (e engine) Counts(ctx context.Context, ranges []picture.Range) ([]int, error) {
	return each(ctx, e, ranges, func(r *Redis, rng picture.Range) int {
		from, to := r.slot(rng.Key).sets[rng.Key].refs().bounds(rng)
		return to - from
	})
}

// sweepAtOnce bounds the keys removed while other calls wait.
const sweepAtOnce = 1000

func (e engine) Sweep(ctx context.Context, prefix string) error {
	for some := range slices.Chunk(e.r.keys(prefix), sweepAtOnce) {
		_, err := each(ctx, e, some, func(r *Redis, key string) struct{} {
			r.do(picture.RemoveKey, key, nil)
			return struct{}{}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// keys returns the keys that begin with a prefix.
func (r *Redis) keys(prefix string) (found []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.slots {
		found = slices.AppendSeq(found, maps.Keys(s.hashes))
		found = slices.AppendSeq(found, maps.Keys(s.sets))
	}
	return slices.DeleteFunc(found, func(key string) bool { return !strings.HasPrefix(key, prefix) })
}

// Close does not close the Redis: its creator owns it.
func (e engine) Close() error { return nil }
