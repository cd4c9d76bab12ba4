package redistest

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	clusterNodes = 3
	clusterSlots = 16384
	// nodeTimeout, in milliseconds, is long: a machine that runs tests pauses,
	// and nodes must not take each other for dead.
	nodeTimeout = "60000"
	// meetAgainEvery is how long an introduction may take.
	meetAgainEvery = 3 * time.Second
)

// Cluster is a Redis Cluster of three masters without replicas.
type Cluster struct {
	Nodes []*Server
	buses []int // the ports by which nodes talk to each other
}

// StartCluster starts a cluster and waits until all its nodes agree.
func StartCluster(tb testing.TB) *Cluster {
	tb.Helper()
	c := &Cluster{}
	for i := range clusterNodes {
		bus := freePort(tb)
		n := Start(tb, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(bus),
			"--cluster-node-timeout", nodeTimeout)
		from, to := i*clusterSlots/clusterNodes, (i+1)*clusterSlots/clusterNodes-1
		n.Do("CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(from), strconv.Itoa(to))
		n.Do("CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
		c.Nodes, c.buses = append(c.Nodes, n), append(c.buses, bus)
	}
	c.meet()
	c.await(tb)
	return c
}

// meet introduces the nodes to each other. An introduction can get lost.
func (c *Cluster) meet() {
	for i := 1; i < clusterNodes; i++ {
		c.Nodes[0].Do("CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(c.Nodes[i].port), strconv.Itoa(c.buses[i]))
	}
}

// URL is the cluster as a setting names it.
func (c *Cluster) URL() string {
	addrs := make([]string, len(c.Nodes))
	for i, n := range c.Nodes {
		addrs[i] = n.Addr()
	}
	return "redis+cluster://" + strings.Join(addrs, ",")
}

// FlushAll empties all nodes.
func (c *Cluster) FlushAll() {
	for _, n := range c.Nodes {
		n.FlushAll()
	}
}

// KeepSnapshot keeps what all nodes hold; the result brings it back.
func (c *Cluster) KeepSnapshot(tb testing.TB) (rollBack func()) {
	return c.KeepSnapshotOf(tb, 0, 1, 2)
}

// KeepSnapshotOf does so with some of the nodes.
func (c *Cluster) KeepSnapshotOf(tb testing.TB, nodes ...int) (rollBack func()) {
	var all []func()
	for _, i := range nodes {
		all = append(all, c.Nodes[i].KeepSnapshot())
	}
	return func() {
		tb.Helper()
		for _, rollBack := range all {
			rollBack()
		}
		c.await(tb)
	}
}

// await waits until every node knows all others and serves.
func (c *Cluster) await(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	tick, again := time.NewTicker(lookEvery), time.NewTicker(meetAgainEvery)
	defer tick.Stop()
	defer again.Stop()
	for _, n := range c.Nodes {
		for !n.clusterReady() {
			select {
			case <-ctx.Done():
				nodes, err := n.bulk("CLUSTER", "NODES")
				tb.Fatalf("the nodes of the Redis Cluster do not agree: %v\n%s", err, nodes)
			case <-again.C:
				c.meet()
			case <-tick.C:
			}
		}
	}
}

func (s *Server) clusterReady() bool {
	info, err := s.bulk("CLUSTER", "INFO")
	return err == nil && strings.Contains(info, "cluster_state:ok") &&
		strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d", clusterNodes))
}
