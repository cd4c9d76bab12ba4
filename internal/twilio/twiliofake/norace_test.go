//go:build !race

package twiliofake

// floors is how many call floors are compared: make failover plays these.
const floors = 20_000
