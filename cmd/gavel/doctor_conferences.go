package main

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"gavel/events"
	"gavel/handlers/api"
	"gavel/internal/doctor"
	"gavel/views"
)

const (
	// lookBack is how old the conferences are that are judged: what older ones
	// show may be mended long ago.
	lookBack = day
	// maxJudged bounds them; the newest show how conferences are made now.
	maxJudged = 200
)

// conferences reads what was told of the conferences of the last day from the
// running Gavel.
func (x *examination) conferences(ctx context.Context) []doctor.Finding {
	if x.absent != "" {
		return skipConferences(x.absent)
	}
	asker, err := x.asker()
	if err != nil {
		return skipConferences(err.Error())
	}
	query := url.Values{"created_from": {time.Now().Add(-lookBack).UTC().Format(time.RFC3339)}}
	listed, err := asker.conferences(ctx, query, maxJudged)
	if err != nil {
		return skipConferences(err.Error())
	}
	judged := make([]doctor.Conference, len(listed))
	for i, c := range listed {
		if judged[i], err = asker.told(ctx, c); err != nil {
			return skipConferences(err.Error())
		}
	}
	return append(doctor.Subscriptions(judged, time.Now()), doctor.Traps(judged)...)
}

func skipConferences(why string) []doctor.Finding {
	return []doctor.Finding{doctor.Skipped(doctor.CheckSubscriptions, why), doctor.Skipped(doctor.CheckTraps, why)}
}

// told reads the timeline of one conference.
func (c *client) told(ctx context.Context, listed views.Conference) (doctor.Conference, error) {
	found := doctor.Conference{Sid: listed.Sid}
	var body api.TimelineBody
	query := url.Values{"account": {listed.AccountSid}}
	if err := c.ask(ctx, http.MethodGet, "conferences/"+listed.Sid+"/timeline", query, nil, &body); err != nil {
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

// parseFact reads of a CloudEvent what the doctor wants to know.
func parseFact(cloudEvent []byte) (doctor.Observation, error) {
	e, err := events.ParseCloudEvent(cloudEvent)
	if err != nil {
		return doctor.Observation{}, err
	}
	f := doctor.Observation{Kind: e.Kind, At: e.Time, CallSid: e.Params.Get("CallSid")}
	set := func(flag string) bool { return e.Params.Get(flag) == "true" }
	if e.Params.Get("EndConferenceOnExit") != "" {
		f.Flags = &doctor.Flags{
			Muted: set("Muted"), Hold: set("Hold"), Coaching: set("Coaching"),
			StartsOnEnter: set("StartConferenceOnEnter"), EndsOnExit: set("EndConferenceOnExit"),
		}
	}
	return f, nil
}
