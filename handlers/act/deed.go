package act

import (
	"net/http"
	"net/url"

	"gavel/events"
	"gavel/internal/twilio"
	"gavel/projections"
	"gavel/rules"
)

// deed is what Twilio is asked for one decision.
type deed struct {
	do     events.Do
	method string
	// form is what is asked for, but for the address of an announcement, which
	// is a secret of its own.
	form url.Values
	// shows reports whether Twilio shows it as done; nil where nothing does.
	shows func(twilio.State) bool
	// gone: what it was to be done to being gone is as good as done.
	gone bool
	// bent: Twilio could not take its parameters, or would read something else
	// in them.
	bent bool
}

// deedOf reads what a decision asks for. Notifications ask nothing of Twilio.
func deedOf(d *rules.Decision) deed {
	switch d.Do {
	case rules.StepEnd:
		return endDeed()
	case rules.StepKick:
		return kickDeed(d)
	case rules.StepMute:
		return muteDeed(d, true)
	case rules.StepUnmute:
		return muteDeed(d, false)
	case rules.StepHold:
		return holdDeed(d, true)
	case rules.StepUnhold:
		return holdDeed(d, false)
	case rules.StepSet:
		return setDeed(d)
	case rules.StepAnnounce:
		return announceDeed()
	case rules.StepPublish:
		return deed{do: events.DoPublish}
	default:
		return deed{do: events.DoWebhook}
	}
}

// request is the call at Twilio.
func (t *task) request() (twilio.Call, error) {
	form := t.deed.form
	if t.deed.do == events.DoAnnounce {
		var err error
		if form, err = t.announcement(); err != nil {
			return twilio.Call{}, err
		}
	}
	return twilio.Call{
		AccountSid: t.decided.Key.AccountSid, Kind: string(t.deed.do), Method: t.deed.method,
		Path: t.path(), Form: form.Encode(), Before: t.beforeCall,
	}, nil
}

// path is the participant's, or that of the conference as a whole.
func (t *task) path() string {
	if t.decision.CallSid != "" && t.deed.do != events.DoEnd {
		return twilio.ConferencePath(t.decided.Key) + "/Participants/" + t.decision.CallSid + ".json"
	}
	return twilio.ConferencePath(t.decided.Key) + ".json"
}

// legIs is a deed's shows where a leg's flags tell.
func legIs(callSid string, so func(*projections.SeenLeg) bool) func(twilio.State) bool {
	return func(s twilio.State) bool {
		l := s.Leg(callSid)
		return l != nil && so(l)
	}
}

func post(do events.Do, form url.Values) deed {
	return deed{do: do, method: http.MethodPost, form: form}
}
