package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"gavel/internal/brakes"
	"gavel/views"
)

// Switch stops what rules do at Twilio, everywhere at once.
type Switch interface {
	// Stopped reports whether rules are stopped. If it cannot find out, it returns
	// true and an error.
	Stopped(ctx context.Context) (bool, brakes.Stop, error)
	Stop(ctx context.Context, reason, by string) error
	Resume(ctx context.Context, reason, by string) error
}

// Lanes fold the journal into the picture.
type Lanes interface {
	// CatchUp waits until the lanes have folded all entries of the journal so far.
	CatchUp(ctx context.Context) error
}

// catchUpTime is how long the answer to a stop waits for the picture. A process
// appends the intent of an action before it reads the stop for the last time, so the
// journal has all that is on the wire.
const catchUpTime = time.Second

// Stop says whether rules are stopped.
type Stop struct {
	Stopped bool       `json:"stopped" doc:"Also true if the state of the stop cannot be read"`
	Reason  string     `json:"reason,omitempty"`
	By      string     `json:"by,omitempty"`
	Since   *time.Time `json:"since,omitempty"`
}

// Stopping is the answer to a stop or its end.
type Stopping struct {
	Stop
	OnTheWire []views.WireAction `json:"on_the_wire" doc:"Requests of rules to Twilio without an outcome yet: they may still happen"`
	Unsure    bool               `json:"unsure,omitempty" doc:"More may be on the wire than is listed"`
}

type stopInput struct{ Body because }

func (a *API) addStop(h huma.API) {
	get(a, h, "get-stop", "stop", "Whether rules are stopped", a.getStop)
	register(a, h, huma.Operation{
		OperationID: "stop", Method: http.MethodPost, Path: "stop",
		Summary: "Stop all calls of rules to Twilio, in all processes",
		Description: "Answers once the stop is stored: from then on no rule calls Twilio, and no announcement is served. Rules are still evaluated. " +
			"People's own writes, publish and webhook go on.",
	}, a.stop)
	register(a, h, huma.Operation{
		OperationID: "resume", Method: http.MethodPost, Path: "resume",
		Summary:     "End the stop",
		Description: "Stopped actions within their deadline are tried again: Gavel fetches the present state from Twilio, and the brakes count. The others expire.",
	}, a.resume)
}

func (a *API) getStop(ctx context.Context, _ *struct{}) (Stop, error) { return a.stopped(ctx) }

// stopped reads the stop as the performers do: without an answer, rules are stopped.
func (a *API) stopped(ctx context.Context) (Stop, error) {
	if a.Switch == nil {
		return Stop{}, nil
	}
	stopped, stop, err := a.Switch.Stopped(ctx)
	if err != nil && !stopped {
		return Stop{}, err
	}
	v := Stop{Stopped: stopped, Reason: stop.Reason, By: stop.By}
	if !stop.At.IsZero() {
		v.Since = &stop.At
	}
	return v, nil
}

func (a *API) stop(ctx context.Context, in *stopInput) (Stopping, error) {
	if err := a.maySwitch(ctx); err != nil {
		return Stopping{}, err
	}
	who := identity(ctx)
	if err := a.Switch.Stop(ctx, in.Body.Reason, actor(who).String()); err != nil {
		return Stopping{}, switchProblem(err)
	}
	a.Log.Warn("rules stopped", "by", who.KeySid)
	return a.stopping(ctx)
}

func (a *API) resume(ctx context.Context, in *stopInput) (Stopping, error) {
	if err := a.maySwitch(ctx); err != nil {
		return Stopping{}, err
	}
	who := identity(ctx)
	err := a.Switch.Resume(ctx, in.Body.Reason, actor(who).String())
	if err != nil && !errors.Is(err, brakes.ErrStopFile) { // the answer reports a stop by file
		return Stopping{}, switchProblem(err)
	}
	a.Log.Warn("rules resumed", "by", who.KeySid)
	return a.stopping(ctx)
}

func switchProblem(err error) error {
	switch {
	case errors.Is(err, brakes.ErrChanged):
		return huma.Error409Conflict(brakes.ErrChanged.Error())
	case errors.Is(err, brakes.ErrNoReason):
		return badReason
	}
	return err
}

func (a *API) maySwitch(ctx context.Context) error {
	if err := operatorOfAll(ctx); err != nil {
		return err
	}
	if a.Switch == nil {
		return errNoRules
	}
	return nil
}

// stopping returns the answer after the stop has changed. It succeeds even if the
// actions on the wire cannot be read.
func (a *API) stopping(ctx context.Context) (Stopping, error) {
	stop, err := a.stopped(ctx)
	if err != nil {
		return Stopping{}, err
	}
	late := a.catchUp(ctx)
	wire, err := a.views.OnTheWire(ctx)
	if err = errors.Join(late, err); err != nil {
		a.Log.Warn("actions on the wire cannot be read", "error", err)
	}
	return Stopping{stop, append([]views.WireAction{}, wire...), err != nil}, nil
}

// catchUp waits until the picture has all entries of the journal so far.
func (a *API) catchUp(ctx context.Context) error {
	if a.Lanes == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, catchUpTime)
	defer cancel()
	if err := a.Lanes.CatchUp(ctx); err != nil {
		return fmt.Errorf("wait for the picture: %w", err)
	}
	return nil
}
