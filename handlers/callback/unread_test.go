package callback_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gavel/events"
	"gavel/handlers/callback"
	"gavel/internal/front"
	"gavel/internal/twilio"
)

// The connections of these tests are in memory and time is virtual, so that thousands of slow
// senders cost neither file descriptors nor time. net/http's server is real.

// port is a listener in memory.
type port struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p port) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p port) Close() error   { return nil }
func (p port) Addr() net.Addr { return sender("") }

// sender is the address of a client.
type sender string

func (s sender) Network() string { return "tcp" }
func (s sender) String() string  { return string(s) }

// from is a connection from a sender.
type from struct {
	net.Conn
	sender
}

func (f from) RemoteAddr() net.Addr { return f.sender }

// dial opens a connection from an address. Everything that the server answers goes to the reader.
func (p port) dial(address string) (net.Conn, *bufio.Reader) {
	client, server := net.Pipe()
	select {
	case p.conns <- from{server, sender(address)}:
	case <-p.closed:
		_ = client.Close()
	}
	return client, bufio.NewReader(client)
}

// open serves the door with the limits of the process, by net/http alone.
func (w *world) open(t *testing.T) port {
	t.Helper()
	p, server := w.server()
	p.serve(t, func() error { return server.Serve(p) }, server.Close)
	return p
}

// openFront serves the door as the process does.
func (w *world) openFront(t *testing.T) port {
	t.Helper()
	p, web := w.server()
	server := front.New(p, web, 12_000, callback.ConferencePath)
	p.serve(t, server.Serve, server.Close)
	return p
}

func (w *world) server() (port, *http.Server) {
	p := port{make(chan net.Conn), make(chan struct{})}
	return p, &http.Server{Handler: w.door, ReadTimeout: callback.ReadTimeout, WriteTimeout: 30 * time.Second}
}

func (p port) serve(t *testing.T, serve, end func() error) {
	t.Helper()
	ended := make(chan error)
	go func() { ended <- serve() }()
	t.Cleanup(func() {
		close(p.closed)
		if err := end(); err != nil {
			t.Error(err)
		}
		<-ended
	})
}

// inTime makes a world whose clock is the test's.
func inTime(c *callback.Config) { c.Now = time.Now }

// genuine is a signed callback, as header and body.
func genuine(t *testing.T) (header, body string) {
	t.Helper()
	body = join().Encode()
	return requestOf(twilio.Sign(token, public+callback.ConferencePath, params(t, body)), len(body)), body
}

func requestOf(signature string, length int) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: hooks.example.com\r\nContent-Type: application/x-www-form-urlencoded\r\n"+
		"X-Twilio-Signature: %s\r\nContent-Length: %d\r\n\r\n", callback.ConferencePath, signature, length)
}

// madeUp has the form of a signature.
var madeUp = strings.Repeat("A", 27) + "="

// send writes a text, and returns the status of the answer.
func send(conn net.Conn, answers *bufio.Reader, text string) (*http.Response, error) {
	if _, err := io.WriteString(conn, text); err != nil {
		return nil, err
	}
	return http.ReadResponse(answers, nil)
}

// slowly sends one byte a second of a body with a made-up signature until the port closes. It
// connects again whenever the server closes the connection.
func (p port) slowly(address string) {
	for {
		select {
		case <-p.closed:
			return
		default:
		}
		conn, answers := p.dial(address)
		go io.Copy(io.Discard, answers) //nolint:errcheck // ends with the connection
		_, err := io.WriteString(conn, requestOf(madeUp, 1000))
		for err == nil {
			select {
			case <-p.closed:
				err = net.ErrClosed
			case <-time.After(time.Second):
				_, err = io.WriteString(conn, "x")
			}
		}
		_ = conn.Close()
	}
}

func TestTenThousandSlowBodiesDoNotCloseTheDoor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, inTime)
		p := w.open(t)
		for n := range 10_300 {
			go p.slowly(fmt.Sprintf("198.51.100.%d:%d", n%4, 1024+n))
		}
		<-time.After(2 * time.Second) // all of them have sent a byte
		header, body := genuine(t)
		conn, answers := p.dial("203.0.113.1:443")
		for n := range 30 {
			resp, err := send(conn, answers, header+body)
			if err != nil || resp.StatusCode != http.StatusNoContent {
				t.Fatalf("genuine callback %d: %v, %v", n, resp, err)
			}
			<-time.After(100 * time.Millisecond)
		}
		if got := w.counted(t, "gavel_refused_total", "body-slow"); got < 10_300-1_024 {
			t.Errorf("%v slow bodies were ended", got)
		}
		_ = conn.Close()
	})
}

