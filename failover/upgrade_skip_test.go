//go:build !upgrade

package failover_test

// upgrades reports whether the tests with an older build run.
const upgrades = false
