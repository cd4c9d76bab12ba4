package bus_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain checks that the tests closed everything they opened and left nothing
// running. A victim, which exists to be killed, runs no tests.
func TestMain(m *testing.M) {
	if dir := os.Getenv(victimDir); dir != "" {
		victim(dir)
		return
	}
	goleak.VerifyTestMain(m)
}
