package act

import (
	"net/http"
	"net/url"
	"strconv"

	"gavel/events"
	"gavel/internal/twilio"
	"gavel/projections"
	"gavel/rules"
)

// All of these converge: a second request changes nothing.

// endDeed ends a conference (Twilio, Conference resource: Status=completed).
func endDeed() deed {
	d := post(events.DoEnd, url.Values{"Status": {projections.StatusCompleted}})
	d.gone, d.shows = true, twilio.State.Over
	return d
}

// kickDeed removes a participant; one that is not there, or whose conference has
// ended, is removed (Twilio, Participant resource: DELETE).
func kickDeed(d *rules.Decision) deed {
	return deed{
		do: events.DoKick, method: http.MethodDelete, gone: true,
		shows: func(s twilio.State) bool { return s.Over() || s.Leg(d.CallSid) == nil },
	}
}

// muteDeed mutes or unmutes a participant (Twilio, Participant resource: Muted).
func muteDeed(d *rules.Decision, muted bool) deed {
	m := post(events.DoUpdateParticipant, url.Values{"Muted": {strconv.FormatBool(muted)}})
	m.shows = legIs(d.CallSid, func(l *projections.SeenLeg) bool { return l.Flags.Muted == muted })
	return m
}

// holdDeed puts a participant on hold or takes it off (Twilio, Participant
// resource: Hold, HoldUrl, HoldMethod).
func holdDeed(d *rules.Decision, hold bool) deed {
	form := url.Values{"Hold": {strconv.FormatBool(hold)}}
	setGiven(form, "HoldUrl", d.Params["hold_url"])
	setGiven(form, "HoldMethod", d.Params["hold_method"])
	h := post(events.DoUpdateParticipant, form)
	h.shows = legIs(d.CallSid, func(l *projections.SeenLeg) bool { return l.Flags.Hold == hold })
	return h
}

func setGiven(form url.Values, name, value string) {
	if value != "" {
		form.Set(name, value)
	}
}
