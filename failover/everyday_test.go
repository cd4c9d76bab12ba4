//go:build !failover

package failover_test

// The number of failures per test, few because this file applies where all tests run together.
const (
	kills  = 2
	stalls = 1
	rounds = 1 // of restarts
)
