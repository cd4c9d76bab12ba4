// Package bus_test: the NATS servers are real and in this process, their files in a temporary
// directory, their fsync at the default unless a test is about it. A second process is a second bus
// that reaches the first one's server by TCP, through a relay that can hold still or break.
// Stand-ins: where a test must see what is in flight, it answers in the stream's place.
package bus_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
	"gavel/internal/bus"
)

const (
	account    = "ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	other      = "ACbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	conference = "CFaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
)

// patience limits how long tests wait for something that will happen. Only tests
// that state it assert how fast.
const patience = 20 * time.Second

// testContext ends before the test binary's timeout.
func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	return ctx
}

// open opens a bus on a server of its own, which also listens on a free port.
func open(t testing.TB, change ...func(*bus.Config)) *bus.Bus {
	t.Helper()
	c := bus.Config{DataDir: t.TempDir(), Sync: bus.SyncInterval, Listen: "127.0.0.1:0"}
	for _, f := range change {
		f(&c)
	}
	return openConfig(t, c)
}

func openConfig(t testing.TB, c bus.Config) *bus.Bus {
	t.Helper()
	b, err := bus.Open(testContext(t), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeBus(t, b) })
	return b
}

// closeBus may be called twice.
func closeBus(t testing.TB, b *bus.Bus) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
}

// address is where a client of b's server connects, token included.
func address(t testing.TB, b *bus.Bus) string {
	t.Helper()
	token, err := os.ReadFile(b.Info().TokenFile)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Replace(b.Info().URL, "nats://", "nats://"+strings.TrimSpace(string(token))+"@", 1)
}

// client connects to b's server as any client would.
func client(t testing.TB, b *bus.Bus) *nats.Conn { return dial(t, address(t, b)) }

func dial(t testing.TB, url string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func jetStream(t testing.TB, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// foreignServer is a NATS server that Gavel did not start.
func foreignServer(t testing.TB) *server.Server {
	t.Helper()
	return serverOn(t, t.TempDir())
}

// stopServer may be called twice.
func stopServer(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

// serverOn starts a server that stores in dir.
func serverOn(t testing.TB, dir string) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { stopServer(s) })
	if !s.ReadyForConnections(patience) {
		t.Fatal("foreign server did not start")
	}
	return s
}

// relay stands between a client and a server.
type relay struct {
	net.Listener
	target string
	mu     sync.Mutex
	held   *sync.Cond
	still  bool
	conns  []net.Conn
}

func newRelay(t testing.TB, target string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{Listener: l, target: target}
	r.held = sync.NewCond(&r.mu)
	go r.serve()
	t.Cleanup(r.vanish)
	return r
}

// through returns the URL of a client that connects by the relay.
func (r *relay) through(url string) string {
	return strings.Replace(url, r.target, r.Addr().String(), 1)
}

func (r *relay) serve() {
	for {
		in, err := r.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", r.target)
		if err != nil {
			_ = in.Close()
			continue
		}
		r.mu.Lock()
		r.conns = append(r.conns, in, out)
		r.mu.Unlock()
		go r.copy(in, out)
		go r.copy(out, in)
	}
}

func (r *relay) copy(to, from net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		r.mu.Lock()
		for r.still {
			r.held.Wait()
		}
		r.mu.Unlock()
		if n > 0 {
			_, _ = to.Write(buf[:n])
		}
		if err != nil {
			_ = to.Close()
			return
		}
	}
}

// hold holds back everything in transit until goOn.
func (r *relay) hold() { r.set(true) }
func (r *relay) goOn() { r.set(false) }

func (r *relay) set(still bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.still = still
	r.held.Broadcast()
}

// breakOff closes all connections and drops what is in transit; new ones are accepted.
func (r *relay) breakOff() {
	r.mu.Lock()
	for _, c := range r.conns {
		_ = c.Close()
	}
	r.conns = nil
	r.mu.Unlock()
	r.goOn()
}

// vanish simulates the death of the process behind the relay.
func (r *relay) vanish() {
	_ = r.Close()
	r.breakOff()
}

// secondProcess opens a bus of another process on b's server.
func secondProcess(t testing.TB, b *bus.Bus, change ...func(*bus.Config)) (*bus.Bus, *relay) {
	t.Helper()
	r := newRelay(t, strings.TrimPrefix(b.Info().URL, "nats://"))
	c := bus.Config{URL: r.through(address(t, b))}
	for _, f := range change {
		f(&c)
	}
	return openConfig(t, c), r
}

// eventually repeats the check until it is true.
func eventually(t testing.TB, what string, ask func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ask() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

func receive[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("timed out waiting for %s", what)
		panic("unreachable")
	}
}

func entry(form string) events.Entry {
	return events.Entry{Source: events.SourceCallback, ReceivedAt: time.Unix(1_700_000_000, 0), Form: form}
}

func mustAppend(t testing.TB, b *bus.Bus, forms ...string) {
	t.Helper()
	for _, form := range forms {
		if err := b.Journal().Append(testContext(t), conference, entry(form)); err != nil {
			t.Fatal(err)
		}
	}
}

