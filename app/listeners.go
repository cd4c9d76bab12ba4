package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"gavel/handlers/announce"
	"gavel/handlers/api"
	"gavel/handlers/callback"
	"gavel/handlers/rest"
	"gavel/internal/front"
	"gavel/internal/measure"
	"gavel/internal/twilio"
)

const (
	// AnswerTime is how long a request under way may still take when the process stops: the door's
	// own budget, and enough for a write to Twilio (the next line does not compile otherwise). The
	// rest of the time to stop is for the parts that stop after it.
	AnswerTime = callback.AppendBudget
	_          = uint64(AnswerTime - rest.WriteTime)
	// writeTimeout bounds the writing of an answer; a stream counts each of its writes by itself.
	writeTimeout = 30 * time.Second
	// maxConnections bounds the connections of a port. With a memory limit it is lower: they may
	// use that share of it, 1 in 8, at connectionBytes each: buffers, goroutines, a request and
	// its answer, and the kernel's part.
	maxConnections   = 12_000
	leastConnections = 256
	connectionShare  = 8
	connectionBytes  = 40 << 10
)

// connectionsOf returns how many connections a port has at once with a memory limit, 0 for none.
func connectionsOf(memoryLimit int64) int {
	if memoryLimit <= 0 {
		return maxConnections
	}
	return int(min(max(memoryLimit/connectionShare/connectionBytes, leastConnections), maxConnections))
}

// Listener is a port and its HTTP server. It answers from the moment the port is
// bound: while the process still waits for NATS or Redis it answers 503, so that
// Twilio tries again instead of waiting for its whole 15 seconds.
type Listener struct {
	listener net.Listener
	web      *http.Server
	server   *front.Server // calls web for all but callbacks
	handler  atomic.Pointer[http.Handler]
	leaving  atomic.Bool
	ended    chan error
}

// Listen binds an address and answers "not yet" on it. A memory limit, in bytes, bounds the
// connections; 0 is none.
func Listen(ctx context.Context, address string, memoryLimit int64) (*Listener, error) {
	var config net.ListenConfig
	port, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w; --listen names another address", address, err)
	}
	l := &Listener{listener: port, ended: make(chan error, 1)}
	l.Show(notYet())
	l.web = &http.Server{
		Handler:        l,
		ReadTimeout:    callback.ReadTimeout,
		WriteTimeout:   writeTimeout,
		IdleTimeout:    callback.IdleTimeout,
		MaxHeaderBytes: callback.MaxHeaderBytes,
	}
	l.server = front.New(port, l.web, connectionsOf(memoryLimit), callback.ConferencePath, callback.RecordingPath)
	go func() { l.ended <- l.server.Serve() }()
	return l, nil
}

// notYet answers while the process starts.
func notYet() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // a mux would redirect some paths
		if r.URL.Path == "/healthz" {
			alive(w, r)
			return
		}
		if strings.HasPrefix(r.URL.Path, rest.Prefix) {
			rest.Starting().ServeHTTP(w, r)
			return
		}
		w.Header().Set("Retry-After", "1")
		http.Error(w, "gavel is starting", http.StatusServiceUnavailable)
	})
}

// Address returns the HOST:PORT where this machine reaches the listener, with
// 127.0.0.1 if it listens on all addresses.
func (l *Listener) Address() string {
	tcp, ok := l.listener.Addr().(*net.TCPAddr)
	if ok && tcp.IP.IsUnspecified() {
		return fmt.Sprintf("127.0.0.1:%d", tcp.Port)
	}
	return l.listener.Addr().String()
}

// Show replaces the handler.
func (l *Listener) Show(h http.Handler) { l.handler.Store(&h) }

// Ended delivers why the server ended: http.ErrServerClosed after a Stop.
func (l *Listener) Ended() <-chan error { return l.ended }

// ServeHTTP answers a request with the current handler. After leave it also closes the connection.
func (l *Listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if l.leaving.Load() {
		w.Header().Set("Connection", "close")
	}
	(*l.handler.Load()).ServeHTTP(w, r)
}

// leave makes ServeHTTP close the connection after each answer, so that the next
// request opens another one. Requests are still answered.
func (l *Listener) leave() { l.leaving.Store(true) }

// Stop accepts no new request and waits up to AnswerTime for those under way.
// Stopping twice is harmless.
func (l *Listener) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, AnswerTime)
	defer cancel()
	err := l.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("requests were still under way: %w", err), l.server.Close())
	}
	return err
}

