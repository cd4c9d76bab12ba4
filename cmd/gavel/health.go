package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"gavel/handlers/project"
)

const (
	// fullWarning and fullLimit are parts of the journal's room. At the limit
	// the process stops being ready, so that somebody hears of it while there
	// is still time to give the journal more.
	fullWarning = 0.7
	fullLimit   = 0.9
	// lagLimit is how far the picture may be behind before an answer from it is
	// no longer worth having.
	lagLimit = 10 * time.Second
	// checkTime bounds one look at the dependencies.
	checkTime = 2 * time.Second
	// followedFor is how long ago somebody may have asked and still be one who
	// follows: Kubernetes asks every 10 s by itself.
	followedFor = 15 * time.Second
	// noticeTime is what who follows has to hear that the process is stopping:
	// load balancers that are set up for it ask every second.
	noticeTime = 2 * time.Second
)

// readiness knows what the process depends on.
type readiness struct {
	*app
	stopping atomic.Bool
	asked    atomic.Int64 // when somebody last did, Unix time in ns
}

func newReadiness(a *app) *readiness { return &readiness{app: a} }

// health is the answer of /readyz.
type health struct {
	Ready  bool             `json:"ready"`
	Checks map[string]check `json:"checks"`
}

// check is one dependency: ok, ok with a warning, or not ok and why.
type check struct {
	OK      bool   `json:"ok"`
	Warning string `json:"warning,omitempty"`
	Error   string `json:"error,omitempty"`
}

// missing names the dependencies that are not ok, and why.
func (h health) missing() string {
	var faults []string
	for _, name := range slices.Sorted(maps.Keys(h.Checks)) {
		if c := h.Checks[name]; !c.OK {
			faults = append(faults, name+": "+c.Error)
		}
	}
	return strings.Join(faults, "; ")
}

func failing(why string) check { return check{Error: why} }

// all answers for everything that the roles need.
func (r *readiness) all(w http.ResponseWriter, request *http.Request) {
	r.asked.Store(time.Now().UnixNano())
	writeHealth(w, r.look(request.Context(), true))
}

// door answers for the door alone, which stays open while the picture is being
// filled: a load balancer that asked /readyz would lose callbacks meanwhile.
func (r *readiness) door(w http.ResponseWriter, request *http.Request) {
	r.asked.Store(time.Now().UnixNano())
	writeHealth(w, r.look(request.Context(), false))
}

// stop says that the process is stopping, and lets who follows hear of it while
// everything is still answered: what they send to a port that is closed, or on
// a connection that is just being closed, is lost, for Twilio tries again only
// where it could not connect.
func (r *readiness) stop(ctx context.Context) error {
	r.stopping.Store(true)
	if time.Since(time.Unix(0, r.asked.Load())) > followedFor {
		return nil
	}
	r.public.leave()
	r.admin.leave()
	notice := time.NewTimer(noticeTime)
	defer notice.Stop()
	select {
	case <-notice.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (r *readiness) look(ctx context.Context, picture bool) health {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	h := health{Ready: true, Checks: map[string]check{
		"process": either(r.stopping.Load(), failing("is stopping"), check{OK: true}),
		"journal": r.journal(ctx),
	}}
	if picture && r.store != nil {
		h.Checks["picture"] = r.picture(ctx)
	}
	if picture && r.project != nil {
		h.Checks["projector"] = projectorCheck(r.project.States())
	}
	for _, c := range h.Checks {
		h.Ready = h.Ready && c.OK
	}
	return h
}

func (r *readiness) journal(ctx context.Context) check {
	if err := r.bus.Healthy(); err != nil {
		return failing(err.Error())
	}
	usage, err := r.bus.Journal().Usage(ctx)
	if err != nil {
		return failing(err.Error())
	}
	return fullness(usage.Full())
}

// fullness judges which part of the journal's room is taken.
func fullness(full float64) check {
	said := fmt.Sprintf("is %.0f %% full", full*100)
	switch {
	case full >= fullLimit:
		return failing(said)
	case full >= fullWarning:
		return check{OK: true, Warning: said}
	}
	return check{OK: true}
}

// picture asks the store what any reader would ask.
func (r *readiness) picture(ctx context.Context) check {
	if _, err := r.store.Accounts(ctx); err != nil {
		return failing(err.Error())
	}
	return check{OK: true}
}

// projectorCheck judges the lanes: the first that does not do counts.
func projectorCheck(lanes []project.State) check {
	for _, s := range lanes {
		switch {
		case s.Elsewhere:
			continue
		case s.Err != "":
			return failing(fmt.Sprintf("lane %d: %s", s.Lane, s.Err))
		case s.Filling:
			return failing(fmt.Sprintf("lane %d: filling the picture, %d of %d", s.Lane, s.Done, s.Total))
		case !s.Ready:
			return failing(fmt.Sprintf("lane %d: is being taken over", s.Lane))
		case s.Lag > lagLimit:
			return failing(fmt.Sprintf("lane %d: is %s behind", s.Lane, s.Lag.Round(time.Second)))
		}
	}
	return check{OK: true}
}

func writeHealth(w http.ResponseWriter, h health) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !h.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	// A client that went away is told nothing.
	_ = json.NewEncoder(w).Encode(h)
}

// readyEvery is how often a start looks whether it is complete.
const readyEvery = 20 * time.Millisecond

// whenReady waits until everything is ready, or ctx ends.
func (r *readiness) whenReady(ctx context.Context) error {
	tick := time.NewTicker(readyEvery)
	defer tick.Stop()
	for {
		now := r.look(ctx, true)
		if now.Ready {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: %s", context.Cause(ctx), now.missing())
		}
	}
}
