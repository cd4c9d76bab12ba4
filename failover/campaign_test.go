//go:build failover

package failover_test

// The number of failures per test: what the promises are tested with.
const (
	kills  = 20
	stalls = 5
	rounds = 4 // of restarts
)
