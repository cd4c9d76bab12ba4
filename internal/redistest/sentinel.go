package redistest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// StartSentinel starts a Sentinel that watches master under the name
// "mymaster" and returns it as a setting names it.
func StartSentinel(tb testing.TB, master *Server) (url string) {
	tb.Helper()
	conf := filepath.Join(shortTempDir(tb), "sentinel.conf")
	text := fmt.Sprintf("sentinel monitor mymaster 127.0.0.1 %d 1\n", master.port)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	s := start(tb, []string{conf, "--sentinel"}, nil)
	return "redis+sentinel://" + s.Addr() + "/mymaster"
}
