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
	// Stopped reports whether they are. Where nobody knows they are, and the
	// error says why.
	Stopped(ctx context.Context) (bool, brakes.Stop, error)
	Stop(ctx context.Context, reason, by string) error
	Resume(ctx context.Context, reason, by string) error
}

// Lanes are where what was told is worked into the picture.
type Lanes interface {
	// CatchUp waits until all that is in the journal by now is worked.
	CatchUp(ctx context.Context) error
}

// catchUpTime is how long the answer to a stop waits for the picture: an intent
// comes before the last question about the stop, so all that is on the wire is
// in the journal by then.
const catchUpTime = time.Second

// Stop says whether rules are stopped.
type Stop struct {
	Stopped bool       `json:"stopped" doc:"Also where nobody answers whether they are"`
	Reason  string     `json:"reason,omitempty"`
	By      string     `json:"by,omitempty"`
	Since   *time.Time `json:"since,omitempty"`
}

// Stopping is the answer to a stop or its end.
type Stopping struct {
	Stop
	OnTheWire []views.WireAction `json:"on_the_wire" doc:"What rules had begun to ask of Twilio, with no outcome yet: it may happen still"`
	Unsure    bool               `json:"unsure,omitempty" doc:"There may be more on the wire than can be told now"`
}

type stopInput struct{ Body because }

func (a *API) addStop(h huma.API) {
	get(h, "get-stop", "stop", "Whether rules are stopped", a.getStop)
	huma.Register(h, huma.Operation{
		OperationID: "stop", Method: http.MethodPost, Path: Prefix + "stop",
		Summary: "Stop all that rules do at Twilio, in all processes",
		Description: "Answers once the stop is kept: from then on no rule calls Twilio, and no announcement is served. Rules are judged as ever. " +
			"People's own writes, publish and webhook go on.",
	}, a.stop)
	huma.Register(h, huma.Operation{
		OperationID: "resume", Method: http.MethodPost, Path: Prefix + "resume",
		Summary:     "End the stop",
		Description: "What was stopped and is within its deadline is tried again: Twilio is asked how things stand, and the brakes count. The rest expires.",
	}, a.resume)
}

func (a *API) getStop(ctx context.Context, _ *struct{}) (*answer[Stop], error) {
	stop, err := a.stopped(ctx)
	return &answer[Stop]{stop}, err
}

// stopped is what everybody who acts goes by: no answer is a stop, too.
func (a *API) stopped(ctx context.Context) (Stop, error) {
	if a.Switch == nil {
		return Stop{}, nil
	}
	stopped, stop, err := a.Switch.Stopped(ctx)
	if err != nil && !stopped {
		return Stop{}, a.problem(err)
	}
	return viewStop(stopped, stop), nil
}

func viewStop(stopped bool, s brakes.Stop) Stop {
	v := Stop{Stopped: stopped, Reason: s.Reason, By: s.By}
	if !s.At.IsZero() {
		v.Since = &s.At
	}
	return v
}

func (a *API) stop(ctx context.Context, in *stopInput) (*answer[Stopping], error) {
	if err := a.maySwitch(ctx); err != nil {
		return nil, err
	}
	who := identity(ctx)
	if err := a.Switch.Stop(ctx, in.Body.Reason, actor(who).String()); err != nil {
		return nil, a.switchProblem(err)
	}
	a.Log.Warn("rules stopped", "by", who.KeySid)
	return a.stopping(ctx)
}

func (a *API) resume(ctx context.Context, in *stopInput) (*answer[Stopping], error) {
	if err := a.maySwitch(ctx); err != nil {
		return nil, err
	}
	who := identity(ctx)
	err := a.Switch.Resume(ctx, in.Body.Reason, actor(who).String())
	if err != nil && !errors.Is(err, brakes.ErrStopFile) { // with the file, the answer says that it is stopped
		return nil, a.switchProblem(err)
	}
	a.Log.Warn("rules go on", "by", who.KeySid)
	return a.stopping(ctx)
}

func (a *API) switchProblem(err error) error {
	switch {
	case errors.Is(err, brakes.ErrChanged):
		return huma.Error409Conflict(brakes.ErrChanged.Error())
	case errors.Is(err, brakes.ErrNoReason):
		return badReason
	}
	return a.problem(err)
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

// stopping answers for a switch that was made. That what is on the wire cannot
// be told does not undo it.
func (a *API) stopping(ctx context.Context) (*answer[Stopping], error) {
	stop, err := a.stopped(ctx)
	if err != nil {
		return nil, err
	}
	late := a.catchUp(ctx)
	wire, err := a.views.OnTheWire(ctx)
	if err = errors.Join(late, err); err != nil {
		a.Log.Warn("what is on the wire cannot be told", "error", err)
	}
	return &answer[Stopping]{Stopping{stop, append([]views.WireAction{}, wire...), err != nil}}, nil
}

// catchUp waits until the picture shows what is in the journal by now.
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
