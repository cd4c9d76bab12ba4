//go:build !crash

package failover_test

// crashSeeds is how many times a process dies at each point, few because this
// file applies where all tests run together.
const crashSeeds = 2
