package redistest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	// downAfter and failoverWithin, in milliseconds, are short: a killed master
	// must be replaced while a test waits.
	downAfter      = 2000
	failoverWithin = 10000
)

// StartSentinel starts a Sentinel that watches master under the name "mymaster"
// and returns its address as a setting.
func StartSentinel(tb testing.TB, master *Server) (url string) {
	tb.Helper()
	return "redis+sentinel://" + startSentinel(tb, master, 1).Addr() + "/mymaster"
}

// StartReplica starts a server that replicates master.
func StartReplica(tb testing.TB, master *Server) *Server {
	tb.Helper()
	return Start(tb, "--replicaof", "127.0.0.1 "+strconv.Itoa(master.port))
}

// StartSentinels starts that many Sentinels, with a quorum of more than half, and waits until they
// have discovered each other and one replica of master.
func StartSentinels(tb testing.TB, master *Server, count int) (url string) {
	tb.Helper()
	var all []*Server
	var addresses []string
	for range count {
		s := startSentinel(tb, master, count/2+1)
		all, addresses = append(all, s), append(addresses, s.Addr())
	}
	want := fmt.Sprintf("slaves=1,sentinels=%d", count)
	for _, s := range all {
		await(tb, "the Sentinels to discover each other", func() bool {
			info, err := s.bulk("INFO", "sentinel")
			return err == nil && strings.Contains(info, want)
		})
	}
	return "redis+sentinel://" + strings.Join(addresses, ",") + "/mymaster"
}

func startSentinel(tb testing.TB, master *Server, quorum int) *Server {
	tb.Helper()
	conf := filepath.Join(shortTempDir(tb), "sentinel.conf")
	text := fmt.Sprintf("sentinel monitor mymaster 127.0.0.1 %d %d\n"+
		"sentinel down-after-milliseconds mymaster %d\nsentinel failover-timeout mymaster %d\n",
		master.port, quorum, downAfter, failoverWithin)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return start(tb, []string{conf, "--sentinel"}, nil)
}

// await polls until done returns true.
func await(tb testing.TB, what string, done func() bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			tb.Fatalf("timed out waiting for %s", what)
		}
	}
}
