//go:build crash

package failover_test

// crashSeeds is how many times a process dies at each point.
const crashSeeds = 20
