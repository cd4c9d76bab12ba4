package front_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// exchange sends a text and reads one answer.
func exchange(t *testing.T, conn net.Conn, answers *bufio.Reader, text string) *http.Response {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	r, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// untilClosed returns how long the server keeps a connection, and what it writes meanwhile.
func untilClosed(t *testing.T, from io.Reader) (time.Duration, string) {
	t.Helper()
	began := time.Now()
	out, err := io.ReadAll(from)
	if err != nil && !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
	return time.Since(began), string(out)
}

// The sweep makes a timeout up to a second longer than net/http's, and an incomplete request begins
// there a moment later.
func TestTimeoutsAreThoseOfNetHTTP(t *testing.T) {
	t.Parallel()
	for name, sent := range map[string][]string{
		"no request":              {},
		"a byte":                  {"P"},
		"a part of a header":      {request(form)[:60]},
		"a part of a body":        {strings.TrimSuffix(request(form), "A")},
		"idle":                    {request(form)},
		"idle, with a line end":   {request(form), "\r\n"},
		"a byte of the next one":  {request(form), "P"},
		"five bytes of it":        {request(form), "POST "},
		"another kind, then idle": {request(form), request(form, path, "/v1")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				kept, wrote := map[string]time.Duration{}, map[string]string{}
				for server, r := range readers(t, &recorder{}) {
					conn, answers := r.dial(t)
					for i, text := range sent {
						if i < len(sent)-1 || strings.Contains(name, "idle") && !strings.HasPrefix(text, "\r") {
							exchange(t, conn, answers, text)
						} else if _, err := io.WriteString(conn, text); err != nil {
							t.Fatal(err)
						}
					}
					kept[server], wrote[server] = untilClosed(t, answers)
				}
				if late := kept["front"] - kept["net/http"]; late < 0 || late > 1100*time.Millisecond {
					t.Errorf("kept for %v", kept)
				}
				if a, b := normal(t, wrote["net/http"]), normal(t, wrote["front"]); strings.Join(a, "") != strings.Join(b, "") {
					t.Errorf("wrote %q and %q", a, b)
				}
			})
		})
	}
}

// A client that sends requests and reads no answer must not keep a goroutine.
func TestAnAnswerThatIsNotReadEndsTheConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for server, r := range readers(t, &recorder{}) {
			conn, _ := r.dial(t)
			if _, err := io.WriteString(conn, request(form)); err != nil {
				t.Fatal(err)
			}
			<-time.After(32 * time.Second) // nothing is read, and a pipe has no buffer
			if _, err := io.WriteString(conn, "x"); err == nil {
				t.Errorf("%s keeps the connection", server)
			}
		}
	})
}

// Many small pieces of a request must not keep it from net/http's timeouts.
func TestARequestThatTricklesIsPassedOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var own recorder
		conn, answers := strict(t, &own).dial(t)
		raw := request(form)
		for i := range len(raw) {
			if _, err := io.WriteString(conn, raw[i:i+1]); err != nil {
				t.Fatal(err)
			}
			<-time.After(10 * time.Millisecond)
		}
		if r, err := http.ReadResponse(answers, nil); err != nil || r.StatusCode != http.StatusNoContent {
			t.Errorf("%v, %v", r, err)
		}
		if seen, whole := own.take(); len(seen) != 1 || whole != 0 {
			t.Errorf("%d of %d requests were read without net/http", whole, len(seen))
		}
	})
}

// held is a handler that waits until it is released or its request is canceled. A request with a
// query does not wait.
type held struct {
	begun   chan struct{}
	release chan struct{}
	ended   chan error
}

func newHeld() *held { return &held{make(chan struct{}), make(chan struct{}), make(chan error, 10)} }

func (h *held) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if _, err := io.ReadAll(q.Body); err != nil || q.URL.RawQuery != "" { // net/http watches once a body has been read
		w.WriteHeader(http.StatusNoContent)
		return
	}
	h.begun <- struct{}{}
	select {
	case <-h.release:
	case <-q.Context().Done():
	}
	h.ended <- q.Context().Err()
	w.WriteHeader(http.StatusNoContent)
}

// Without this, requests whose senders have left fill the door while the journal hangs.
func TestARequestIsCanceledWhenItsSenderLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for server, h := range map[string]*held{"net/http": newHeld(), "front": newHeld()} {
			conn, _ := readers(t, h)[server].dial(t)
			if _, err := io.WriteString(conn, request(form)); err != nil {
				t.Fatal(err)
			}
			<-h.begun
			began := time.Now()
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
			if err := <-h.ended; !errors.Is(err, context.Canceled) || time.Since(began) > 3*time.Second {
				t.Errorf("%s: %v after %s", server, err, time.Since(began))
			}
		}
	})
}

