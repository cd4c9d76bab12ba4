package bus_test

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

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

// freeAddresses returns addresses that were free a moment ago: members of a
// cluster need each other's before they start.
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

// When one of three servers is lost, nothing acknowledged is lost, and nothing
// stops for longer than an append may take.
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
		t.Errorf("up to %d the lane returns %q, want %q", last, forms(t, got), want)
	}
	mustPublish(t, b, story(40, 4))
	wantTold(t, b, story(40, 4))
	if told, err := b.News().LastPositions(testContext(t), conferenceKeys(4)); err != nil || len(told) != 4 {
		t.Errorf("last positions are %v, %v", told, err)
	}
	mustTrim(t, b, time.Now().Add(2*month), 0)
	eventually(t, "the old news to be gone", func() bool {
		info, err := jetStream(t, dial(t, urls(servers))).Stream(testContext(t), "GAVEL_EVENTS")
		return err == nil && info.CachedInfo().State.Msgs == 0
	})
	mustPut(t, b, refused(account, "x"))
	receive(t, "the letter", watch(t, b, everyLetter))
}

// Decisions, alarms and the brakes' ledger are on three servers, and are read from the leader.
func TestClusterKeepsWhatRulesDecided(t *testing.T) {
	t.Parallel()
	servers := cluster(t)
	b := openConfig(t, bus.Config{URL: urls(servers)})
	if fresh := mustDecide(t, b, decisions(1, 100)...); fresh != 100 {
		t.Errorf("%d of 100 are fresh", fresh)
	}
	soon := time.Now().Add(3 * time.Second)
	mustSet(t, b, 0, alarmsAt(soon, 1, 100)...)
	mustLater(t, b, due{conferenceKey(1), decision(1).ID, "note"}, soon)
	if first, err := b.Actions().Served(testContext(t), decision(1).Key, decision(1).ID); !first || err != nil {
		t.Errorf("served first: %v, %v", first, err)
	}
	revision, err := b.Brakes().Update(testContext(t), "any", []byte("one"), 0)
	if err != nil {
		t.Fatal(err)
	}

	leader := slices.IndexFunc(servers, func(s *server.Server) bool { return s.JetStreamIsStreamLeader("$G", "GAVEL_TIMERS") })
	servers[leader].Shutdown()
	servers[leader].WaitForShutdown()

	if fresh := mustDecide(t, b, decisions(1, 101)...); fresh > 1 {
		t.Errorf("%d of 1 are fresh", fresh)
	}
	if first, err := b.Actions().Served(testContext(t), decision(1).Key, decision(1).ID); first || err != nil {
		t.Errorf("served first once more: %v, %v", first, err)
	}
	eventually(t, "the bucket's leader", func() bool {
		value, at, err := b.Brakes().Read(testContext(t), "any")
		return err == nil && string(value) == "one" && at == revision
	})
	heard, _ := hear(t, b, everyRing)
	rang := map[events.Key]bool{}
	for len(rang) < 100 {
		for _, key := range receive(t, "a ring", heard).keys {
			rang[key] = true
		}
	}
	came, _ := dues(t, b, func(due) error { return nil })
	receive(t, "the decision that was put off", came)
	eventually(t, "what was heard to be gone", func() bool {
		info, err := jetStream(t, dial(t, urls(servers))).Stream(testContext(t), "GAVEL_TIMERS")
		return err == nil && info.CachedInfo().State.Msgs == 0
	})
}
