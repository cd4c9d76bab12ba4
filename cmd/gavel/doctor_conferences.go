package main

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"gavel/events"
	"gavel/handlers/api"
	"gavel/internal/doctor"
	"gavel/projections"
	"gavel/views"
)

const (
	// maxAge is how old the checked conferences may be: faults of older ones may be fixed by now.
	maxAge = day
	// maxChecked bounds them; the newest show how conferences are made now.
	maxChecked = 200
)

// conferences checks the conferences of the last day, which it reads from the running Gavel.
func (x *examination) conferences(ctx context.Context) []doctor.Finding {
	if x.absent != "" {
		return skipConferences(x.absent)
	}
	client, err := x.client()
	if err != nil {
		return skipConferences(err.Error())
	}
	query := url.Values{"created_from": {time.Now().Add(-maxAge).UTC().Format(time.RFC3339)}}
	listed, err := client.conferences(ctx, query, maxChecked)
	if err != nil {
		return skipConferences(err.Error())
	}
	checked := make([]doctor.Conference, len(listed))
	for i, c := range listed {
		if checked[i], err = client.observe(ctx, c); err != nil {
			return skipConferences(err.Error())
		}
	}
	return append(doctor.Subscriptions(checked, time.Now()), doctor.Traps(checked)...)
}

func skipConferences(why string) []doctor.Finding {
	return []doctor.Finding{doctor.Skipped(doctor.CheckSubscriptions, why), doctor.Skipped(doctor.CheckTraps, why)}
}

// observe reads the timeline of one conference.
func (c *client) observe(ctx context.Context, listed views.Conference) (doctor.Conference, error) {
	found := doctor.Conference{Sid: listed.Sid}
	var body api.TimelineBody
	query := url.Values{"account": {listed.AccountSid}}
	if err := c.call(ctx, http.MethodGet, "conferences/"+listed.Sid+"/timeline", query, nil, &body); err != nil {
		return found, err
	}
	for _, f := range body.Facts {
		fact, err := parseFact(f.Event)
		if err != nil {
			return found, err
		}
		found.Facts = append(found.Facts, fact)
	}
	return found, nil
}

// parseFact reads from a CloudEvent what the checks need.
func parseFact(cloudEvent []byte) (doctor.Observation, error) {
	e, err := events.ParseCloudEvent(cloudEvent)
	if err != nil {
		return doctor.Observation{}, err
	}
	f := doctor.Observation{Kind: e.Kind, At: e.Time, CallSid: e.Params.Get("CallSid")}
	f.NotReached = e.Kind == events.ParticipantLeave &&
		projections.NotReached(e.Params.Get("ReasonParticipantLeft"), e.Params.Get("ParticipantCallStatus"))
	set := func(flag string) bool { return e.Params.Get(flag) == "true" }
	if e.Params.Get("EndConferenceOnExit") != "" {
		f.Flags = &doctor.Flags{
			Muted: set("Muted"), Hold: set("Hold"), Coaching: set("Coaching"),
			StartsOnEnter: set("StartConferenceOnEnter"), EndsOnExit: set("EndConferenceOnExit"),
		}
	}
	return f, nil
}
