//go:build failover

package failover_test

// How often something is broken: what the promises are tested with.
const (
	kills  = 20
	stalls = 5
	rounds = 4 // of restarts
)
