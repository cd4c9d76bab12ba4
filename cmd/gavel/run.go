package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"gavel/handlers/announce"
	"gavel/handlers/api"
	"gavel/handlers/callback"
	"gavel/handlers/rest"
)

const (
	// answerTime is how long a request under way may still take when the
	// process stops: the door's own budget, and enough for a write to Twilio
	// (the next line does not compile otherwise). The rest of the drain time is
	// for what comes after it.
	answerTime = callback.AppendBudget
	_          = uint64(answerTime - rest.WriteTime)
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

// serve lets the fronts answer for real.
func (a *app) serve() {
	admin := http.NewServeMux()
	a.adminRoutes(admin)
	if a.admin == a.public {
		a.showOn(a.public, a.doorOr(admin))
		return
	}
	a.showOn(a.admin, admin)
	a.showOn(a.public, a.doorOr(http.NotFoundHandler()))
}

// showOn answers on one front until the process stops. Its stop is registered
// here and not when the port was bound: requests must end before the parts
// that they need.
func (a *app) showOn(f *front, handler http.Handler) {
	if a.api != nil {
		f.server.RegisterOnShutdown(a.api.Stop)
	}
	f.show(handler)
	a.work("HTTP server", func(ctx context.Context) error {
		select {
		case err := <-f.ended:
			if errors.Is(err, http.ErrServerClosed) {
				return nil
			}
			return err
		case <-ctx.Done():
			return nil
		}
	})
	a.life.onStop("http "+f.Addr().String(), f.stop)
}

// doorOr sends Twilio's requests to the door and all others on. The door stands
// before the mux, which would redirect a path that is not as it should be: a
// redirected callback arrives without its parameters.
func (a *app) doorOr(others http.Handler) http.Handler {
	if a.door == nil {
		return others
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, announce.Path):
			a.announcements.ServeHTTP(w, r)
			return
		case strings.HasPrefix(r.URL.Path, "/twilio/"):
			a.door.ServeHTTP(w, r)
			return
		}
		others.ServeHTTP(w, r)
	})
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
		}
		select {
		case <-ended: // also in time: another part used up the time
			return nil
		default:
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
