package twiliofake

import (
	"net/http"
	"strconv"
)

// currentRecording names the running recording, in place of its SID.
const currentRecording = "Twilio.CURRENT"

// pricePerMinute is the price of a recording, in US dollars (Twilio's example).
const pricePerMinute = 0.0025

// showRecording is the conference Recording resource.
func (t *Twilio) showRecording(c *conference) any {
	r := c.recording
	shown := map[string]any{
		"account_sid":        t.accountSid,
		"api_version":        "2010-04-01",
		"call_sid":           r.callSid,
		"channels":           1,
		"conference_sid":     c.sid,
		"date_created":       timestamp(r.started),
		"date_updated":       timestamp(r.updated),
		"duration":           nil,
		"encryption_details": nil,
		"error_code":         nil,
		"price":              nil,
		"price_unit":         nil,
		"sid":                r.sid,
		"source":             "Conference",
		"start_time":         timestamp(r.started),
		"status":             r.status,
		"uri":                t.uri("Conferences", c.sid, "Recordings", r.sid),
	}
	if r.status == recordingCompleted {
		minutes := float64((r.seconds() + 59) / 60)
		shown["duration"] = strconv.Itoa(r.seconds())
		shown["price"] = strconv.FormatFloat(-minutes*pricePerMinute, 'f', 4, 64)
		shown["price_unit"] = "USD"
	}
	return shown
}

func (t *Twilio) listRecordings(q *query) (answer, *apiError) {
	c, refusal := t.conferenceOf(q)
	if refusal != nil {
		return answer{}, refusal
	}
	created, refusal := parseDays(q.values, "DateCreated")
	if refusal != nil {
		return answer{}, refusal
	}
	l := list[*conference]{
		key:     "recordings",
		filters: dayFilters("DateCreated"),
		sid:     func(c *conference) string { return c.recording.sid },
		show:    t.showRecording,
	}
	if r := c.recording; r != nil && !r.deleted && created.has(r.started) {
		l.items = []*conference{c}
	}
	return l.answer(q)
}

// recordingOf finds the conference whose recording the path names: it has at
// most one, because REST cannot start another one.
func (t *Twilio) recordingOf(q *query) (*conference, *apiError) {
	c, refusal := t.conferenceOf(q)
	if refusal != nil {
		return nil, refusal
	}
	r := c.recording
	if r == nil || r.deleted || q.item != r.sid && !(q.item == currentRecording && r.running()) {
		return nil, notFound(q.path)
	}
	return c, nil
}

func (t *Twilio) fetchRecording(q *query) (answer, *apiError) {
	c, refusal := t.recordingOf(q)
	if refusal != nil {
		return answer{}, refusal
	}
	return answered(t.showRecording(c))
}

// updateRecording pauses or resumes it. A conference's recording cannot be
// stopped (observed; Twilio's pages do not mention it).
func (t *Twilio) updateRecording(q *query) (answer, *apiError) {
	c, refusal := t.recordingOf(q)
	if refusal != nil {
		return answer{}, refusal
	}
	r, now := c.recording, t.clock.Now()
	behavior := q.values.Get("PauseBehavior")
	if behavior != "" && behavior != "skip" && behavior != "silence" {
		return answer{}, badRequest("PauseBehavior must be skip or silence")
	}
	switch status := q.values.Get("Status"); {
	case status != recordingPaused && status != recordingInProgress && status != "stopped":
		return answer{}, badRequest("Status must be paused or in-progress")
	case !r.running(), status == r.status, status == "stopped":
		return answer{}, errRecordingState
	case status == recordingPaused:
		r.pause(now, behavior == "skip")
	default:
		r.resume(now)
	}
	return answered(t.showRecording(c))
}

// deleteRecording removes the recording, even while it runs.
func (t *Twilio) deleteRecording(q *query) (answer, *apiError) {
	c, refusal := t.recordingOf(q)
	if refusal != nil {
		return answer{}, refusal
	}
	c.recording.deleted = true
	return answer{status: http.StatusNoContent}, nil
}
