package act

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strconv"

	"gavel/events"
	"gavel/internal/twilio"
	"gavel/projections"
	"gavel/rules"
)

// operation is the request to Twilio for one decision.
type operation struct {
	do     events.Do
	method string // POST if empty
	// form lacks the address of an announcement, which is a secret.
	form url.Values
	// shows reports whether Twilio's state shows the operation as done. It is
	// nil if no state can show that.
	shows func(twilio.State) bool
	// goneIsDone: if the target no longer exists, the operation is done.
	goneIsDone bool
	// invalid: Twilio would refuse a parameter or read it as something else.
	invalid bool
}

// operationOf returns the request for a decision. All except announce converge:
// a second request changes nothing. Notifications send no request to Twilio.
func operationOf(d *rules.Decision) operation {
	switch d.Do {
	case rules.StepEnd: // Conference resource: Status=completed
		form := url.Values{"Status": {projections.StatusCompleted}}
		return operation{do: events.DoEnd, form: form, goneIsDone: true, shows: twilio.State.Over}
	case rules.StepKick: // Participant resource: DELETE
		shows := func(s twilio.State) bool { return s.Over() || s.Leg(d.CallSid) == nil }
		return operation{do: events.DoKick, method: http.MethodDelete, goneIsDone: true, shows: shows}
	case rules.StepMute, rules.StepUnmute: // Participant resource: Muted
		muted := d.Do == rules.StepMute
		return update(url.Values{"Muted": {strconv.FormatBool(muted)}}, legShows(d, func(l *projections.SeenLeg) bool { return l.Flags.Muted == muted }))
	case rules.StepHold, rules.StepUnhold: // Participant resource: Hold, HoldUrl, HoldMethod
		hold := d.Do == rules.StepHold
		form := url.Values{"Hold": {strconv.FormatBool(hold)}}
		setGiven(form, "HoldUrl", d.Params["hold_url"])
		setGiven(form, "HoldMethod", d.Params["hold_method"])
		return update(form, legShows(d, func(l *projections.SeenLeg) bool { return l.Flags.Hold == hold }))
	case rules.StepSet:
		return setFlags(d)
	case rules.StepAnnounce:
		// Conference and Participant resources: AnnounceUrl. Twilio accepts no
		// key that would identify a repeated request, so it may receive two:
		// Gavel's own address serves each announcement once.
		return operation{do: events.DoAnnounce, form: url.Values{"AnnounceMethod": {http.MethodPost}}}
	case rules.StepPublish:
		return operation{do: events.DoPublish}
	default:
		return operation{do: events.DoWebhook}
	}
}

// update is an operation that changes a participant.
func update(form url.Values, shows func(twilio.State) bool) operation {
	return operation{do: events.DoUpdateParticipant, form: form, shows: shows}
}

// legShows is an operation's shows that depends on the flags of the leg.
func legShows(d *rules.Decision, so func(*projections.SeenLeg) bool) func(twilio.State) bool {
	return func(s twilio.State) bool {
		l := s.Leg(d.CallSid)
		return l != nil && so(l)
	}
}

func setGiven(form url.Values, name, value string) {
	if value != "" {
		form.Set(name, value)
	}
}

// request returns the call to Twilio for the task.
func (t *task) request() (twilio.Call, error) {
	form := t.op.form
	if t.op.do == events.DoAnnounce {
		var err error
		if form, err = t.announcement(); err != nil {
			return twilio.Call{}, err
		}
	}
	return t.newCall(form.Encode(), t.beforeCall), nil
}

// newCall returns a call with the task's method and path: the participant's, or
// that of the conference.
func (t *task) newCall(form string, before func(context.Context) error) twilio.Call {
	path := twilio.ConferencePath(t.decided.Key)
	if t.decision.CallSid != "" && t.op.do != events.DoEnd {
		path += "/Participants/" + t.decision.CallSid
	}
	return twilio.Call{
		AccountSid: t.decided.Key.AccountSid, Region: t.region(), Kind: string(t.op.do), Method: cmp.Or(t.op.method, http.MethodPost),
		Path: path + ".json", Form: form, Before: before,
	}
}
