package jet_test

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain checks that the tests leave nothing running.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
