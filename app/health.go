package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"gavel/handlers/project"
	"gavel/internal/bus"
)

const (
	// lagLimit is how far the picture may be behind the journal. Beyond it the process
	// is not ready, because its answers are too old to be useful.
	lagLimit = 10 * time.Second
	// checkTime bounds one check of all dependencies.
	checkTime = 2 * time.Second
	// followedFor is how long after a query a load balancer counts as following
	// readiness: Kubernetes queries every 10 s by default.
	followedFor = 15 * time.Second
	// noticeTime is how long a load balancer has to notice that the process is
	// stopping: those set up for it query every second.
	noticeTime = 2 * time.Second
)

// readiness reports whether the process can work.
type readiness struct {
	*App
	stopping atomic.Bool
	asked    atomic.Int64 // time of the last query, Unix time in ns
}

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

// missing returns the failed checks, each with its error, sorted by name.
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
	writeHealth(w, r.check(request.Context(), true))
}

// door answers for the door alone, which stays open while the picture is being
// filled: a load balancer that used /readyz would lose callbacks meanwhile.
func (r *readiness) door(w http.ResponseWriter, request *http.Request) {
	r.asked.Store(time.Now().UnixNano())
	writeHealth(w, r.check(request.Context(), false))
}

// stop turns readiness off, and leaves a load balancer that follows it time to notice while every
// request is still answered: a callback that is sent to a closed port, or on a connection that is
// just being closed, is lost, because Twilio tries again only where it could not connect.
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

func (r *readiness) check(ctx context.Context, picture bool) health {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	h := health{Ready: true, Checks: map[string]check{
		"process": {OK: true},
		"journal": r.journal(ctx, picture),
	}}
	if r.stopping.Load() {
		h.Checks["process"] = failing("is stopping")
	}
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

// journal checks what the store's conditions leave to the door, or to the whole process.
func (r *readiness) journal(ctx context.Context, all bool) check {
	fault := r.bus.Store().Door
	if all {
		fault = r.bus.Store().Ready
	}
	if err := fault(); err != nil {
		return failing(err.Error())
	}
	usage, err := r.bus.Journal().Usage(ctx)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		// A stream does not answer during an fsync. The store's conditions say when that is too
		// long; until then a balancer that drops the door would lose callbacks.
		return check{OK: true, Warning: "does not answer within 2 s"}
	case err != nil:
		return failing(err.Error())
	}
	return fullness(usage.Full())
}

// fullness warns of a journal that fills up, so that an operator has time before it is not ready.
func fullness(full float64) check {
	if full < bus.NearlyFull {
		return check{OK: true}
	}
	return check{OK: true, Warning: fmt.Sprintf("is %.0f %% full", full*100)}
}

// picture makes a query to Redis, as a reader of the picture does.
func (r *readiness) picture(ctx context.Context) check {
	if _, err := r.store.Accounts(ctx); err != nil {
		return failing(err.Error())
	}
	return check{OK: true}
}

// projectorCheck returns the first failure of a lane.
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
	// A client that has gone gets no answer.
	_ = json.NewEncoder(w).Encode(h)
}

// readyEvery is how often AwaitReady checks.
const readyEvery = 20 * time.Millisecond

// AwaitReady waits until every part is ready. If ctx ends before, the error names
// the parts that are not.
func (a *App) AwaitReady(ctx context.Context) error {
	tick := time.NewTicker(readyEvery)
	defer tick.Stop()
	for {
		now := a.ready.check(ctx, true)
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
