package front_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gavel/internal/front"
)

// Every test compares this package with net/http's server, which is the reference. Connections are in
// memory and time is virtual.

const path = "/twilio/conference"

// limits are those of the process.
func limits(handler http.Handler) *http.Server {
	return &http.Server{
		Handler: handler, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: log.New(io.Discard, "", 0),
	}
}

// reader is one of the two servers, on a port in memory.
type reader struct {
	port
	shutdown func(*testing.T) error
}

// port is a listener in memory.
type port struct {
	conns  chan net.Conn
	faults chan error
	closed chan struct{}
	once   *sync.Once
}

func (p port) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case err := <-p.faults:
		return nil, err
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p port) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p port) Addr() net.Addr { return &net.TCPAddr{} }

// dial opens a connection that is a pipe.
func (p port) dial(t *testing.T) (net.Conn, *bufio.Reader) {
	t.Helper()
	client, server := net.Pipe()
	p.conns <- server
	t.Cleanup(func() { _ = client.Close() })
	return client, bufio.NewReader(client)
}

// Both servers, by name. Each ends with the test.
func readers(t *testing.T, handler http.Handler) map[string]reader {
	t.Helper()
	return map[string]reader{"net/http": plain(t, handler), "front": strict(t, handler)}
}

func newPort() port {
	return port{make(chan net.Conn), make(chan error), make(chan struct{}), new(sync.Once)}
}

func plain(t *testing.T, handler http.Handler) reader {
	t.Helper()
	server, p := limits(handler), newPort()
	start(t, func() error { return server.Serve(p) }, server.Close)
	return reader{p, func(t *testing.T) error { return server.Shutdown(t.Context()) }}
}

func strict(t *testing.T, handler http.Handler) reader {
	t.Helper()
	return crowded(t, handler, 1_000)
}

// crowded is a server that has room for so many connections.
func crowded(t *testing.T, handler http.Handler, places int) reader {
	t.Helper()
	p := newPort()
	server := front.New(p, limits(handler), places, path, "/twilio/recording")
	start(t, server.Serve, server.Close)
	return reader{p, func(t *testing.T) error { return server.Shutdown(t.Context()) }}
}

// start serves until the test ends.
func start(t *testing.T, serve, end func() error) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- serve() }()
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serve: %v", err)
		}
	})
}

// script is a connection that delivers pieces, one for each Read, and then its end. It keeps what the
// server writes.
type script struct {
	mu     sync.Mutex
	pieces [][]byte
	out    bytes.Buffer
	once   sync.Once
	closed chan struct{}
}

func (s *script) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.pieces) > 0 && len(s.pieces[0]) == 0 {
		s.pieces = s.pieces[1:]
	}
	if len(s.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.pieces[0])
	s.pieces[0] = s.pieces[0][n:]
	return n, nil
}

func (s *script) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(p)
}

func (s *script) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

func (*script) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (*script) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(198, 51, 100, 7), Port: 443} }
func (*script) SetDeadline(time.Time) error      { return nil }
func (*script) SetReadDeadline(time.Time) error  { return nil }
func (*script) SetWriteDeadline(time.Time) error { return nil }

// play sends the pieces, and returns everything that the server wrote until it closed the connection.
func (p port) play(pieces ...string) string {
	s := &script{closed: make(chan struct{})}
	for _, piece := range pieces {
		s.pieces = append(s.pieces, []byte(piece))
	}
	p.conns <- s
	<-s.closed
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.String()
}

// recorder is a handler that records what it sees. A request's body selects its answer.
type recorder struct {
	mu    sync.Mutex
	seen  []string
	whole int // requests that net/http did not read
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	_, whole := q.Body.(interface{ Whole() })
	var body []byte
	var err error
	if q.URL.RawQuery != "unread" {
		body, err = io.ReadAll(q.Body)
	}
	r.mu.Lock()
	r.seen = append(r.seen, fmt.Sprintf("%s %q %s %d.%d url=%#v host=%q length=%d encoding=%q close=%t trailer=%v from=%s header=%q body=%q %v",
		q.Method, q.RequestURI, q.Proto, q.ProtoMajor, q.ProtoMinor, *q.URL, q.Host, q.ContentLength, q.TransferEncoding, q.Close,
		q.Trailer, q.RemoteAddr, q.Header, body, err))
	if whole {
		r.whole++
	}
	r.mu.Unlock()
	answer(w, string(body))
}

// take returns what has been recorded since the last call.
func (r *recorder) take() (seen []string, whole int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen, whole = r.seen, r.whole
	r.seen, r.whole = nil, 0
	return seen, whole
}

func answer(w http.ResponseWriter, body string) {
	switch kind, _, _ := strings.Cut(body, "&"); kind {
	case "403":
		w.WriteHeader(http.StatusForbidden)
	case "405":
		w.Header().Set("Allow", "GET, POST")
		w.WriteHeader(http.StatusMethodNotAllowed)
	case "503":
		w.Header().Set("Retry-After", "1")
		http.Error(w, "gavel is starting", http.StatusServiceUnavailable)
		w.Header().Set("Too-Late", "1")
	case "close":
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusRequestTimeout)
	case "text":
		_, _ = io.WriteString(w, "<html>hello") //nolint:errcheck // a connection in memory
	case "nothing":
	case "panic":
		panic("of the test")
	case "abort":
		panic(http.ErrAbortHandler)
	case "twice":
		w.WriteHeader(http.StatusNoContent)
		w.WriteHeader(http.StatusForbidden)
		if _, err := io.WriteString(w, "no"); !errors.Is(err, http.ErrBodyNotAllowed) {
			panic("a body was accepted")
		}
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// normal returns the answers without their dates, and with their fields sorted.
func normal(t *testing.T, out string) (answers []string) {
	t.Helper()
	for in := bufio.NewReader(strings.NewReader(out)); ; {
		if _, err := in.Peek(1); err != nil {
			return answers
		}
		r, err := http.ReadResponse(in, nil)
		if err != nil {
			return append(answers, fmt.Sprintf("not an answer: %v in %q", err, out))
		}
		body, err := io.ReadAll(r.Body)
		if date := r.Header.Get("Date"); date != "" {
			if _, err := http.ParseTime(date); err != nil {
				t.Errorf("date %q", date)
			}
			r.Header.Set("Date", "a date")
		}
		answers = append(answers, fmt.Sprintf("%s %s length=%d encoding=%q close=%t %q %q %v", r.Proto, r.Status, r.ContentLength,
			r.TransferEncoding, r.Close, r.Header, body, err))
	}
}

// agree plays the pieces to both servers and compares what the clients and the handlers saw. It
// returns how many requests net/http did not read.
func agree(t *testing.T, pieces ...string) (whole int) {
	t.Helper()
	var reference, own recorder
	a := plain(t, &reference).play(pieces...)
	b := strict(t, &own).play(pieces...)
	seenA, _ := reference.take()
	seenB, whole := own.take()
	if !slices.Equal(seenA, seenB) {
		t.Errorf("the handlers saw for %q\nnet/http: %s\nfront:    %s", pieces, strings.Join(seenA, "\n          "), strings.Join(seenB, "\n          "))
	}
	if x, y := normal(t, a), normal(t, b); !slices.Equal(x, y) {
		t.Errorf("the answers to %q\nnet/http: %s\nfront:    %s", pieces, strings.Join(x, "\n          "), strings.Join(y, "\n          "))
	}
	return whole
}
