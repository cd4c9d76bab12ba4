package ministore

import (
	"context"
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
	orders map[string]*order
}

// NewRedis returns an empty Redis.
func NewRedis() *Redis {
	mini := miniredis.NewMiniRedis()
	return &Redis{mini: mini, db: mini.DB(0), orders: map[string]*order{}}
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

func (e engine) Apply(ctx context.Context, changes []picture.Change) ([]picture.SaveResult, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e.r.mu.Lock()
	defer e.r.mu.Unlock()
	outcomes := make([]picture.SaveResult, len(changes))
	for i, c := range changes {
		if outcomes[i] = e.r.check(c); outcomes[i].Failed == picture.Done {
			e.r.make(c)
		}
	}
	return outcomes, nil
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
	if o == nil {
		o = new(order)
		r.orders[key] = o
	}
	o.add(ref)
}

func (r *Redis) remove(key, member string) {
	o := r.orders[key]
	if o == nil {
		return
	}
	score, err := r.db.ZScore(key, member)
	if err != nil {
		return
	}
	r.db.ZRem(key, member)
	o.remove(picture.Ref{Score: int64(score), Member: member})
	if len(*o) == 0 {
		delete(r.orders, key)
	}
}

func (e engine) Hashes(ctx context.Context, keys []string) ([]map[string]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e.r.mu.Lock()
	defer e.r.mu.Unlock()
	hashes := make([]map[string]string, len(keys))
	for i, key := range keys {
		fields, _ := e.r.db.HKeys(key) // an error means that the hash does not exist
		hashes[i] = make(map[string]string, len(fields))
		for _, field := range fields {
			hashes[i][field] = e.r.db.HGet(key, field)
		}
	}
	return hashes, nil
}

func (e engine) Ranges(ctx context.Context, ranges []picture.Range) ([][]picture.Ref, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e.r.mu.Lock()
	defer e.r.mu.Unlock()
	refs := make([][]picture.Ref, len(ranges))
	for i, rng := range ranges {
		if o := e.r.orders[rng.Key]; o != nil {
			refs[i] = o.read(rng)
		}
	}
	return refs, nil
}

func (e engine) Counts(ctx context.Context, ranges []picture.Range) ([]int, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e.r.mu.Lock()
	defer e.r.mu.Unlock()
	counts := make([]int, len(ranges))
	for i, rng := range ranges {
		if o := e.r.orders[rng.Key]; o != nil {
			from, to := o.bounds(rng)
			counts[i] = to - from
		}
	}
	return counts, nil
}

// sweepAtOnce bounds the keys removed while other calls wait.
const sweepAtOnce = 1000

func (e engine) Sweep(ctx context.Context, prefix string) error {
	e.r.mu.Lock()
	keys := e.r.db.Keys()
	e.r.mu.Unlock()
	var due int
	for _, key := range keys {
		if strings.HasPrefix(key, prefix) {
			keys[due] = key
			due++
		}
	}
	for keys = keys[:due]; len(keys) > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		some := keys[:min(len(keys), sweepAtOnce)]
		e.r.sweep(some)
		keys = keys[len(some):]
	}
	return nil
}

func (r *Redis) sweep(keys []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range keys {
		r.do(picture.RemoveKey, key, nil)
	}
}

// Close does not close the Redis: its creator owns it.
func (e engine) Close() error { return nil }
