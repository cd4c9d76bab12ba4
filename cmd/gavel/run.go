package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"gavel/handlers/api"
	"gavel/handlers/callback"
	"gavel/handlers/rest"
)

const (
	// answerTime is how long a request under way may still take when the
	// process stops: the door's own budget. The rest of the drain time is for
	// what comes after it.
	answerTime = callback.AppendBudget
	// writeTimeout bounds the writing of an answer; a stream counts each of its
	// writes by itself.
	writeTimeout = 30 * time.Second
)

// until waits for ctx to end or for a part to fail, and stops everything.
//
// What start registered is stopped newest first, which gives this order:
// readiness goes off, so that nobody sends more; the HTTP servers take no new
// request and finish those under way, whose events are then in the journal;
// the door tells what it left out; the projector ends with the batch it is at,
// and what it did not acknowledge comes again at the next start; the store;
// NATS last, because all the others need it.
func (a *app) until(ctx context.Context) error {
	var failure error
	select {
	case <-ctx.Done():
	case failure = <-a.failed:
		a.log.Error("a part failed, the process ends", "error", failure)
	}
	return errors.Join(failure, a.life.stop(ctx))
}

// serve begins to answer on the listeners.
func (a *app) serve() {
	if a.admin == a.public {
		mux := http.NewServeMux()
		a.publicRoutes(mux)
		a.adminRoutes(mux)
		a.serveOn(a.public, mux)
		return
	}
	public, admin := http.NewServeMux(), http.NewServeMux()
	a.publicRoutes(public)
	a.adminRoutes(admin)
	a.serveOn(a.admin, admin)
	a.serveOn(a.public, public)
}

// publicRoutes are for Twilio.
func (a *app) publicRoutes(mux *http.ServeMux) {
	if a.door != nil {
		mux.Handle("/twilio/", a.door)
	}
}

// adminRoutes are for everybody else.
func (a *app) adminRoutes(mux *http.ServeMux) {
	if a.rest != nil {
		mux.Handle(rest.Prefix, a.rest)
		mux.Handle(api.Prefix, a.api)
	}
	mux.HandleFunc("GET /healthz", alive)
	mux.HandleFunc("GET /readyz", a.ready.all)
	mux.HandleFunc("GET /readyz/door", a.ready.door)
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.metrics, promhttp.HandlerOpts{Registry: a.metrics}))
}

// alive says that the process answers. Whether it is of use, /readyz says.
func alive(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, "ok")
}

// serveOn answers on one listener until the process stops.
func (a *app) serveOn(l net.Listener, handler http.Handler) {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: callback.ReadHeaderTimeout,
		ReadTimeout:       callback.ReadTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       callback.IdleTimeout,
		MaxHeaderBytes:    callback.MaxHeaderBytes,
	}
	if a.api != nil {
		server.RegisterOnShutdown(a.api.Stop)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			a.fail(fmt.Errorf("serve HTTP: %w", err))
		}
	}()
	a.life.onStop("http "+l.Addr().String(), func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, answerTime)
		defer cancel()
		err := server.Shutdown(ctx)
		if err != nil {
			err = errors.Join(fmt.Errorf("requests were still under way: %w", err), server.Close())
		}
		<-ended
		return err
	})
}

// work runs a part until it is stopped. A part that ends before that ends the
// process: it is better started anew than half alive.
func (a *app) work(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := run(ctx); err != nil && ctx.Err() == nil {
			a.fail(fmt.Errorf("%s: %w", name, err))
		}
	}()
	a.life.onStop(name, func(stopping context.Context) error {
		cancel()
		select {
		case <-ended:
			return nil
		case <-stopping.Done():
			return context.Cause(stopping)
		}
	})
}

func (a *app) fail(err error) {
	select {
	case a.failed <- err:
	default: // one reason to end is enough
	}
}
