package ministore

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/alicebob/miniredis/v2"

	"gavel/projections/internal/picture"
)

// Redis is a Redis inside the process.
type Redis struct {
	mu   sync.Mutex
	mini *miniredis.Miniredis
	db   *miniredis.RedisDB
	// orders are the members of each sorted set in order, because miniredis
	// sorts them at every read.
	orders map[string]order
}

// NewRedis returns an empty Redis.
func NewRedis() *Redis {
	mini := miniredis.NewMiniRedis()
	return &Redis{mini: mini, db: mini.DB(0), orders: map[string]order{}}
}

// Empty removes all data, as FLUSHALL does.
func (r *Redis) Empty() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mini.FlushAll()
	clear(r.orders)
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
		if got := r.db.HGet(cond.Key, cond.Field); got != cond.Want {
			return picture.SaveResult{Failed: i, Got: got}
		}
	}
	for i, record := range c.Records {
		got := r.db.HGet(record.Key, picture.CoreField)
		if !strings.HasPrefix(got, record.Expect) || record.Expect == "" && got != "" {
			return picture.SaveResult{Failed: len(c.If) + i, Got: got}
		}
	}
	return picture.SaveResult{Failed: picture.Done}
}

func (r *Redis) make(c picture.Change) {
	for _, record := range c.Records {
		if len(record.Fields) > 0 {
			r.db.HSet(record.Key, record.Fields...)
		}
	}
	for _, d := range c.Do {
		r.do(d.Op, d.Key, d.Args)
	}
}

func (r *Redis) do(op picture.Op, key string, args []string) {
	switch op {
	case picture.SetFields:
		r.db.HSet(key, args...)
	case picture.RemoveFields:
		for _, field := range args {
			r.db.HDel(key, field)
		}
	case picture.AddMember:
		score, _ := strconv.ParseInt(args[0], 10, 64)
		r.add(key, picture.Ref{Score: score, Member: args[1]})
	case picture.RemoveMember:
		r.remove(key, args[0])
	case picture.RemoveKey:
		r.db.Del(key)
		delete(r.orders, key)
	}
}

// add adds a member to a sorted set, or changes its score.
func (r *Redis) add(key string, ref picture.Ref) {
	r.remove(key, ref.Member)
	r.db.ZAdd(key, float64(ref.Score), ref.Member)
	o := r.orders[key]
	at, _ := slices.BinarySearchFunc(o, ref, picture.Ref.Compare)
	r.orders[key] = slices.Insert(o, at, ref)
}

func (r *Redis) remove(key, member string) {
	score, err := r.db.ZScore(key, member)
	if err != nil {
		return // it is not in the set
	}
	r.db.ZRem(key, member)
	o := r.orders[key]
	if at, ok := slices.BinarySearchFunc(o, picture.Ref{Score: int64(score), Member: member}, picture.Ref.Compare); ok {
		r.orders[key] = slices.Delete(o, at, at+1)
	}
	if len(r.orders[key]) == 0 {
		delete(r.orders, key)
	}
}

func (e engine) Hashes(ctx context.Context, keys []string) ([]map[string]string, error) {
	return each(ctx, e, keys, func(r *Redis, key string) map[string]string {
		fields, _ := r.db.HKeys(key) // an error means that the hash does not exist
		hash := make(map[string]string, len(fields))
		for _, field := range fields {
			hash[field] = r.db.HGet(key, field)
		}
		return hash
	})
}

func (e engine) Ranges(ctx context.Context, ranges []picture.Range) ([][]picture.Ref, error) {
	return each(ctx, e, ranges, func(r *Redis, rng picture.Range) []picture.Ref { return r.orders[rng.Key].read(rng) })
}

func (e engine) Counts(ctx context.Context, ranges []picture.Range) ([]int, error) {
	return each(ctx, e, ranges, func(r *Redis, rng picture.Range) int {
		from, to := r.orders[rng.Key].bounds(rng)
		return to - from
	})
}

// sweepAtOnce bounds the keys removed while other calls wait.
const sweepAtOnce = 1000

func (e engine) Sweep(ctx context.Context, prefix string) error {
	e.r.mu.Lock()
	keys := e.r.db.Keys()
	e.r.mu.Unlock()
	keys = slices.DeleteFunc(keys, func(key string) bool { return !strings.HasPrefix(key, prefix) })
	for some := range slices.Chunk(keys, sweepAtOnce) {
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

// Close does not close the Redis: its creator owns it.
func (e engine) Close() error { return nil }
