package front_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// crowd opens so many connections, each with a request whose handler waits.
func crowd(t *testing.T, r reader, h *held, n int, to string) (all []*bufio.Reader) {
	t.Helper()
	for range n {
		conn, answers := r.dial(t)
		if _, err := io.WriteString(conn, request(form, path, to)); err != nil {
			t.Fatal(err)
		}
		<-h.begun
		all = append(all, answers)
	}
	return all
}

// accepts reports whether the server accepts another connection now.
func (p port) accepts() bool {
	synctest.Wait()
	_, server := net.Pipe()
	select {
	case p.conns <- server:
		return true
	default:
		return false
	}
}

// In an overload the surplus must cost nothing: to refuse it costs as much as callbacks need.
func TestBeyondItsPlacesAServerLeavesConnectionsToTheKernel(t *testing.T) {
	t.Parallel()
	for kind, to := range map[string]string{"usual": path, "others": "/v1/events"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHeld()
				server := crowded(t, h, 4)
				busy := crowd(t, server, h, 4, to)
				next, answers := server.dial(t) // waits for a place
				answered := make(chan error, 1)
				go func() {
					_, err := io.WriteString(next, request(form, path, path+"?quick"))
					if err == nil {
						_, err = http.ReadResponse(answers, nil)
					}
					answered <- err
				}()
				<-time.After(20 * time.Second)
				if server.accepts() {
					t.Error("it accepts a second connection without a place")
				}
				select {
				case err := <-answered:
					t.Fatalf("it serves a connection without a place: %v", err)
				default:
				}
				close(h.release)
				for n, of := range busy {
					if r, err := http.ReadResponse(of, nil); err != nil || r.StatusCode != http.StatusNoContent {
						t.Errorf("request %d, which was under way: %v, %v", n, r, err)
					}
				}
				if err := <-answered; err != nil {
					t.Errorf("the connection that waited: %v", err)
				}
			})
		})
	}
}

// Senders that connect and send nothing, or a part of a request, do not keep others out.
func TestAConnectionThatWaitsForARequestMakesRoom(t *testing.T) {
	t.Parallel()
	for name, sent := range map[string][]string{
		"nothing":                    nil,
		"a part of a header":         {request(form)[:60]},
		"a request, then nothing":    {request(form)},
		"another kind, then nothing": {request(form, path, "/v1")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const places = 8
				server := crowded(t, &recorder{}, places)
				for range 10 * places {
					conn, answers := server.dial(t)
					for _, text := range sent {
						if _, err := io.WriteString(conn, text); err != nil {
							t.Fatal(err)
						}
					}
					go io.Copy(io.Discard, answers) //nolint:errcheck // ends with the connection
				}
				conn, answers := server.dial(t)
				if r := exchange(t, conn, answers, request(form)); r.StatusCode != http.StatusNoContent {
					t.Error(r.Status)
				}
			})
		})
	}
}

// While all places are free, nothing is hurried.
func TestAConnectionIsKeptWhileThereAreOtherPlaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := crowded(t, &recorder{}, 2)
		conn, answers := server.dial(t)
		for range 40 {
			if r := exchange(t, conn, answers, request(form)); r.Close {
				t.Fatal("an answer ends its connection")
			}
		}
		<-time.After(50 * time.Second)
		if r := exchange(t, conn, answers, request(form)); r.StatusCode != http.StatusNoContent {
			t.Error(r.Status)
		}
	})
}

// A few connections that are never idle must not keep out all others.
func TestBusyConnectionsTakeTurnsWithOneThatWaits(t *testing.T) {
	t.Parallel()
	for kind, text := range map[string]string{"usual": request(form), "others": request(form, path, "/v1")} {
		synctest.Test(t, func(t *testing.T) {
			server := crowded(t, &recorder{}, 1)
			busy, busyAnswers := server.dial(t)
			exchange(t, busy, busyAnswers, text)
			next, answers := server.dial(t)
			synctest.Wait() // it waits
			for n := 1; n <= 9; n++ {
				if r := exchange(t, busy, busyAnswers, text); r.Close {
					if n != 8 {
						t.Errorf("%s: answer %d ends its connection", kind, n)
					}
					break
				} else if n == 9 {
					t.Fatalf("%s: no answer ends its connection", kind)
				}
			}
			if r := exchange(t, next, answers, text); r.Close {
				t.Errorf("%s: nothing waits, and an answer ends its connection", kind)
			}
		})
	}
}

func TestAStopDoesNotWaitForAConnectionWithoutAPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		server := crowded(t, h, 1)
		busy := crowd(t, server, h, 1, path)
		_, answers := server.dial(t)
		synctest.Wait()
		stopped := make(chan error, 1)
		go func() { stopped <- server.shutdown(t) }()
		if _, out := untilClosed(t, answers); out != "" {
			t.Errorf("the connection without a place got %q", out)
		}
		close(h.release)
		if r, err := http.ReadResponse(busy[0], nil); err != nil || r.StatusCode != http.StatusNoContent {
			t.Errorf("the request under way: %v, %v", r, err)
		}
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
}