// forms are the entries of groups, in order.
func forms(t testing.TB, groups []events.Group) []string {
	t.Helper()
	var out []string
	for _, g := range groups {
		err := g.Split(func(_ int, e events.Entry) error {
			out = append(out, e.Form)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestInfoHoldsTheAddressOfTheEmbeddedServer(t *testing.T) {
	t.Parallel()
	b := open(t, func(c *bus.Config) { c.Sync = "" })
	got := b.Info()
	if !got.Embedded || got.Sync != bus.SyncAlways || got.Lanes != 1 || got.Replicas != 1 || got.Version != server.VERSION {
		t.Errorf("info of an embedded bus with defaults: %+v", got)
	}
	if !strings.HasPrefix(got.URL, "nats://127.0.0.1:") || got.NotListening != "" {
		t.Errorf("it listens on %q (%s)", got.URL, got.NotListening)
	}
}

func TestStoreIsForItsOwnerOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := open(t, func(c *bus.Config) { c.DataDir = dir })
	for path, want := range map[string]os.FileMode{b.Info().TokenFile: 0o600, filepath.Join(dir, "nats"): 0o700} {
		fi, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if fi.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", filepath.Base(path), fi.Mode().Perm(), want)
		}
	}
	if _, err := nats.Connect(b.Info().URL); err == nil {
		t.Error("a client without the token was let in")
	}
	client(t, b)
}

func TestTokenStaysTheSame(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := open(t, func(c *bus.Config) { c.DataDir = dir })
	before, _ := os.ReadFile(first.Info().TokenFile)
	closeBus(t, first)
	second := open(t, func(c *bus.Config) { c.DataDir = dir })
	after, _ := os.ReadFile(second.Info().TokenFile)
	if len(before) == 0 || string(before) != string(after) {
		t.Errorf("token changed from %d to %d bytes", len(before), len(after))
	}
}

// A power cut soon after the first start of a former Gavel left the file like this.
func TestADamagedTokenIsReplaced(t *testing.T) {
	t.Parallel()
	for name, damaged := range map[string]string{"empty": "", "blank": "\n", "zero bytes": strings.Repeat("\x00", 33)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := bus.Config{DataDir: t.TempDir(), Sync: bus.SyncInterval, Listen: "127.0.0.1:0"}
			if err := os.WriteFile(filepath.Join(c.DataDir, "nats.token"), []byte(damaged), 0o600); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			b, err := bus.Open(testContext(t), c, slog.New(slog.NewTextHandler(&log, nil)))
			if err != nil {
				t.Fatal(err)
			}
			client(t, b)
			closeBus(t, b)
			if !strings.Contains(log.String(), "level=WARN msg=\"token of the embedded NATS server was empty and is replaced") {
				t.Errorf("the log is:\n%s", log.String())
			}
		})
	}
}

func TestAnAddressInUseIsReportedAndIsNotAnError(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	b := open(t, func(c *bus.Config) { c.Listen = taken.Addr().String() })
	if got := b.Info(); got.URL != "" || !strings.Contains(got.NotListening, "address already in use") {
		t.Errorf("info: %+v", got)
	}
	mustAppend(t, b, "a=1")
}

func TestInProcessOnly(t *testing.T) {
	t.Parallel()
	b := open(t, func(c *bus.Config) { c.Listen = bus.ListenOff })
	if got := b.Info(); got.URL != "" || got.NotListening != "" || got.TokenFile != "" {
		t.Errorf("info: %+v", got)
	}
	mustAppend(t, b, "a=1")
}

// A connection to a foreign address must not be reported with its password.
func TestErrorsHoldNoPassword(t *testing.T) {
	t.Parallel()
	for _, u := range []string{"nats://user:geheim@", "nats://user:geheim@%zz:4222", "://geheim"} {
		_, err := bus.Open(testContext(t), bus.Config{URL: u}, slog.New(slog.DiscardHandler))
		if err == nil || strings.Contains(err.Error(), "geheim") {
			t.Errorf("error: %v", err)
		}
	}
}

func TestInfoHoldsNoToken(t *testing.T) {
	t.Parallel()
	far, way := secondProcess(t, open(t))
	if got, want := far.Info().URL, "nats://"+way.Addr().String(); got != want {
		t.Errorf("URL is %s, want %s", got, want)
	}
}

func TestBadConfigNamesAllFaults(t *testing.T) {
	t.Parallel()
	_, err := bus.Open(testContext(t), bus.Config{Sync: "sometimes", Lanes: 65}, slog.New(slog.DiscardHandler))
	for _, want := range []string{`sync is "sometimes"`, "lanes are 65", "data directory"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
}

// fakeServer sends the greeting of a NATS server of that version.
func fakeServer(t *testing.T, version string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, `INFO {"server_id":"X","version":"`+version+`","headers":true,"max_payload":1048576}`+"\r\n")
			go pong(c)
		}
	}()
	return "nats://" + l.Addr().String()
}

// pong answers pings until the client disconnects.
func pong(c net.Conn) {
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		if strings.Contains(string(buf[:n]), "PING\r\n") {
			_, _ = io.WriteString(c, "PONG\r\n")
		}
	}
}

func TestOldServersAreRefused(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"2.14.5", "2.10.29", "1.99.99", "dev"} {
		_, err := bus.Open(testContext(t), bus.Config{URL: fakeServer(t, version)}, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), `version`) || !strings.Contains(err.Error(), version) {
			t.Errorf("server %s: %v", version, err)
		}
	}
}

func TestCloseReleasesTheDataDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := open(t, func(c *bus.Config) { c.DataDir = dir })
	mustAppend(t, first, "a=1")
	closeBus(t, first)
	second := open(t, func(c *bus.Config) { c.DataDir = dir })
	if last, err := second.Journal().Last(testContext(t), 0); err != nil || last != 1 {
		t.Errorf("last = %d, %v", last, err)
	}
}
