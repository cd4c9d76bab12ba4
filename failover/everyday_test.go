//go:build !failover

package failover_test

// How often something is broken, short where all tests run together.
const (
	kills  = 2
	stalls = 1
	rounds = 1 // of restarts
)
