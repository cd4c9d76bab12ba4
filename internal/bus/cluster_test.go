package bus_test

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"gavel/events"
	"gavel/internal/bus"
)

// cluster starts three servers that replicate to each other.
func cluster(t *testing.T) []*server.Server {
	t.Helper()
	routes := freeAddresses(t, 3)
	var servers []*server.Server
	for n, own := range routes {
		s, err := server.NewServer(&server.Options{
			ServerName: fmt.Sprintf("n%d", n), Host: "127.0.0.1", Port: server.RANDOM_PORT,
			JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true, Routes: routes,
			Cluster: server.ClusterOpts{Name: "gavel", Host: own.Hostname(), Port: port(own)},
		})
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		servers = append(servers, s)
	}
	eventually(t, "the cluster to have a leader", func() bool {
		return slices.ContainsFunc(servers, func(s *server.Server) bool { return s.JetStreamIsLeader() })
	})
	return servers
}

// freeAddresses were free a moment ago: members of a cluster must know each
// other's before they start.
func freeAddresses(t *testing.T, n int) []*url.URL {
	t.Helper()
	var free []*url.URL
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		free = append(free, &url.URL{Scheme: "nats", Host: l.Addr().String()})
	}
	return free
}

func port(u *url.URL) int {
	n, _ := strconv.Atoi(u.Port())
	return n
}

func urls(servers []*server.Server) string {
	var all []string
	for _, s := range servers {
		all = append(all, s.ClientURL())
	}
	return strings.Join(all, ",")
}

// With one of three servers gone nothing that was acknowledged is, and nothing
// stands still for longer than an append may take.
func TestClusterOutlivesTheServerThatLeads(t *testing.T) {
	t.Parallel()
	servers := cluster(t)
	b := openConfig(t, bus.Config{URL: urls(servers)})
	if got := b.Info(); got.Replicas != 3 || got.Lanes != 8 {
		t.Fatalf("info: %+v", got)
	}
	mustAppend(t, b, numbered(1, 4)...)
	l := b.Lane(events.Lane(conference, 8))
	mustResume(t, l)
	groups := take(t, l, 4)
	mustAck(t, l, groups[:2])
	awaitFloor(t, l, groups[1].Sequence)
	mustPublish(t, b, story(20, 4))

	leader := slices.IndexFunc(servers, func(s *server.Server) bool { return s.JetStreamIsStreamLeader("$G", "GAVEL_JOURNAL") })
	servers[leader].Shutdown()
	servers[leader].WaitForShutdown()

	mustAppend(t, b, "n=5")
	floor, last := mustResume(t, l)
	if floor != groups[1].Sequence {
		t.Errorf("resumed at %d, want %d", floor, groups[1].Sequence)
	}
	got := take(t, l, 3)
	if want := numbered(3, 5); !slices.Equal(forms(t, got), want) || last != got[2].Sequence {
		t.Errorf("up to %d the lane gives %q, want %q", last, forms(t, got), want)
	}
	mustPublish(t, b, story(40, 4))
	wantTold(t, b, story(40, 4))
	if told, err := b.News().Told(testContext(t), conferenceKeys(4)); err != nil || len(told) != 4 {
		t.Errorf("told %v, %v", told, err)
	}
	mustPut(t, b, refused(account, "x"))
	receive(t, "the letter", watch(t, b, everyLetter))
}
