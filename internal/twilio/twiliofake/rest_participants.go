package twiliofake

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// showParticipant is the Participant resource; queueTime is null except in the
// answer to the request that created it.
func (t *Twilio) showParticipant(p *participant, queueTime *string) map[string]any {
	return map[string]any{
		"account_sid":               t.accountSid,
		"call_sid":                  p.callSid,
		"call_sid_to_coach":         orNull(p.Coach),
		"coaching":                  p.Coach != "",
		"conference_sid":            p.conference.sid,
		"date_created":              timestamp(p.created),
		"date_updated":              timestamp(p.updated),
		"end_conference_on_exit":    p.EndConferenceOnExit,
		"hold":                      p.hold,
		"label":                     orNull(p.Label),
		"muted":                     p.Muted,
		"queue_time":                queueTime,
		"start_conference_on_enter": p.StartConferenceOnEnter,
		"status":                    p.status,
		"uri":                       t.uri("Conferences", p.conference.sid, "Participants", p.callSid),
	}
}

// listParticipants returns the legs in the conference, newest first (the
// direction is not confirmed). A completed conference has none.
func (t *Twilio) listParticipants(q *query) (answer, *apiError) {
	c, refusal := t.conferenceOf(q)
	if refusal != nil {
		return answer{}, refusal
	}
	return list[*participant]{
		key:     "participants",
		filters: []string{"Muted", "Hold", "Coaching"},
		items: newest(c.participants, func(p *participant) bool {
			return matches(q.values, "Muted", p.Muted) && matches(q.values, "Hold", p.hold) &&
				matches(q.values, "Coaching", p.Coach != "")
		}),
		sid:  (*participant).sid,
		show: func(p *participant) any { return t.showParticipant(p, nil) },
	}.answer(q)
}

func matches(values url.Values, name string, is bool) bool {
	wanted := flagOf(values, name)
	return wanted == nil || *wanted == is
}

// participantOf finds the participant of the path by CallSid or label.
func (t *Twilio) participantOf(q *query) (*participant, *apiError) {
	c, refusal := t.conferenceOf(q)
	if refusal != nil {
		return nil, refusal
	}
	for _, p := range c.participants {
		if p.callSid == q.item || p.Label == q.item && q.item != "" {
			return p, nil
		}
	}
	return nil, notFound(q.path)
}

func (t *Twilio) fetchParticipant(q *query) (answer, *apiError) {
	p, refusal := t.participantOf(q)
	if refusal != nil {
		return answer{}, refusal
	}
	return answered(t.showParticipant(p, nil))
}

// updateParticipant changes a participant, and may start an announcement to it.
func (t *Twilio) updateParticipant(q *query) (answer, *apiError) {
	p, refusal := t.participantOf(q)
	if refusal != nil {
		return answer{}, refusal
	}
	for _, name := range []string{"HoldMethod", "AnnounceMethod", "WaitMethod"} {
		if !validMethod(q.values.Get(name)) {
			return answer{}, badRequest("%s must be GET or POST", name)
		}
	}
	to, refusal := changeOf(q.values)
	if refusal != nil {
		return answer{}, refusal
	}
	if refusal := t.change(p, to); refusal != nil {
		return answer{}, refusal
	}
	if announcement := q.values.Get("AnnounceUrl"); announcement != "" {
		t.play(p.conference, p, announcement, q.values.Get("AnnounceMethod"))
	}
	p.conference.disturbed = true
	return answered(t.showParticipant(p, nil))
}

func changeOf(values url.Values) (Change, *apiError) {
	to := Change{
		Muted:               flagOf(values, "Muted"),
		Hold:                flagOf(values, "Hold"),
		EndConferenceOnExit: flagOf(values, "EndConferenceOnExit"),
		BeepOnExit:          flagOf(values, "BeepOnExit"),
	}
	if values.Has("WaitUrl") {
		to.WaitURL = new(values.Get("WaitUrl"))
	}
	coach, refusal := coachOf(values)
	if refusal != nil {
		return Change{}, refusal
	}
	if flagOf(values, "Coaching") != nil || coach != "" {
		to.Coach = &coach
	}
	return to, nil
}

// coachOf is the CallSid to coach: required with Coaching=true, ignored with
// Coaching=false (Twilio, Participant resource).
func coachOf(values url.Values) (string, *apiError) {
	coaching, coached := flagOf(values, "Coaching"), values.Get("CallSidToCoach")
	switch {
	case coaching != nil && *coaching && coached == "":
		return "", badRequest("Coaching needs CallSidToCoach")
	case coaching != nil && !*coaching:
		return "", nil
	}
	return coached, nil
}

// flagOf reads a boolean, nil if it is absent. Any value except true counts as
// false (Twilio, Participant resource: Muted).
func flagOf(values url.Values, name string) *bool {
	if !values.Has(name) {
		return nil
	}
	return new(strings.EqualFold(values.Get(name), "true"))
}

