package redisstore

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

// ServerState is the state of one server that holds keys, read without changing the server.
type ServerState struct {
	// Version is the server's version. TooOld reports whether it is older than
	// Oldest, the version this package needs.
	Version string
	TooOld  bool
	Oldest  string
	// Policy is the server's maxmemory-policy.
	Policy string
	// Used and Max are bytes of memory; Max is 0 without a limit.
	Used, Max int64
	// AppendOnly reports whether the server keeps a log of writes on disk.
	AppendOnly bool
	// SaveFailed reports whether the last write to disk failed, after which the
	// server may refuse writes (stop-writes-on-bgsave-error).
	SaveFailed bool
	// Ahead is how far the server's clock is ahead of ours, plus or minus
	// Within; Within is 0 if the user may not call TIME.
	Ahead, Within time.Duration
}

// examineWithin bounds an examination, because an operator waits for it.
const examineWithin = 10 * time.Second

// Examine reads the state of the servers of o. It returns an error if a server
// cannot be read; the error holds no credentials.
func Examine(ctx context.Context, o Options) ([]ServerState, error) {
	a, err := parseAddress(o.URL)
	if err != nil {
		return nil, fmt.Errorf("examine redis: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, examineWithin)
	defer cancel()
	logging.Disable()
	client := redis.NewUniversalClient(a.options(o))
	defer func() { _ = client.Close() }() // nothing was written
	found, err := readStates(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("examine redis: %w", err)
	}
	return found, nil
}

// readStates returns what it could read before the error, if any.
func readStates(ctx context.Context, client redis.UniversalClient) (found []ServerState, err error) {
	var mu sync.Mutex
	err = masters(ctx, client, func(ctx context.Context, c redis.Cmdable) error {
		s, err := readState(ctx, c)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		found = append(found, s)
		return nil
	})
	return found, err
}

func readState(ctx context.Context, c redis.Cmdable) (ServerState, error) {
	text, err := c.Info(ctx).Result()
	if err != nil {
		return ServerState{}, err
	}
	s := parseState(text)
	s.compareClocks(ctx, c)
	return s, nil
}

// parseState parses the text of INFO, whose lines are "name:value".
func parseState(text string) ServerState {
	v := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			v[name] = value
		}
	}
	s := ServerState{
		Version:    v["redis_version"],
		TooOld:     older(v["redis_version"], oldest),
		Oldest:     oldest,
		Policy:     v["maxmemory_policy"],
		AppendOnly: v["aof_enabled"] == "1",
		SaveFailed: v["rdb_last_bgsave_status"] == "err" || v["aof_last_write_status"] == "err",
	}
	// A value that is not a number counts as unknown.
	s.Used, _ = strconv.ParseInt(v["used_memory"], 10, 64)
	s.Max, _ = strconv.ParseInt(v["maxmemory"], 10, 64)
	return s
}

// compareClocks assumes that the server answered in the middle of the exchange.
// A user without TIME is allowed: the store does not need the command.
func (s *ServerState) compareClocks(ctx context.Context, c redis.Cmdable) {
	asked := time.Now()
	theirs, err := c.Time(ctx).Result()
	if err != nil {
		return
	}
	trip := time.Since(asked)
	s.Ahead, s.Within = theirs.Sub(asked.Add(trip/2)), max(trip/2, 1)
}
