package front

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// bufferSize bounds a usual request. Twilio's have 1 to 2 KiB; a proxy adds some fields.
const bufferSize = 4 << 10

// peeked is how many bytes of a next request net/http waits for while a connection is idle. Among
// them it skips line ends, which some old clients send behind a body.
const peeked = 4

// Times after which a connection that waits for a request ends if another one needs its place. A
// sender with a request sends it with its first packet, or within the time of one that is lost.
const (
	newTime  = 2 * tick
	idleTime = time.Second
)

// state is what a connection is doing. It is stored with the tick in which it began.
type state uint64

const (
	fresh    state = iota // waits for its first request
	idle                  // waits for another one
	reading               // has a part of a request
	handling              // the handler runs
	watched               // the handler runs, and a goroutine waits for the connection's end
	writing               // the answer
	closed                // by the server
	passed                // net/http has it, and is busy with it
	awaiting              // net/http has it, and waits for its first request
	kept                  // net/http has it, and waits for another one

	stateBits = 4
)

// conn is a connection. Except for state, watch and at its fields belong to the goroutine of serve.
type conn struct {
	server *Server
	peer   net.Conn
	state  atomic.Uint64
	at     int    // its index in the crowd, which guards it
	watch  *watch // written by the sweep before it sets the state watched

	in       []byte // what has been read of the next request
	out      []byte
	answered bool         // at least once
	away     bool         // net/http has it
	request  http.Request // the fields that all requests of the connection share
	cancel   context.CancelFunc
}

// watch waits for the end of a connection while its handler runs.
type watch struct {
	done  chan struct{}
	first [1]byte // of the next request
	n     int
	err   error
}

func newConn(s *Server, peer net.Conn) *conn {
	c := &conn{server: s, peer: peer, in: make([]byte, 0, bufferSize)}
	ctx, cancel := context.WithCancel(context.Background()) // of the connection, as in net/http
	c.request, c.cancel = *new(http.Request).WithContext(ctx), cancel
	c.request.Method, c.request.Proto, c.request.ProtoMajor, c.request.ProtoMinor = http.MethodPost, version, 1, 1
	c.request.RemoteAddr = peer.RemoteAddr().String()
	c.state.Store(c.stamp(fresh))
	return c
}

func (c *conn) stamp(s state) uint64 {
	return uint64(c.server.ticks.Load())<<stateBits | uint64(s)
}

func stateOf(stamp uint64) state { return state(stamp & (1<<stateBits - 1)) }

// enter changes the state. It returns false if the server has closed the connection.
func (c *conn) enter(next state) bool {
	was := c.state.Load()
	return stateOf(was) != closed && c.state.CompareAndSwap(was, c.stamp(next))
}

// serve answers usual requests until another one comes or the connection ends.
func (c *conn) serve() {
	defer c.end()
	for {
		x := c.receive()
		if x == nil || !c.answer(x) {
			return
		}
	}
}

// end releases the connection, unless net/http has it. A panic of a handler ends only its connection, as in net/http.
func (c *conn) end() {
	if fault := recover(); fault != nil && fault != http.ErrAbortHandler {
		logf := log.Printf
		if c.server.web.ErrorLog != nil {
			logf = c.server.web.ErrorLog.Printf
		}
		logf("http: panic serving %s: %v\n%s", c.request.RemoteAddr, fault, debug.Stack())
	}
	c.cancel()
	if !c.away {
		_ = c.peer.Close() // nothing more can be done about an error
		c.server.crowd.remove(c)
	}
}

// receive waits for the next usual request. It returns nil if the connection has ended, or if
// net/http has it.
func (c *conn) receive() *exchange {
	begun := !c.answered
	for {
		n, err := c.peer.Read(c.in[len(c.in):cap(c.in)])
		c.in = c.in[:len(c.in)+n]
		if n == 0 && err != nil {
			return c.interrupted()
		}
		if !begun && len(c.in) < peeked {
			continue
		}
		if !begun {
			begun = true
			c.skipLineEnds()
		}
		x, found := c.parse()
		switch found {
		case usual:
			return c.usual(x)
		case unusual:
			c.pass()
			return nil
		}
		if !c.awaitRest() {
			return nil
		}
	}
}

// skipLineEnds removes what net/http skips after a POST.
func (c *conn) skipLineEnds() {
	n := 0
	for n < peeked && (c.in[n] == '\r' || c.in[n] == '\n') {
		n++
	}
	c.in = c.in[:copy(c.in, c.in[n:])]
}

func (c *conn) usual(x *exchange) *exchange {
	if stateOf(c.state.Load()) == reading && c.peer.SetReadDeadline(time.Time{}) != nil {
		return nil
	}
	if !c.enter(handling) {
		return nil
	}
	return x
}

