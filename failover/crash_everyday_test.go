//go:build !crash

package failover_test

// crashSeeds is how often a process dies at each point, short where all tests
// run together.
const crashSeeds = 2
