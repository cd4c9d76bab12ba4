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
// The connections of both kinds are bounded. In an overload the surplus remains in the kernel, where
// it costs nothing (ADR 0028).
//
// Reading order: server.go (listening, timeouts, the stop), crowd.go (the bound), conn.go (one
// connection), request.go (what is usual), answer.go, passed.go (what net/http has).
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
	// tick is the resolution of the clock that all connections share.
	tick = 100 * time.Millisecond
	// sweepTicks is how often all connections are checked, instead of a deadline or timer for each
	// request. So a timeout is up to this much longer than net/http's.
	sweepTicks = uint32(time.Second / tick)
	// watchAfter is how long a handler runs before its connection is watched for its end.
	// net/http watches each request, which costs a goroutine and a system call.
	watchAfter = time.Second
	// restTime is how long the rest of an incomplete request may take before net/http receives it.
	// A sender that writes header and body separately needs it.
	restTime = 100 * time.Millisecond
	// lateTime is how long a stop waits for the first request of a new connection.
	lateTime = time.Second
	// partTime is how long a stop goes on as before, except that each answer ends its connection. A
	// sender that is in the middle of its requests would meet a closed connection otherwise.
	partTime = 100 * time.Millisecond
	// clearTime is for accepting what the kernel still holds, which a closed listener would reset. The
	// kernel accepts hardly anything meanwhile.
	clearTime = 25 * time.Millisecond
	// drainEvery is the longest interval between two checks whether all connections have ended.
	drainEvery = 100 * time.Millisecond
)

// Server serves one listener.
type Server struct {
	web      *http.Server
	handler  http.Handler
	paths    []string
	port     net.Listener
	rest     *remainder
	crowd    *crowd
	ticks    atomic.Uint32 // so far: the clock of all connections
	draining atomic.Bool
}

// New returns a server for a listener that has up to so many connections at once. It calls web's
// handler itself for usual requests to paths; web serves all others, and New sets its Handler and
// ConnContext for that. web's timeouts hold for both. Nothing else may start or stop web.
func New(port net.Listener, web *http.Server, places int, paths ...string) *Server {
	s := &Server{
		web: web, handler: web.Handler, paths: paths, port: port, crowd: newCrowd(places),
		rest: &remainder{Listener: port, conns: make(chan accepted), done: make(chan struct{})},
	}
	web.Handler, web.ConnContext = http.HandlerFunc(s.servePassed), connContext
	shorten(port, max(places/backlogShare, leastBacklog))
	return s
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

// Connections returns how many connections have a place.
func (s *Server) Connections() int { return s.crowd.size() }

// Waited returns how many connections have waited for a place so far.
func (s *Server) Waited() uint64 { return s.crowd.waited.Load() }

// accept starts a goroutine for each connection. net/http's server receives the errors, because it
// decides which of them end the server, and waits after the others.
func (s *Server) accept() {
	for {
		peer, err := s.port.Accept()
		switch {
		case err == nil && s.crowd.await(s.rest.done):
			c := newConn(s, peer)
			s.crowd.add(c)
			go c.serve()
		case err == nil:
			_ = peer.Close() // the server has ended
		case s.draining.Load() || !s.rest.pass(accepted{err: err}):
			return
		}
	}
}

// sweep enforces the timeouts.
func (s *Server) sweep() {
	clock := time.NewTicker(tick)
	defer clock.Stop()
	for {
		select {
		case <-clock.C:
		case <-s.rest.done:
			return
		}
		if now := s.ticks.Add(1); now%sweepTicks == 0 {
			s.crowd.each(func(c *conn) { c.check(now) })
		}
	}
}

// Shutdown closes the listener and the idle connections after a moment, and waits until ctx ends for
// the requests under way. Each of their answers closes its connection. Calling it twice is harmless.
func (s *Server) Shutdown(ctx context.Context) error {
	if !s.draining.Swap(true) && s.crowd.size() > 0 {
		pause(ctx, partTime)
		shorten(s.port, 0)
		pause(ctx, clearTime)
	}
	late := time.Now().Add(lateTime)
	s.crowd.each(func(c *conn) { c.drain(late) })
	if err := s.web.Shutdown(ctx); err != nil { // also closes the listener
		return err
	}
	for wait := time.Millisecond; ; wait = min(2*wait, drainEvery) {
		left := 0
		s.crowd.each(func(c *conn) { c.drain(late); left++ })
		if left == 0 {
			return nil
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// Close closes the listener and all connections at once.
func (s *Server) Close() error {
	s.draining.Store(true)
	err := s.web.Close()
	s.crowd.each((*conn).abort)
	return err
}
