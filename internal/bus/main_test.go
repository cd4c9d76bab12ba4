package bus_test

import (
	"testing"

	"go.uber.org/goleak"
)

// Everything that was opened in any test was closed, and left nothing running.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
