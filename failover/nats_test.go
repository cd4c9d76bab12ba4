package failover_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// natsServer is one nats-server with its files and ports. It can be restarted.
type natsServer struct {
	t    *testing.T
	name string
	conf string
	port int
	*process
}

// startNATS starts servers that replicate to each other, or a single one, and
// waits until JetStream answers.
func startNATS(t *testing.T, servers int) []*natsServer {
	t.Helper()
	ports := freePorts(t, 2*servers)
	var routes []string
	for n := range servers {
		routes = append(routes, "nats://127.0.0.1:"+strconv.Itoa(ports[servers+n]))
	}
	var all []*natsServer
	for n := range servers {
		s := &natsServer{t: t, name: fmt.Sprintf("n%d-%d-%d", n, os.Getpid(), ports[n]), conf: filepath.Join(t.TempDir(), "nats.conf"), port: ports[n]}
		s.configure(ports[servers+n], routes)
		s.start()
		all = append(all, s)
	}
	eventually(t, func() string { return noJetStream(t, all) })
	return all
}

// configure writes the settings of deployments/nats.conf for one server;
// sync_interval is the one that matters.
func (s *natsServer) configure(routePort int, routes []string) {
	s.t.Helper()
	text := fmt.Sprintf("server_name: %s\nlisten: 127.0.0.1:%d\nmax_payload: 2MB\njetstream { store_dir: %q, sync_interval: always }\n",
		s.name, s.port, filepath.Dir(s.conf))
	if len(routes) > 1 {
		text += fmt.Sprintf("cluster { name: gavel, listen: \"127.0.0.1:%d\", routes: [%s] }\n", routePort, strings.Join(routes, ", "))
	}
	if err := os.WriteFile(s.conf, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// start starts the server, for the first time or again.
func (s *natsServer) start() {
	s.t.Helper()
	s.process = startProcess(s.t, s.name, exec.Command(natsBinary(s.t), "-c", s.conf), io.Discard)
}

func (s *natsServer) url() string { return "nats://127.0.0.1:" + strconv.Itoa(s.port) }

func urls(servers []*natsServer) string {
	var all []string
	for _, s := range servers {
		all = append(all, s.url())
	}
	return strings.Join(all, ",")
}

// askWithin limits one request to NATS.
const askWithin = 2 * time.Second

// asking connects for one request.
func asking(servers []*natsServer, ask func(js jetstream.JetStream) error) error {
	conn, err := nats.Connect(urls(servers), nats.Timeout(askWithin))
	if err != nil {
		return err
	}
	defer conn.Close()
	if !slices.ContainsFunc(servers, func(s *natsServer) bool { return s.name == conn.ConnectedServerName() }) {
		return errors.New("the port belongs to another server")
	}
	js, err := jetstream.New(conn, jetstream.WithDefaultTimeout(askWithin))
	if err != nil {
		return err
	}
	return ask(js)
}

func noJetStream(t *testing.T, servers []*natsServer) string {
	t.Helper()
	err := asking(servers, func(js jetstream.JetStream) error {
		_, err := js.AccountInfo(t.Context())
		return err
	})
	if err != nil {
		return "JetStream does not answer: " + err.Error()
	}
	return ""
}

// leaderOf returns the server that leads a stream.
func leaderOf(t *testing.T, servers []*natsServer, stream string) *natsServer {
	t.Helper()
	var leader *natsServer
	eventually(t, func() string {
		err := asking(servers, func(js jetstream.JetStream) error {
			s, err := js.Stream(t.Context(), stream)
			if err != nil {
				return err
			}
			for _, server := range servers {
				if c := s.CachedInfo().Cluster; c != nil && c.Leader == server.name {
					leader = server
				}
			}
			return nil
		})
		if leader == nil {
			return fmt.Sprintf("stream %s has no leader: %v", stream, err)
		}
		return ""
	})
	return leader
}

// notCurrent reports what is missing until all replicas of a stream are current.
func notCurrent(t *testing.T, servers []*natsServer, stream string) (missing string) {
	t.Helper()
	err := asking(servers, func(js jetstream.JetStream) error {
		s, err := js.Stream(t.Context(), stream)
		if err != nil {
			return err
		}
		for _, replica := range s.CachedInfo().Cluster.Replicas {
			if !replica.Current || replica.Offline {
				missing = fmt.Sprintf("replica %s of %s is behind", replica.Name, stream)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Sprintf("stream %s does not answer: %v", stream, err)
	}
	return missing
}

// messages returns how many messages a stream holds.
func messages(t *testing.T, servers []*natsServer, stream string) (count uint64, err error) {
	t.Helper()
	err = asking(servers, func(js jetstream.JetStream) error {
		s, err := js.Stream(t.Context(), stream)
		if err == nil {
			count = s.CachedInfo().State.Msgs
		}
		return err
	})
	return count, err
}
