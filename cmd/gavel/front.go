package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"

	"gavel/handlers/callback"
)

// front is one listener and its HTTP server. It answers from the moment the
// port is bound: while the process is still waiting for NATS or Redis it says
// 503, so that Twilio comes again instead of waiting for its whole 15 seconds.
type front struct {
	net.Listener
	server  *http.Server
	handler atomic.Pointer[http.Handler]
	leaving atomic.Bool
	ended   chan error
}

// startFront binds an address and answers "not yet" on it.
func startFront(ctx context.Context, address string) (*front, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w; --listen names another address", address, err)
	}
	f := &front{Listener: l, ended: make(chan error, 1)}
	f.show(notYet())
	f.server = &http.Server{
		Handler:        f,
		ReadTimeout:    callback.ReadTimeout,
		WriteTimeout:   writeTimeout,
		IdleTimeout:    callback.IdleTimeout,
		MaxHeaderBytes: callback.MaxHeaderBytes,
	}
	go func() { f.ended <- f.server.Serve(l) }()
	return f, nil
}

// notYet is what a process answers that is not wired yet.
func notYet() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", alive)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "gavel is starting", http.StatusServiceUnavailable)
	})
	return mux
}

// show lets another handler answer from now on.
func (f *front) show(h http.Handler) { f.handler.Store(&h) }

// ServeHTTP hands a request to whoever answers now.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.leaving.Load() {
		w.Header().Set("Connection", "close")
	}
	(*f.handler.Load()).ServeHTTP(w, r)
}

// leave answers on, and asks clients to come again on another connection.
func (f *front) leave() { f.leaving.Store(true) }

// stop takes no new request, waits for those under way, and then for the
// server's end. Stopping twice is harmless.
func (f *front) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	err := f.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("requests were still under way: %w", err), f.server.Close())
	}
	return err
}
