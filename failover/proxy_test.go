package failover_test

import (
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	// probeEvery is the interval between the proxy's readiness probes; it is
	// far shorter than the drain of a door.
	probeEvery = 50 * time.Millisecond
	// probeWithin limits one probe.
	probeWithin = time.Second
)

// proxy balances load over doors as a load balancer does: it follows
// /readyz/door, forwards each connection to a door that is ready, and refuses
// it if no door is. It inspects no request and retries none.
type proxy struct {
	t        *testing.T
	listener net.Listener
	client   *http.Client
	stop     chan struct{}
	under    sync.WaitGroup

	probing sync.Mutex

	mu    sync.Mutex
	doors []string // host:port of all
	ready []string // of the doors that were ready at the last probe
	turn  int
	open  map[net.Conn]bool

	carried atomic.Int64
}

func startProxy(t *testing.T) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{
		t: t, listener: l, stop: make(chan struct{}), open: map[net.Conn]bool{},
		client: &http.Client{Timeout: probeWithin, Transport: &http.Transport{DisableKeepAlives: true}},
	}
	p.under.Go(p.follow)
	p.under.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

func (p *proxy) close() {
	close(p.stop)
	p.listener.Close()
	p.mu.Lock()
	for c := range p.open {
		c.Close()
	}
	p.mu.Unlock()
	p.under.Wait()
}

func (p *proxy) url() string { return "http://" + p.listener.Addr().String() }

// lead adds a door to the proxy and waits until it is probed.
func (p *proxy) lead(g *gavel) {
	p.mu.Lock()
	p.doors = append(p.doors, strings.TrimPrefix(g.url, "http://"))
	p.mu.Unlock()
	p.probe()
}

// follow probes all doors at an interval.
func (p *proxy) follow() {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		p.probe()
		select {
		case <-tick.C:
		case <-p.stop:
			return
		}
	}
}

// probe finds out which doors are ready. One probe runs at a time: an older one must not
// bring back a door that has left since.
func (p *proxy) probe() {
	p.probing.Lock()
	defer p.probing.Unlock()
	p.mu.Lock()
	doors := slices.Clone(p.doors)
	p.mu.Unlock()
	var ready []string
	for _, door := range doors {
		response, err := p.client.Get("http://" + door + "/readyz/door")
		if err != nil {
			continue
		}
		response.Body.Close()
		if response.StatusCode == http.StatusOK {
			ready = append(ready, door)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ready = ready
}

func (p *proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.under.Go(func() { p.carry(c) })
	}
}

// carry forwards one connection to a door, or to the next one if the first does not accept it.
func (p *proxy) carry(from net.Conn) {
	defer p.drop(from)
	p.hold(from)
	for _, door := range p.choices() {
		to, err := net.DialTimeout("tcp", door, probeWithin)
		if err != nil {
			continue
		}
		p.hold(to)
		p.carried.Add(1)
		p.under.Go(func() {
			defer p.drop(to)
			defer p.drop(from)
			_, _ = io.Copy(from, to) // either side may close
		})
		_, _ = io.Copy(to, from)
		p.drop(to)
		return
	}
}

// choices returns the ready doors, starting with another one each time.
func (p *proxy) choices() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn++
	var all []string
	for i := range p.ready {
		all = append(all, p.ready[(p.turn+i)%len(p.ready)])
	}
	return all
}

func (p *proxy) hold(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[c] = true
}

func (p *proxy) drop(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
	c.Close()
}
