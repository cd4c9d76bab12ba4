package redisstore

import (
	"context"
	_ "embed"
	"fmt"
	"math"
	"strconv"

	"github.com/redis/go-redis/v9"

	"gavel/projections/internal/picture"
)

//go:embed change.lua
var changeLua string

var changeScript = redis.NewScript(changeLua)

// engine is Redis as the picture uses it.
type engine struct{ client redis.UniversalClient }

var _ picture.Engine = engine{}

func newEngine(client redis.UniversalClient) engine { return engine{client} }

// Apply sends one script for each change, all in one pipeline. A server that
// does not know the script, because it was restarted or took over, gets its
// text; nothing was done until then.
func (e engine) Apply(ctx context.Context, changes []picture.Change) ([]picture.Outcome, error) {
	if len(changes) == 0 {
		return nil, nil
	}
	cmds, err := e.run(ctx, changes, changeScript.EvalSha)
	if unknown := unknownScript(cmds); len(unknown) > 0 {
		err = e.runAgain(ctx, changes, cmds, unknown)
	}
	if err != nil {
		return nil, err
	}
	outcomes := make([]picture.Outcome, len(cmds))
	for i, cmd := range cmds {
		if outcomes[i], err = outcome(cmd); err != nil {
			return nil, err
		}
	}
	return outcomes, nil
}

// eval is one of the ways to call a script.
type eval func(ctx context.Context, c redis.Scripter, keys []string, args ...any) *redis.Cmd

func (e engine) run(ctx context.Context, changes []picture.Change, call eval) ([]*redis.Cmd, error) {
	pipe := e.client.Pipeline()
	cmds := make([]*redis.Cmd, len(changes))
	for i, c := range changes {
		keys, args := arguments(c)
		cmds[i] = call(ctx, pipe, keys, args...)
	}
	_, err := pipe.Exec(ctx)
	return cmds, err
}

// unknownScript returns the indexes of the calls that the server refused for
// not knowing the script.
func unknownScript(cmds []*redis.Cmd) []int {
	var out []int
	for i, cmd := range cmds {
		if redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
			out = append(out, i)
		}
	}
	return out
}

// runAgain sends the script's text with the calls that were refused, and puts
// their results in place.
func (e engine) runAgain(ctx context.Context, changes []picture.Change, cmds []*redis.Cmd, refused []int) error {
	some := make([]picture.Change, len(refused))
	for i, at := range refused {
		some[i] = changes[at]
	}
	again, err := e.run(ctx, some, changeScript.Eval)
	for i, at := range refused {
		cmds[at] = again[i]
	}
	return err
}

// arguments are a change as change.lua wants it.
func arguments(c picture.Change) (keys []string, args []any) {
	keys = make([]string, 0, len(c.If)+len(c.Do))
	size := 1 + 2*len(c.If)
	for _, d := range c.Do {
		size += 2 + len(d.Args)
	}
	args = make([]any, 0, size)
	args = append(args, len(c.If))
	for _, cond := range c.If {
		keys, args = append(keys, cond.Key), append(args, cond.Field, cond.Want)
	}
	for _, d := range c.Do {
		keys, args = append(keys, d.Key), append(args, string(d.Op), len(d.Args))
		for _, a := range d.Args {
			args = append(args, a)
		}
	}
	return keys, args
}

// outcome reads what change.lua returned.
func outcome(cmd *redis.Cmd) (picture.Outcome, error) {
	switch v, err := cmd.Result(); v := v.(type) {
	case int64:
		return picture.Outcome{Failed: picture.Done}, nil
	case []any:
		if len(v) == 2 {
			n, _ := v[0].(int64)
			got, _ := v[1].(string)
			return picture.Outcome{Failed: int(n) - 1, Got: got}, nil
		}
		return picture.Outcome{}, fmt.Errorf("script returned %d values", len(v))
	default:
		return picture.Outcome{}, fmt.Errorf("script returned %T: %w", v, err)
	}
}

func (e engine) Hashes(ctx context.Context, keys []string) ([]map[string]string, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	pipe := e.client.Pipeline()
	cmds := make([]*redis.MapStringStringCmd, len(keys))
	for i, key := range keys {
		cmds[i] = pipe.HGetAll(ctx, key)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	hashes := make([]map[string]string, len(keys))
	for i, cmd := range cmds {
		hashes[i] = cmd.Val()
	}
	return hashes, nil
}

func (e engine) Ranges(ctx context.Context, ranges []picture.Range) ([][]picture.Ref, error) {
	if len(ranges) == 0 {
		return nil, nil
	}
	pipe := e.client.Pipeline()
	cmds := make([]*redis.ZSliceCmd, len(ranges))
	for i, r := range ranges {
		cmds[i] = pipe.ZRangeArgsWithScores(ctx, rangeArgs(r))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	refs := make([][]picture.Ref, len(ranges))
	for i, cmd := range cmds {
		for _, z := range cmd.Val() {
			member, _ := z.Member.(string)
			refs[i] = append(refs[i], picture.Ref{Created: int64(z.Score), Member: member})
		}
	}
	return refs, nil
}

func rangeArgs(r picture.Range) redis.ZRangeArgs {
	args := redis.ZRangeArgs{
		Key: r.Key, Start: score(r.Min), Stop: score(r.Max), ByScore: true,
		Rev: r.Newest, Count: int64(r.Limit),
	}
	if r.Newest {
		args.Start, args.Stop = args.Stop, args.Start
	}
	return args
}

// score writes an end of a range.
func score(n int64) string {
	switch n {
	case picture.Lowest:
		return "-inf"
	case picture.Highest:
		return "+inf"
	}
	return strconv.FormatInt(n, 10)
}

func (e engine) Counts(ctx context.Context, ranges []picture.Range) ([]int, error) {
	if len(ranges) == 0 {
		return nil, nil
	}
	pipe := e.client.Pipeline()
	cmds := make([]*redis.IntCmd, len(ranges))
	for i, r := range ranges {
		cmds[i] = pipe.ZCount(ctx, r.Key, score(r.Min), score(r.Max))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	counts := make([]int, len(ranges))
	for i, cmd := range cmds {
		counts[i] = int(min(cmd.Val(), math.MaxInt32))
	}
	return counts, nil
}

// sweepAtOnce is how many keys one SCAN looks at: below a millisecond of the
// server's time.
const sweepAtOnce = 1000

// Sweep looks through every master, because the keys of an epoch lie on all.
func (e engine) Sweep(ctx context.Context, prefix string) error {
	return masters(ctx, e.client, func(ctx context.Context, c redis.Cmdable) error {
		for cursor := uint64(0); ; {
			keys, next, err := c.Scan(ctx, cursor, prefix+"*", sweepAtOnce).Result()
			if err != nil {
				return fmt.Errorf("scan for old keys: %w", err)
			}
			if err := unlink(ctx, c, keys); err != nil {
				return err
			}
			if cursor = next; cursor == 0 {
				return nil
			}
		}
	})
}

// unlink removes keys one by one, for they may lie in many slots.
func unlink(ctx context.Context, c redis.Cmdable, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	_, err := c.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for _, key := range keys {
			pipe.Unlink(ctx, key)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("remove old keys: %w", err)
	}
	return nil
}

func (e engine) Close() error { return e.client.Close() }
