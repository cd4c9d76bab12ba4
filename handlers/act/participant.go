package act

import (
	"net/url"
	"strconv"

	"gavel/events"
	"gavel/rules"
)

// muteDeed mutes a participant or lets it be heard (Twilio, Participant
// resource: Muted). It converges, as all that sets a flag.
func muteDeed(d *rules.Decision, muted bool) deed {
	m := post(events.DoUpdateParticipant, url.Values{"Muted": {strconv.FormatBool(muted)}})
	m.shows = legIs(d.CallSid, func(l *leg) bool { return l.Flags.Muted == muted })
	return m
}

// holdDeed puts a participant on hold or takes it back (Twilio, Participant
// resource: Hold, HoldUrl, HoldMethod).
func holdDeed(d *rules.Decision, hold bool) deed {
	form := url.Values{"Hold": {strconv.FormatBool(hold)}}
	setGiven(form, "HoldUrl", d.Params["hold_url"])
	setGiven(form, "HoldMethod", d.Params["hold_method"])
	h := post(events.DoUpdateParticipant, form)
	h.shows = legIs(d.CallSid, func(l *leg) bool { return l.Flags.Hold == hold })
	return h
}

func setGiven(form url.Values, name, value string) {
	if value != "" {
		form.Set(name, value)
	}
}
