// Package front reads usual callbacks from their connections without net/http, because about a
// quarter of what a callback cost the door was net/http's care for requests that Twilio never sends.
//
// A request is usual if it has exactly one reading: a POST of HTTP/1.1 to a known path, with one
// Host, one Content-Length, no field twice, nothing that changes how a message is read, lines that
// end in CRLF, all of it within a small buffer, and nothing behind it. The handler gets it as
// net/http would pass it. Every other request is replayed to net/http, with the rest of its
// connection, from its first byte. So only net/http interprets what can be read in two ways, and its
// limits, errors and timeouts apply.
//
// Reading order: server.go (listening, timeouts, the stop), conn.go (one connection), request.go
// (what is usual), answer.go.
package front

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// sweepEvery is how often all connections are checked, instead of a deadline or timer for each
	// request. So a timeout is up to this much longer than net/http's.
	sweepEvery = time.Second
	// watchAfter is how many sweeps a handler runs before its connection is watched for its end.
	// net/http watches each request, which costs a goroutine and a system call.
	watchAfter = 1
	// restTime is how long the rest of an incomplete request may take before net/http receives it.
	// A sender that writes header and body separately needs it.
	restTime = 100 * time.Millisecond
	// lateTime is how long a stop waits for the first request of a new connection.
	lateTime = time.Second
	// drainEvery is the longest interval between two checks whether all connections have ended.
	drainEvery = 100 * time.Millisecond
)

// Server serves one listener.
type Server struct {
	web      *http.Server
	paths    []string
	port     net.Listener
	rest     *remainder
	sweeps   atomic.Uint32 // so far: the clock of all connections
	draining atomic.Bool

	mu    sync.Mutex
	conns map[*conn]struct{}
}

// New returns a server for a listener. It calls web's handler itself for usual requests to paths;
// web serves all others. web's timeouts hold for both. Nothing else may start or stop web.
func New(port net.Listener, web *http.Server, paths ...string) *Server {
	return &Server{
		web: web, paths: paths, port: port, conns: map[*conn]struct{}{},
		rest: &remainder{Listener: port, conns: make(chan accepted), done: make(chan struct{})},
	}
}

// Serve accepts connections until Shutdown or Close, and returns http.ErrServerClosed then. An error
// of the listener ends it as it ends net/http's server.
func (s *Server) Serve() error {
	var wait sync.WaitGroup
	wait.Go(s.accept)
	wait.Go(s.sweep)
	err := s.web.Serve(s.rest)
	wait.Wait()
	return err
}

// accept starts a goroutine for each connection. net/http's server receives the errors, because it
// decides which of them end the server, and waits after the others.
func (s *Server) accept() {
	for {
		peer, err := s.port.Accept()
		switch {
		case err == nil:
			c := newConn(s, peer)
			s.mu.Lock()
			s.conns[c] = struct{}{}
			s.mu.Unlock()
			go c.serve()
		case s.draining.Load() || !s.rest.pass(accepted{err: err}):
			return
		}
	}
}

// sweep enforces the timeouts.
func (s *Server) sweep() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.rest.done:
			return
		}
		now := s.sweeps.Add(1)
		s.each(func(c *conn) { c.check(now) })
	}
}

func (s *Server) each(do func(*conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		do(c)
	}
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// Shutdown closes the listener and the idle connections, and waits until ctx ends for the requests
// under way. Each of their answers closes its connection. Calling it twice is harmless.
func (s *Server) Shutdown(ctx context.Context) error {
	s.draining.Store(true)
	late := time.Now().Add(lateTime)
	s.each(func(c *conn) { c.drain(late) })
	if err := s.web.Shutdown(ctx); err != nil { // also closes the listener
		return err
	}
	for pause := time.Millisecond; ; pause = min(2*pause, drainEvery) {
		left := 0
		s.each(func(c *conn) { c.drain(late); left++ })
		if left == 0 {
			return nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Close closes the listener and all connections at once.
func (s *Server) Close() error {
	s.draining.Store(true)
	err := s.web.Close()
	s.each((*conn).abort)
	return err
}

// remainder is the listener of net/http's server: it delivers the connections that are not usual.
type remainder struct {
	net.Listener
	conns chan accepted
	once  sync.Once
	done  chan struct{}
}

// accepted is what a listener's Accept returns.
type accepted struct {
	conn net.Conn
	err  error
}

// pass returns false if the server has ended.
func (r *remainder) pass(a accepted) bool {
	select {
	case r.conns <- a:
		return true
	case <-r.done:
		return false
	}
}

// Accept returns the next connection for net/http, or an error of the port.
func (r *remainder) Accept() (net.Conn, error) {
	select {
	case a := <-r.conns:
		return a.conn, a.err
	case <-r.done:
		return nil, net.ErrClosed
	}
}

// Close also closes the port.
func (r *remainder) Close() error {
	r.once.Do(func() { close(r.done) })
	return r.Listener.Close()
}

// replayed is a connection whose first bytes have been read already.
type replayed struct {
	net.Conn
	read []byte
}

// Read returns the bytes that have been read already, then those of the connection.
func (r *replayed) Read(p []byte) (int, error) {
	if len(r.read) == 0 {
		return r.Conn.Read(p)
	}
	n := copy(p, r.read)
	if r.read = r.read[n:]; len(r.read) == 0 {
		r.read = nil // the buffer
	}
	return n, nil
}

// CloseWrite lets net/http end a connection in the way that saves its last answer.
func (r *replayed) CloseWrite() error {
	if half, ok := r.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