// listen binds the ports. Only then is the public URL known, if it is made of one.
func (a *App) listen(ctx context.Context) (err error) {
	if a.public, err = a.bind(ctx, a.Listen); err != nil {
		return err
	}
	a.admin = a.public
	if a.AdminListen != "" {
		if a.admin, err = a.bind(ctx, a.AdminListen); err != nil {
			return err
		}
	}
	if a.PublicURL == "" {
		a.PublicURL = "http://" + a.public.Address()
	}
	a.PublicURL, a.shownURL = twilio.WithoutUser(a.PublicURL)
	a.measureListeners()
	return nil
}

// measureListeners counts the connections of both ports together.
func (a *App) measureListeners() {
	servers := []*front.Server{a.public.server}
	if a.admin != a.public {
		servers = append(servers, a.admin.server)
	}
	sum := func(of func(*front.Server) float64) func() float64 {
		return func() (n float64) {
			for _, s := range servers {
				n += of(s)
			}
			return n
		}
	}
	m := measure.With(a.metrics)
	m.GaugeFunc("gavel_connections", "Open HTTP connections.",
		sum(func(s *front.Server) float64 { return float64(s.Connections()) }))
	m.CounterFunc("gavel_connections_waited_total", "HTTP connections that waited for a place. Beyond one the kernel holds them, or their senders wait.",
		sum(func(s *front.Server) float64 { return float64(s.Waited()) }))
}

func (a *App) bind(ctx context.Context, address string) (*Listener, error) {
	l, err := Listen(ctx, address, a.MemoryLimit)
	if err != nil {
		return nil, err
	}
	a.life.onStop("listener "+address, l.Stop)
	return l, nil
}

// serve replaces the handler notYet by the handlers of the parts.
func (a *App) serve() {
	admin := http.NewServeMux()
	a.adminRoutes(admin)
	if a.admin == a.public {
		a.showOn(a.public, a.doorOr(a.straight(admin)))
		return
	}
	a.showOn(a.admin, a.straight(admin))
	a.showOn(a.public, a.doorOr(http.NotFoundHandler()))
}

// showOn answers on one listener until the process stops. Its stop is registered here and not when
// the port was bound: requests must end before the parts that they need.
func (a *App) showOn(l *Listener, handler http.Handler) {
	if a.api != nil {
		l.web.RegisterOnShutdown(a.api.Stop)
	}
	l.Show(handler)
	a.Go("HTTP server", func(ctx context.Context) error {
		select {
		case err := <-l.ended:
			if errors.Is(err, http.ErrServerClosed) {
				return nil
			}
			return err
		case <-ctx.Done():
			return nil
		}
	})
	a.life.onStop("http "+l.listener.Addr().String(), l.Stop)
}

// doorOr routes Twilio's requests to the door and all others to the other
// handler. It stands before the mux, which would redirect a path that is not in
// its canonical form: a redirected callback arrives without its parameters.
func (a *App) doorOr(others http.Handler) http.Handler {
	if a.door == nil {
		return others
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, announce.Path):
			a.announcements.ServeHTTP(w, r)
			return
		case strings.HasPrefix(r.URL.Path, "/twilio/"), strings.HasPrefix(path.Clean("/"+r.URL.Path), "/twilio/"):
			a.door.ServeHTTP(w, r)
			return
		}
		others.ServeHTTP(w, r)
	})
}

// straight answers a path that the mux would redirect because it has empty or dotted elements. A
// base URL that ends in a slash makes such paths, and Twilio's Go client takes a
// redirect for success: the write would never happen.
func (a *App) straight(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		clean := path.Clean("/" + r.URL.Path)
		switch {
		case a.rest != nil && strings.HasPrefix(clean+"/", rest.Prefix):
			a.rest.ServeHTTP(w, r) // 404 in Twilio's shape
		case r.URL.Path != clean && r.URL.Path != clean+"/":
			http.NotFound(w, r)
		default:
			mux.ServeHTTP(w, r)
		}
	})
}

// adminRoutes adds the routes for all clients except Twilio.
func (a *App) adminRoutes(mux *http.ServeMux) {
	if a.rest != nil {
		mux.Handle(rest.Prefix, a.rest)
		mux.Handle(api.Prefix, a.api)
	}
	mux.HandleFunc("GET /healthz", alive)
	mux.HandleFunc("GET /readyz", a.ready.all)
	mux.HandleFunc("GET /readyz/door", a.ready.door)
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.metrics, promhttp.HandlerOpts{Registry: a.metrics}))
}

// alive answers "ok" while the process runs. /readyz reports whether the process can work.
func alive(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, "ok")
}
