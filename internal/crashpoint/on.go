//go:build crashpoints

package crashpoint

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// Variable names the point and the pass where the process dies: "decided:3" is
// the third pass of the point "decided".
const Variable = "GAVEL_CRASH"

var (
	point, count, _ = strings.Cut(os.Getenv(Variable), ":")
	passes          atomic.Int64
	fatal, _        = strconv.ParseInt(count, 10, 64)
)

// Pass passes a point, or ends the process there as kill -9 does.
func Pass(p Point) {
	if string(p) != point || passes.Add(1) != fatal {
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}
