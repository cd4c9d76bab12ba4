//go:build upgrade

package failover_test

// upgrades says that the tests with an older build run.
const upgrades = true
