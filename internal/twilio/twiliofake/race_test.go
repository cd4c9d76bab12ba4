//go:build race

package twiliofake

// floors is smaller under the race detector, which makes each slow: make failover plays all.
const floors = 2_000