// awaitRest sets the deadline of an incomplete request.
func (c *conn) awaitRest() bool {
	return stateOf(c.state.Load()) == reading ||
		c.enter(reading) && c.peer.SetReadDeadline(time.Now().Add(restTime)) == nil
}

// interrupted passes an incomplete request to net/http, also one that ends in the middle: net/http
// has answers for both. A connection without a part of a request ends.
func (c *conn) interrupted() *exchange {
	if stateOf(c.state.Load()) == reading && c.peer.SetReadDeadline(time.Time{}) == nil {
		c.pass()
	}
	return nil
}

// pass lets net/http have the connection, and what has been read of it.
func (c *conn) pass() {
	if c.enter(passed) {
		c.away = c.server.rest.pass(accepted{conn: &replayed{Conn: c.peer, from: c, read: c.in}}) // or the server has ended
	}
}

// answer calls the handler and writes its answer. It returns whether the connection is kept.
func (c *conn) answer(x *exchange) bool {
	c.server.handler.ServeHTTP(&x.answer, &x.request)
	x.body.end()
	c.in = c.in[:0]
	if !c.handled() {
		return false
	}
	out, keep := x.answer.text(c.out[:0], c.server.draining.Load() || c.server.crowd.turn())
	c.out = out
	if _, err := c.peer.Write(out); err != nil {
		return false
	}
	c.answered = true
	return keep && c.enter(idle)
}

// handled ends the watch, if the sweep has begun one. It returns false if the connection has ended.
func (c *conn) handled() bool {
	for {
		now := c.state.Load()
		if c.state.CompareAndSwap(now, c.stamp(writing)) {
			return stateOf(now) != watched || c.unwatch()
		}
	}
}

// check enforces the timeouts. The sweep calls it with the number of the tick.
func (c *conn) check(now uint32) {
	stamp := c.state.Load()
	over := func(limit time.Duration) bool { return limit > 0 && age(stamp, now) > limit }
	web := c.server.web
	switch s := stateOf(stamp); {
	case s == fresh && over(web.ReadTimeout), s == idle && over(web.IdleTimeout), s == writing && over(web.WriteTimeout):
		c.shut(stamp)
	case s == handling && over(watchAfter):
		c.beginWatch(stamp)
	}
}

// age returns how long ago the state began: up to a tick less than what is returned.
func age(stamp uint64, now uint32) time.Duration {
	return time.Duration(now-uint32(stamp>>stateBits)) * tick
}

// yield ends the connection if it waits for a request, and has waited for some time. It returns
// whether it did.
func (c *conn) yield() bool {
	stamp, limit := c.state.Load(), newTime
	switch stateOf(stamp) {
	case idle, kept:
		limit = idleTime
	case fresh, awaiting:
	default:
		return false
	}
	return age(stamp, c.server.ticks.Load()) > limit && !arrived(c.peer) && c.shut(stamp)
}

// shut closes the connection unless its state has changed, and returns whether it did.
func (c *conn) shut(stamp uint64) bool {
	done := c.state.CompareAndSwap(stamp, c.stamp(closed))
	if done {
		_ = c.peer.Close() // the connection's goroutine notices
	}
	return done
}

// drain closes an idle connection when the server stops, unless a request has come. A new connection
// may still have one on its way.
func (c *conn) drain(late time.Time) {
	switch stamp := c.state.Load(); stateOf(stamp) {
	case idle:
		if !arrived(c.peer) {
			c.shut(stamp)
		}
	case fresh:
		_ = c.peer.SetReadDeadline(late) // an error means that it has ended
	}
}

// abort closes the connection whatever it is doing.
func (c *conn) abort() {
	c.cancel()
	if stateOf(c.state.Load()) < passed { // net/http closes the others
		_ = c.peer.Close() // as above
	}
}

// beginWatch cancels the handler's context when the connection ends, as net/http does at once. So a
// request whose sender has left does not wait for a journal that hangs.
func (c *conn) beginWatch(stamp uint64) {
	w := &watch{done: make(chan struct{})}
	c.watch = w
	if !c.state.CompareAndSwap(stamp, c.stamp(watched)) {
		return
	}
	go func() {
		defer close(w.done)
		w.n, w.err = c.peer.Read(w.first[:])
		if w.ended() {
			c.cancel()
		}
	}()
}

func (w *watch) ended() bool {
	return w.n == 0 && w.err != nil && !errors.Is(w.err, os.ErrDeadlineExceeded)
}

// past is a deadline that has passed.
var past = time.Unix(1, 0)

// unwatch keeps the byte that the watch may have read. It returns false if the connection has ended.
func (c *conn) unwatch() bool {
	w := c.watch
	if c.peer.SetReadDeadline(past) != nil {
		return false
	}
	<-w.done
	c.in = append(c.in, w.first[:w.n]...)
	return !w.ended() && c.peer.SetReadDeadline(time.Time{}) == nil
}