// The watch of a slow handler reads a byte of the next request, which must not be lost.
func TestARequestBehindASlowOneIsAnswered(t *testing.T) {
	t.Parallel()
	for _, waits := range []time.Duration{0, 10 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			h := newHeld()
			conn, answers := strict(t, h).dial(t)
			sent := make(chan error, 1)
			go func() {
				_, err := io.WriteString(conn, request(form))
				<-time.After(waits / 2)
				_, second := io.WriteString(conn, request(form))
				sent <- errors.Join(err, second)
			}()
			for range 2 {
				<-h.begun
				<-time.After(waits)
				h.release <- struct{}{}
				if err := <-h.ended; err != nil {
					t.Errorf("after %s: %v", waits, err)
				}
				if r, err := http.ReadResponse(answers, nil); err != nil || r.StatusCode != http.StatusNoContent {
					t.Fatalf("after %s: %v, %v", waits, r, err)
				}
			}
			if err := <-sent; err != nil {
				t.Error(err)
			}
		})
	}
}

// What is under way when the server stops is answered, and its connection ends.
func TestAStopAnswersWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		server, quick := strict(t, h), request(form, path, path+"?quick")
		unused, unusedAnswers := server.dial(t)
		idle, idleAnswers := server.dial(t)
		exchange(t, idle, idleAnswers, quick)
		busy, busyAnswers := server.dial(t)
		if _, err := io.WriteString(busy, request(form)); err != nil {
			t.Fatal(err)
		}
		<-h.begun
		stopped := make(chan error, 1)
		go func() { stopped <- server.shutdown(t) }()
		if took, _ := untilClosed(t, idleAnswers); took > 125*time.Millisecond {
			t.Errorf("the idle connection ends after %s", took)
		}
		if r := exchange(t, unused, unusedAnswers, quick); r.StatusCode != http.StatusNoContent || !r.Close {
			t.Errorf("the first request of a new connection: %v", r)
		}
		<-time.After(8 * time.Second)
		select {
		case err := <-stopped:
			t.Errorf("the stop did not wait: %v", err)
		default:
		}
		h.release <- struct{}{}
		if r, err := http.ReadResponse(busyAnswers, nil); err != nil || r.StatusCode != http.StatusNoContent || !r.Close {
			t.Errorf("the request under way: %v, %v", r, err)
		}
		if err := <-stopped; err != nil {
			t.Errorf("stop: %v", err)
		}
		if err := server.shutdown(t); err != nil {
			t.Errorf("second stop: %v", err)
		}
	})
}

// Senders with a connection that is idle for a moment, and with a new one, may send while the server
// stops.
func TestARequestThatComesWithAStopIsAnswered(t *testing.T) {
	t.Parallel()
	for kind, text := range map[string]string{"usual": request(form), "others": request(form, path, "/v1")} {
		synctest.Test(t, func(t *testing.T) {
			server := strict(t, &recorder{})
			conn, answers := server.dial(t)
			exchange(t, conn, answers, text)
			stopped := make(chan error, 1)
			go func() { stopped <- server.shutdown(t) }()
			<-time.After(50 * time.Millisecond)
			next, nextAnswers := server.dial(t)
			if r := exchange(t, conn, answers, text); r.StatusCode != http.StatusNoContent || !r.Close {
				t.Errorf("%s, on a connection that was idle: %s", kind, r.Status)
			}
			if r := exchange(t, next, nextAnswers, text); r.StatusCode != http.StatusNoContent || !r.Close {
				t.Errorf("%s, on a new connection: %s", kind, r.Status)
			}
			if err := <-stopped; err != nil {
				t.Error(err)
			}
		})
	}
}

// A new connection without a request does not delay the stop for longer than net/http's would.
func TestAStopEndsUnusedConnections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := strict(t, &recorder{})
		server.dial(t)
		synctest.Wait()
		began := time.Now()
		if err := server.shutdown(t); err != nil || time.Since(began) > 2*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

// shortly is an error of a listener that passes, as too many open files do.
type shortly struct{ error }

func (shortly) Timeout() bool   { return false }
func (shortly) Temporary() bool { return true }

func TestAnErrorOfThePortThatPassesEndsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := strict(t, &recorder{})
		for range 3 {
			server.faults <- shortly{errors.New("too many open files")}
		}
		conn, answers := server.dial(t)
		if r := exchange(t, conn, answers, request(form)); r.StatusCode != http.StatusNoContent {
			t.Error(r.Status)
		}
	})
}
