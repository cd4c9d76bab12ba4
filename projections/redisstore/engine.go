package redisstore

import (
	"context"
	_ "embed"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"

	"gavel/projections"
	"gavel/projections/internal/picture"
)

//go:embed change.lua
var changeLua string

var changeScript = redis.NewScript(changeLua)

// engine executes the picture's commands on Redis.
type engine struct {
	client redis.UniversalClient
	// cluster: a script may hold only one change, because each has its own slot.
	cluster bool
}

var _ picture.Engine = engine{}

func newEngine(client redis.UniversalClient) engine {
	_, cluster := client.(*redis.ClusterClient)
	return engine{client, cluster}
}

// maxConditions bounds the conditions of one script, and so its time on the server to about 1 ms.
// Calling a script costs as much as two records, so small changes share one.
const maxConditions = 128

// call is one call of the script with its changes.
type call struct {
	keys    []string
	args    []any
	changes []int // indexes
	cmd     *redis.Cmd
}

// Apply sends the changes in as few scripts as possible, all in one pipeline. A server without the
// script, after a restart or a failover, gets its text; nothing was executed until then.
func (e engine) Apply(ctx context.Context, changes []picture.Change) ([]picture.SaveResult, error) {
	if len(changes) == 0 {
		return nil, nil
	}
	calls := e.calls(changes)
	err := e.run(ctx, calls, changeScript.EvalSha)
	known := func(c *call) bool { return !redis.HasErrorPrefix(c.cmd.Err(), "NOSCRIPT") }
	if unknown := slices.DeleteFunc(slices.Clone(calls), known); len(unknown) > 0 {
		err = e.run(ctx, unknown, changeScript.Eval)
	}
	if err != nil {
		return nil, err
	}
	outcomes := make([]picture.SaveResult, len(changes))
	for i := range outcomes {
		outcomes[i].Failed = picture.Done
	}
	for _, c := range calls {
		if err := c.outcomes(outcomes); err != nil {
			return nil, err
		}
	}
	return outcomes, nil
}

// calls groups changes into script calls.
func (e engine) calls(changes []picture.Change) []*call {
	var out []*call
	conditions := 0
	for i, c := range changes {
		conditions += len(c.If) + len(c.Records)
		if i == 0 || e.cluster || conditions > maxConditions {
			out, conditions = append(out, new(call)), len(c.If)+len(c.Records)
		}
		out[len(out)-1].add(i, c)
	}
	return out
}

// add adds a change in the form that change.lua reads.
func (c *call) add(index int, change picture.Change) {
	c.changes = append(c.changes, index)
	c.args = slices.Grow(c.args, change.Size())
	c.args = append(c.args, len(change.If), len(change.Records), len(change.Do))
	for _, cond := range change.If {
		c.keys = append(c.keys, cond.Key)
		c.args = append(c.args, cond.Field, cond.Want)
	}
	for _, r := range change.Records {
		c.keys = append(c.keys, r.Key)
		c.args = append(c.args, r.Expect, len(r.Fields))
		c.addTexts(r.Fields)
	}
	for _, d := range change.Do {
		c.keys = append(c.keys, d.Key)
		c.args = append(c.args, string(d.Op), len(d.Args))
		c.addTexts(d.Args)
	}
}

func (c *call) addTexts(texts []string) {
	for i := range texts {
		c.args = append(c.args, &texts[i]) // a pointer fits into any without an allocation
	}
}

// eval is a way to call a script: by its hash or by its text.
type eval func(ctx context.Context, c redis.Scripter, keys []string, args ...any) *redis.Cmd

func (e engine) run(ctx context.Context, calls []*call, eval eval) error {
	_, err := pipeline(ctx, e, calls, func(pipe redis.Pipeliner, c *call) *redis.Cmd {
		c.cmd = eval(ctx, pipe, c.keys, c.args...)
		return c.cmd
	})
	return err
}

// outcomes stores what change.lua returned.
func (c *call) outcomes(into []picture.SaveResult) error {
	refused, err := c.cmd.Slice()
	if err != nil {
		return err
	}
	for r := range slices.Chunk(refused, 3) {
		if len(r) < 3 {
			return fmt.Errorf("script returned %d values", len(refused))
		}
		change, _ := r[0].(int64)
		condition, _ := r[1].(int64)
		got, _ := r[2].(string)
		if change < 1 || int(change) > len(c.changes) {
			return fmt.Errorf("script refused change %d of %d", change, len(c.changes))
		}
		into[c.changes[change-1]] = picture.SaveResult{Failed: int(condition) - 1, Got: got}
	}
	return nil
}

// read is pipeline for reads, whose errors readers match.
func read[T any, C redis.Cmder](ctx context.Context, e engine, items []T, send func(redis.Pipeliner, T) C) ([]C, error) {
	cmds, err := pipeline(ctx, e, items, send)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", projections.ErrUnreachable, err)
	}
	return cmds, nil
}

// pipeline sends one command for each item and waits for all answers.
func pipeline[T any, C redis.Cmder](ctx context.Context, e engine, items []T, send func(redis.Pipeliner, T) C) ([]C, error) {
	if len(items) == 0 {
		return nil, nil
	}
	pipe := e.client.Pipeline()
	cmds := make([]C, len(items))
	for i, item := range items {
		cmds[i] = send(pipe, item)
	}
	_, err := pipe.Exec(ctx)
	return cmds, err
}

func (e engine) Hashes(ctx context.Context, keys []string) ([]map[string]string, error) {
	cmds, err := read(ctx, e, keys, func(pipe redis.Pipeliner, key string) *redis.MapStringStringCmd { return pipe.HGetAll(ctx, key) })
	if err != nil {
		return nil, err
	}
	hashes := make([]map[string]string, len(keys))
	for i, cmd := range cmds {
		hashes[i] = cmd.Val()
	}
	return hashes, nil
}

func (e engine) Ranges(ctx context.Context, ranges []picture.Range) ([][]picture.Ref, error) {
	cmds, err := read(ctx, e, ranges, func(pipe redis.Pipeliner, r picture.Range) *redis.ZSliceCmd {
		return pipe.ZRangeArgsWithScores(ctx, rangeArgs(r))
	})
	if err != nil {
		return nil, err
	}
	refs := make([][]picture.Ref, len(ranges))
	for i, cmd := range cmds {
		for _, z := range cmd.Val() {
			member, _ := z.Member.(string)
			refs[i] = append(refs[i], picture.Ref{Score: int64(z.Score), Member: member})
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

// score formats a bound of a range.
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
	cmds, err := read(ctx, e, ranges, func(pipe redis.Pipeliner, r picture.Range) *redis.IntCmd {
		return pipe.ZCount(ctx, r.Key, score(r.Min), score(r.Max))
	})
	if err != nil {
		return nil, err
	}
	counts := make([]int, len(ranges))
	for i, cmd := range cmds {
		counts[i] = int(min(cmd.Val(), math.MaxInt32))
	}
	return counts, nil
}

// sweepAtOnce is how many keys one SCAN examines: less than a millisecond of the server's time.
const sweepAtOnce = 1000

// Sweep scans every master, because an epoch has keys on all of them.
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

// unlink removes keys one by one, because they may be in many slots.
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
