package bus_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain sees to it that everything that was opened in any test was closed,
// and left nothing running. A process that is there to be killed runs no tests.
func TestMain(m *testing.M) {
	if dir := os.Getenv(victimDir); dir != "" {
		victim(dir)
		return
	}
	goleak.VerifyTestMain(m)
}
