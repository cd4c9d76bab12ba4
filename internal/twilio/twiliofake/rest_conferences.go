package twiliofake

import (
	"net/http"
	"net/url"
	"slices"
)

// restStatus is the status in the Conference resource.
func (c *conference) restStatus() string {
	switch {
	case c.completed:
		return "completed"
	case c.started:
		return "in-progress"
	}
	return "init"
}

// showConference is the Conference resource.
func (t *Twilio) showConference(c *conference) any {
	return map[string]any{
		"account_sid":                t.accountSid,
		"api_version":                "2010-04-01",
		"call_sid_ending_conference": orNull(c.endedBy),
		"date_created":               timestamp(c.created),
		"date_updated":               timestamp(c.updated),
		"friendly_name":              c.name,
		"reason_conference_ended":    orNull(c.reason),
		"region":                     either(c.region == "", "us1", c.region),
		"sid":                        c.sid,
		"status":                     c.restStatus(),
		"uri":                        t.uri("Conferences", c.sid),
		"subresource_uris": map[string]string{
			"participants": t.uri("Conferences", c.sid, "Participants"),
			"recordings":   t.uri("Conferences", c.sid, "Recordings"),
		},
	}
}

// listConferences returns conferences, newest first (Twilio, "Voice Conference
// API Improvements": sorted by DateCreated).
func (t *Twilio) listConferences(q *query) (answer, *apiError) {
	created, refusal := parseDays(q.values, "DateCreated")
	if refusal != nil {
		return answer{}, refusal
	}
	updated, refusal := parseDays(q.values, "DateUpdated")
	if refusal != nil {
		return answer{}, refusal
	}
	name, status := q.values.Get("FriendlyName"), q.values.Get("Status")
	if status != "" && !slices.Contains([]string{"init", "in-progress", "completed"}, status) {
		return answer{}, badRequest("Status must be init, in-progress or completed")
	}
	return list[*conference]{
		key:     "conferences",
		filters: slices.Concat(dayFilters("DateCreated"), dayFilters("DateUpdated"), []string{"FriendlyName", "Status"}),
		items: newest(t.kept, func(c *conference) bool {
			return created.has(c.created) && updated.has(c.updated) &&
				(name == "" || name == c.name) && (status == c.restStatus() || status == "" && c.restStatus() == "in-progress")
		}),
		sid:  func(c *conference) string { return c.sid },
		show: t.showConference,
	}.answer(q)
}

// conferenceOf finds the conference of the path, completed or not.
func (t *Twilio) conferenceOf(q *query) (*conference, *apiError) {
	c, ok := t.bySid[q.conference]
	if !ok {
		return nil, notFound(q.path)
	}
	return c, nil
}

func (t *Twilio) fetchConference(q *query) (answer, *apiError) {
	c, refusal := t.conferenceOf(q)
	if refusal != nil {
		return answer{}, refusal
	}
	return answered(t.showConference(c))
}

func conferenceCall(values url.Values) Call {
	switch {
	case values.Has("Status"):
		return EndConference
	case values.Has("AnnounceUrl"):
		return Announcement
	}
	return UpdateConference
}

// updateConference ends the conference or starts an announcement. Twilio's answer for a completed
// conference is not confirmed; clients have seen only "Bad request".
func (t *Twilio) updateConference(q *query) (answer, *apiError) {
	c, refusal := t.conferenceOf(q)
	if refusal != nil {
		return answer{}, refusal
	}
	status, announcement := q.values.Get("Status"), q.values.Get("AnnounceUrl")
	switch {
	case q.values.Has("Status") && status != "completed":
		return answer{}, badRequest("Status must be completed")
	case !validMethod(q.values.Get("AnnounceMethod")):
		return answer{}, badRequest("AnnounceMethod must be GET or POST")
	case c.completed && status != "":
		return answer{}, badRequest("Bad request")
	case c.completed && announcement != "":
		return answer{}, ErrNoConference
	}
	if announcement != "" {
		t.play(c, nil, announcement, q.values.Get("AnnounceMethod"))
	}
	if status != "" {
		c.disturbed = true
		t.complete(c, endByAPI)
	}
	return answered(t.showConference(c))
}

// validMethod reports whether the method parameter is valid or absent.
func validMethod(method string) bool {
	return slices.Contains([]string{"", http.MethodGet, http.MethodPost}, method)
}
