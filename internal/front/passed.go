package front

import (
	"context"
	"net"
	"net/http"
	"sync"
)

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

// replayed is a connection that net/http has, and whose first bytes have been read already.
type replayed struct {
	net.Conn
	from *conn
	read []byte
	// served: a handler has been called. net/http's goroutine sets it before others read.
	served bool
}

// Read returns the bytes that have been read already, then those of the connection.
func (r *replayed) Read(p []byte) (int, error) {
	if len(r.read) == 0 {
		return r.Conn.Read(p)
	}
	n := copy(p, r.read)
	if r.read = r.read[n:]; len(r.read) == 0 {
		r.read = nil // the buffer
		if !r.served {
			r.from.enter(awaiting) // unless this completes a request
		}
	}
	return n, nil
}

// Close also releases the connection's place.
func (r *replayed) Close() error {
	r.from.server.crowd.remove(r.from)
	return r.Conn.Close()
}

// CloseWrite lets net/http end a connection in the way that saves its last answer.
func (r *replayed) CloseWrite() error {
	if half, ok := r.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// connKey is the key of a connection in the contexts of its requests.
type connKey struct{}

func connContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// servePassed is net/http's handler. It calls the server's, and marks meanwhile that the connection
// does not wait for a request.
func (s *Server) servePassed(w http.ResponseWriter, q *http.Request) {
	r, _ := q.Context().Value(connKey{}).(*replayed)
	r.served = true
	r.from.enter(passed)
	defer r.from.enter(kept)
	if s.draining.Load() || s.crowd.turn() {
		w.Header().Set("Connection", "close")
	}
	s.handler.ServeHTTP(w, q)
}
