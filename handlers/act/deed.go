package act

import (
	"net/http"
	"net/url"

	"gavel/events"
	"gavel/internal/twilio"
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
	shows func(sight) bool
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
		return conferencePath(t.decided.Key) + "/Participants/" + t.decision.CallSid + ".json"
	}
	return conferencePath(t.decided.Key) + ".json"
}

// accountsPath begins every path of the account's resources (Twilio, REST API
// 2010-04-01).
const accountsPath = "/2010-04-01/Accounts/"

func conferencePath(key events.Key) string {
	return accountsPath + key.AccountSid + "/Conferences/" + key.ConferenceSid
}

// legIs is a deed's shows where a leg's flags tell.
func legIs(callSid string, so func(*leg) bool) func(sight) bool {
	return func(s sight) bool {
		l := s.leg(callSid)
		return l != nil && so(l)
	}
}

func post(do events.Do, form url.Values) deed {
	return deed{do: do, method: http.MethodPost, form: form}
}