func TestABodyThatIsNotCompleteInTimeIsEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, inTime)
		p, began := w.open(t), time.Now()
		header, body := genuine(t)
		conn, answers := p.dial("203.0.113.1:443")
		resp, err := send(conn, answers, header+body[:10])
		if err != nil || resp.StatusCode != http.StatusRequestTimeout || !resp.Close {
			t.Fatalf("got %v, %v; want 408 and the end of the connection", resp, err)
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("ended after %s", took)
		}
		if got := w.counted(t, "gavel_refused_total", "body-slow"); got != 1 {
			t.Errorf("counted %v", got)
		}
		_ = conn.Close()
	})
}

// The package front reads only requests that have arrived, so the limits of slow bodies hold behind it.
func TestSlowBodiesAreEndedBehindTheFront(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, inTime)
		p, began := w.openFront(t), time.Now()
		for n := range 1_100 {
			go p.slowly(fmt.Sprintf("198.51.100.%d:%d", n%2, 1024+n))
		}
		header, body := genuine(t)
		slow, answer := p.dial("203.0.113.2:443")
		if resp, err := send(slow, answer, header+body[:10]); err != nil || resp.StatusCode != http.StatusRequestTimeout || !resp.Close {
			t.Errorf("got %v, %v; want 408 and the end of the connection", resp, err)
		}
		if took := time.Since(began); took < 5*time.Second || took > 5200*time.Millisecond {
			t.Errorf("ended after %s", took)
		}
		if got := w.counted(t, "gavel_refused_total", "body-slow"); got < 1_100-512 {
			t.Errorf("%v slow bodies were ended", got)
		}
		fast, answers := p.dial("203.0.113.1:443")
		if resp, err := send(fast, answers, header+body); err != nil || resp.StatusCode != http.StatusNoContent {
			t.Errorf("a genuine callback: %v, %v", resp, err)
		}
		for _, conn := range []net.Conn{slow, fast} {
			_ = conn.Close()
		}
	})
}

// A slow genuine body keeps its place while another sender opens any number.
func TestASenderPushesOutItsOwnBodiesFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, inTime)
		p := w.open(t)
		header, body := genuine(t)
		conn, answers := p.dial("[2001:db8:1::7]:443")
		if _, err := io.WriteString(conn, header+body[:10]); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for n := range 3_000 { // of one network, whose sender can have all addresses
			go p.slowly(fmt.Sprintf("[2001:db8:2::%x]:443", n+1))
		}
		<-time.After(2 * time.Second)
		resp, err := send(conn, answers, body[10:])
		if err != nil || resp.StatusCode != http.StatusNoContent {
			t.Errorf("got %v, %v", resp, err)
		}
		_ = conn.Close()
	})
}

// late is a body that is complete after a time. net/http then cancels the request, because the door
// has ended the reading meanwhile.
type late struct {
	after time.Duration
	body  io.Reader
	end   context.CancelFunc
}

func (l *late) Read(p []byte) (int, error) {
	<-time.After(l.after)
	l.end()
	return l.body.Read(p)
}

// A body that is complete is a callback, whatever happened to its place a moment before.
func TestABodyThatIsCompleteIsAccepted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, inTime)
		w.journal.failWith(func(ctx context.Context, _ events.Entry) error { return ctx.Err() })
		ctx, end := context.WithCancel(t.Context())
		form := join().Encode()
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, callback.ConferencePath, &late{6 * time.Second, strings.NewReader(form), end})
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set(twilio.SignatureHeader, twilio.Sign(token, public+callback.ConferencePath, params(t, form)))
		resp := w.send(r)
		wantStatus(t, resp, http.StatusNoContent)
		if resp.Header.Get("Connection") != "close" {
			t.Error("the connection is kept, with a deadline that has passed")
		}
	})
}

func TestBeyondTheLimitOfAllSendersTheOldestBodyIsEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, inTime)
		p := w.open(t)
		var conns []net.Conn
		for n := range 1_024 {
			conn, answers := p.dial(fmt.Sprintf("198.51.%d.%d:443", n/8, n%8))
			conns = append(conns, conn)
			go io.Copy(io.Discard, answers) //nolint:errcheck // ends with the connection
			if _, err := io.WriteString(conn, requestOf(madeUp, 1000)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if got := w.counted(t, "gavel_refused_total", "body-slow"); got != 0 {
			t.Errorf("within the limit %v are ended", got)
		}
		header, body := genuine(t)
		conn, answers := p.dial("203.0.113.1:443")
		if resp, err := send(conn, answers, header+body); err != nil || resp.StatusCode != http.StatusNoContent {
			t.Errorf("genuine: %v, %v", resp, err)
		}
		synctest.Wait()
		if got := w.counted(t, "gavel_refused_total", "body-slow"); got != 1 {
			t.Errorf("%v are ended, want the oldest", got)
		}
		if _, err := io.WriteString(conns[0], "x"); err == nil {
			t.Error("the oldest is still read")
		}
		for _, c := range append(conns, conn) {
			_ = c.Close()
		}
	})
}