func (t *Twilio) kickParticipant(q *query) (answer, *apiError) {
	p, refusal := t.participantOf(q)
	if refusal != nil {
		return answer{}, refusal
	}
	p.conference.disturbed = true
	t.takeOut(p, kick)
	return answer{status: http.StatusNoContent}, nil
}

// addParticipant calls a participant into a conference. It creates the
// conference if no conference has the name.
func (t *Twilio) addParticipant(q *query) (answer, *apiError) {
	leg, out, refusal := t.callOf(q.values)
	if refusal != nil {
		return answer{}, refusal
	}
	c, refusal := t.roomOf(q, leg)
	if refusal != nil {
		return answer{}, refusal
	}
	p := t.add(c, leg)
	p.status = statusQueued
	c.disturbed = true
	t.dial(p, out)
	return answer{http.StatusCreated, t.showParticipant(p, new("0"))}, nil
}

// maxName is the longest friendly name, in characters.
const maxName = 128

// roomOf finds the conference by its SID, or finds or creates it by its name, if it admits the leg.
func (t *Twilio) roomOf(q *query, leg Leg) (*conference, *apiError) {
	if !likeAConferenceSid.MatchString(q.conference) {
		if utf8.RuneCountInString(q.conference) > maxName {
			return nil, badRequest("FriendlyName is longer than %d characters", maxName)
		}
		return t.room(q.conference, leg, ErrAPILabelTaken)
	}
	c, refusal := t.conferenceOf(q)
	if refusal == nil && c.completed {
		refusal = ErrNoConference
	}
	if refusal == nil {
		refusal = c.admits(leg, ErrAPILabelTaken)
	}
	return c, refusal
}

// callOf reads the number to call and the leg's settings. It reads only the
// parameters that affect a conference: the fake does not support call progress,
// answering machine detection, the recording of one leg or emergency calls.
func (t *Twilio) callOf(values url.Values) (Leg, outgoing, *apiError) {
	for _, name := range []string{"From", "To"} {
		if values.Get(name) == "" {
			return Leg{}, outgoing{}, badRequest("%s is required", name)
		}
	}
	if !validLabel(values.Get("Label")) {
		return Leg{}, outgoing{}, ErrAPILabelInvalid
	}
	coach, refusal := coachOf(values)
	if refusal != nil {
		return Leg{}, outgoing{}, refusal
	}
	limits, refusal := limitsOf(values)
	if refusal != nil {
		return Leg{}, outgoing{}, refusal
	}
	leg := Leg{
		Label:                  values.Get("Label"),
		Muted:                  flagOr(values, "Muted", false),
		StartConferenceOnEnter: flagOr(values, "StartConferenceOnEnter", true),
		EndConferenceOnExit:    flagOr(values, "EndConferenceOnExit", false),
		Coach:                  coach,
		Region:                 values.Get("Region"),
		MaxParticipants:        limits.participants,
		Record:                 slices.Contains([]string{"true", "record-from-start"}, values.Get("ConferenceRecord")),
		Status:                 subscriptionOf(values, "ConferenceStatusCallback", "start", "end"),
		Recording:              subscriptionOf(values, "ConferenceRecordingStatusCallback", "completed"),
	}
	return leg, outgoing{
		phone:      t.phone(values.Get("To")),
		earlyMedia: flagOr(values, "EarlyMedia", true),
		timeout:    time.Duration(limits.timeout) * time.Second,
		timeLimit:  time.Duration(limits.time) * time.Second,
	}, nil
}

// limits are the numeric limits of a call, both times in seconds.
type limits struct{ participants, timeout, time int }

// longestCall bounds TimeLimit, in seconds; Twilio's own bound is not confirmed.
const longestCall = 24 * 60 * 60

// limitsOf reads the limits (Twilio, Participant resource: MaxParticipants, Timeout, TimeLimit).
func limitsOf(values url.Values) (limits, *apiError) {
	l := limits{participants: maxParticipants, timeout: 60}
	for _, n := range []struct {
		name        string
		value       *int
		least, most int
	}{
		{"MaxParticipants", &l.participants, 2, maxParticipants},
		{"Timeout", &l.timeout, 5, 600},
		{"TimeLimit", &l.time, 0, longestCall},
	} {
		var err error
		if *n.value, err = number(values, n.name, *n.value); err != nil || *n.value < n.least || *n.value > n.most {
			return limits{}, badRequest("%s must be %d to %d", n.name, n.least, n.most)
		}
	}
	return l, nil
}

func flagOr(values url.Values, name string, otherwise bool) bool {
	if flag := flagOf(values, name); flag != nil {
		return *flag
	}
	return otherwise
}

// subscriptionOf reads a callback's three parameters; events are a repeated
// key, or several words in one value.
func subscriptionOf(values url.Values, name string, defaults ...string) Subscription {
	events := strings.Fields(strings.Join(values[name+"Event"], " "))
	if len(events) == 0 {
		events = defaults
	}
	return Subscription{URL: values.Get(name), Method: values.Get(name + "Method"), Events: events}
}
