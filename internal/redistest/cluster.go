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
	clusterMasters = 3
	clusterSlots   = 16384
	// calmTimeout, in milliseconds, is long: a machine that runs tests pauses,
	// and nodes must not report each other as failed.
	calmTimeout = "60000"
	// failoverTimeout, in milliseconds, is short: a killed master must be
	// replaced while a test waits.
	failoverTimeout = "4000"
	// meetAgainEvery is how often MEET is repeated until the nodes know each other.
	meetAgainEvery = 3 * time.Second
)

// Cluster is a Redis Cluster: three masters, each with a replica if started by
// StartReplicatedCluster.
type Cluster struct {
	Nodes []*Server
	buses []int // the ports that nodes use among each other
}

// StartCluster starts three masters without replicas and waits until they agree.
func StartCluster(tb testing.TB) *Cluster {
	tb.Helper()
	c := &Cluster{}
	c.startMasters(tb, calmTimeout)
	return c
}

// StartReplicatedCluster starts three masters with a replica each, which takes over a few seconds
// after its master was killed: node 3 replicates node 0, and so on.
func StartReplicatedCluster(tb testing.TB) *Cluster {
	tb.Helper()
	c := &Cluster{}
	c.startMasters(tb, failoverTimeout)
	for range clusterMasters {
		// A replica may take over however long it was without its master.
		c.startNode(tb, failoverTimeout, "--cluster-replica-validity-factor", "0")
	}
	c.meet()
	c.await(tb)
	for i := range clusterMasters {
		c.replicate(tb, c.Nodes[clusterMasters+i], c.Nodes[i])
	}
	return c
}

func (c *Cluster) startMasters(tb testing.TB, timeout string) {
	tb.Helper()
	for i := range clusterMasters {
		n := c.startNode(tb, timeout)
		from, to := i*clusterSlots/clusterMasters, (i+1)*clusterSlots/clusterMasters-1
		n.Do("CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(from), strconv.Itoa(to))
		n.Do("CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
	}
	c.meet()
	c.await(tb)
}

func (c *Cluster) startNode(tb testing.TB, timeout string, more ...string) *Server {
	tb.Helper()
	bus := freePort(tb)
	n := Start(tb, append([]string{
		"--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(bus), "--cluster-node-timeout", timeout,
	}, more...)...)
	c.Nodes, c.buses = append(c.Nodes, n), append(c.buses, bus)
	return n
}

// replicate makes one node a replica of another and waits until it has the other's data.
func (c *Cluster) replicate(tb testing.TB, replica, master *Server) {
	tb.Helper()
	id, err := master.bulk("CLUSTER", "MYID")
	if err != nil {
		tb.Fatalf("redis CLUSTER MYID: %v", err)
	}
	replica.Do("CLUSTER", "REPLICATE", id)
	await(tb, "the replica to follow", func() bool {
		info, err := replica.bulk("INFO", "replication")
		return err == nil && strings.Contains(info, "master_link_status:up")
	})
}

// meet introduces the nodes to each other. A MEET can get lost.
func (c *Cluster) meet() {
	for i := 1; i < len(c.Nodes); i++ {
		c.Nodes[0].Do("CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(c.Nodes[i].port), strconv.Itoa(c.buses[i]))
	}
}

// URL is the cluster's address as a setting.
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

// KeepSnapshot copies the data of all nodes; calling the result restores it.
func (c *Cluster) KeepSnapshot(tb testing.TB) (rollBack func()) {
	return c.KeepSnapshotOf(tb, 0, 1, 2)
}

// KeepSnapshotOf is KeepSnapshot for some of the nodes.
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

// await waits until every node has met all others and serves.
func (c *Cluster) await(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	tick, again := time.NewTicker(pollEvery), time.NewTicker(meetAgainEvery)
	defer tick.Stop()
	defer again.Stop()
	for _, n := range c.Nodes {
		for !n.clusterReady(len(c.Nodes)) {
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

func (s *Server) clusterReady(nodes int) bool {
	info, err := s.bulk("CLUSTER", "INFO")
	return err == nil && strings.Contains(info, "cluster_state:ok") &&
		strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d", nodes))
}
