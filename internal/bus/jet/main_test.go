package jet_test

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain sees to it that what a test opened leaves nothing running.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
