package redistest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

const (
	clusterNodes = 3
	clusterSlots = 16384
)

// Cluster is a Redis Cluster of three masters without replicas.
type Cluster struct{ Nodes []*Server }

// StartCluster starts a cluster and waits until all its nodes agree.
func StartCluster(tb testing.TB) *Cluster {
	tb.Helper()
	c := &Cluster{}
	var first, firstBus string
	for i := range clusterNodes {
		bus := fmt.Sprint(freePort(tb))
		n := Start(tb, "--cluster-enabled", "yes", "--cluster-port", bus)
		from, to := i*clusterSlots/clusterNodes, (i+1)*clusterSlots/clusterNodes-1
		n.Do("CLUSTER", "ADDSLOTSRANGE", fmt.Sprint(from), fmt.Sprint(to))
		n.Do("CLUSTER", "SET-CONFIG-EPOCH", fmt.Sprint(i+1))
		if i == 0 {
			first, firstBus = fmt.Sprint(n.port), bus
		} else {
			n.Do("CLUSTER", "MEET", "127.0.0.1", first, firstBus)
		}
		c.Nodes = append(c.Nodes, n)
	}
	c.await(tb)
	return c
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
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for _, n := range c.Nodes {
		for !n.clusterReady() {
			select {
			case <-ctx.Done():
				tb.Fatal("the nodes of the Redis Cluster do not agree")
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
