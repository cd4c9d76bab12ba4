package twiliofake

import (
	"fmt"
	"slices"
	"time"
)

// maxParticipants is Twilio's limit of legs in one conference.
const maxParticipants = 250

// The five values of ReasonConferenceEnded.
const (
	endedViaAPI     = "conference-ended-via-api"
	lastKicked      = "last-participant-kicked"
	lastLeft        = "last-participant-left"
	endOnExitKicked = "participant-with-end-conference-on-exit-kicked"
	endOnExitLeft   = "participant-with-end-conference-on-exit-left"
)

// conference is one room from the first leg that is called or joins until it
// ends. It is kept after that for the REST API.
type conference struct {
	sid          string
	name         string
	region       string
	most         int // participants
	status       Subscription
	recordings   Subscription
	record       bool
	created      time.Time
	updated      time.Time
	entered      bool // by at least one leg
	missed       bool // by at least one leg that was dialled
	started      bool
	completed    bool
	reason       string // why it was completed
	endedBy      string // CallSid, or "" if not a participant
	disturbed    bool   // a REST request changed what the call floor had planned
	sequence     int    // of the next callback
	participants []*participant
	last         *participant // to have left
	recording    *recording
}

// Join adds a call to the room of that name by TwiML. It creates the conference if the room has
// none, and starts it once two legs are present and one of them may start it.
func (t *Twilio) Join(room string, leg Leg) (conferenceSid, callSid string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !validLabel(leg.Label) {
		return "", "", fmt.Errorf("join: %w", ErrLabelInvalid)
	}
	c, refusal := t.room(room, leg, ErrLabelTaken)
	if refusal != nil {
		return "", "", fmt.Errorf("join: %w", refusal)
	}
	p := t.add(c, leg)
	p.status = statusConnected
	t.enter(p)
	return c.sid, p.callSid, nil
}

// room returns the conference of that name that is not completed, or a new one, whose first leg
// sets the callbacks and the limits. It returns an error if the conference does not admit the leg.
func (t *Twilio) room(name string, leg Leg, taken *apiError) (*conference, *apiError) {
	c, ok := t.rooms[name]
	if !ok {
		c = t.newConference(name, leg)
	}
	if refusal := c.admits(leg, taken); refusal != nil {
		return nil, refusal
	}
	if !ok {
		t.rooms[name] = c
		t.keep(c)
	}
	return c, nil
}

func (t *Twilio) newConference(name string, first Leg) *conference {
	now := t.clock.Now()
	c := &conference{
		sid:        t.sid("CF"),
		name:       name,
		most:       maxParticipants,
		status:     first.Status,
		recordings: first.Recording,
		record:     first.Record,
		created:    now,
		updated:    now,
	}
	if first.MaxParticipants > 0 {
		c.most = first.MaxParticipants
	}
	return c
}

// mostKept bounds the conferences that are kept. Twilio keeps them for 13
// months; a fake that runs for days must not grow without limit.
const mostKept = 100_000

// keep lets REST find a conference. If there are too many it removes the oldest
// one, if that is completed.
func (t *Twilio) keep(c *conference) {
	t.bySid[c.sid] = c
	t.kept = append(t.kept, c)
	if oldest := t.kept[0]; len(t.kept) > mostKept && oldest.completed {
		delete(t.bySid, oldest.sid)
		t.kept = t.kept[1:]
	}
}

// admits returns why a leg may not join, or nil. A label in use has one code in
// TwiML and another in REST.
func (c *conference) admits(leg Leg, taken *apiError) *apiError {
	labelled := func(p *participant) bool { return p.Label == leg.Label }
	coached := func(p *participant) bool { return p.callSid == leg.Coach }
	switch {
	case len(c.participants) >= c.most:
		return ErrFull
	case leg.Label != "" && slices.ContainsFunc(c.participants, labelled):
		return taken
	case leg.Coach != "" && !slices.ContainsFunc(c.participants, coached):
		return ErrNobodyToCoach
	}
	return nil
}

// add makes a participant of a leg. The first leg that names a region sets the
// conference's (Twilio, TwiML <Conference>).
func (t *Twilio) add(c *conference, leg Leg) *participant {
	now := t.clock.Now()
	p := &participant{Leg: leg, callSid: t.sid("CA"), conference: c, created: now, updated: now, beepOnExit: true}
	if c.region == "" {
		c.region = leg.Region
	}
	c.participants = append(c.participants, p)
	t.legs[p.callSid] = p
	return p
}

// enter makes a participant visible to all others.
func (t *Twilio) enter(p *participant) {
	p.entered, p.conference.entered = true, true
	t.postParticipant(p, "participant-join")
	t.maybeStart(p.conference)
}

// maybeStart starts mixing: at least two participants, at least one of them
// with startConferenceOnEnter.
func (t *Twilio) maybeStart(c *conference) {
	in, starts := 0, false
	for _, p := range c.participants {
		if p.entered {
			in++
			starts = starts || p.StartConferenceOnEnter
		}
	}
	if c.started || in < 2 || !starts {
		return
	}
	c.started, c.updated = true, t.clock.Now()
	t.postEvent(c, "conference-start", nil)
	if c.record {
		t.beginRecording(c)
	}
}

// HangUp lets a participant hang up.
func (t *Twilio) HangUp(callSid string) error { return t.leave(callSid, hangUp) }

// Kick removes a participant by REST.
func (t *Twilio) Kick(callSid string) error { return t.leave(callSid, kick) }

// exit is a way to leave: the reason and the status of the call in the leave callback, and the
// reasons with which the conference ends if it depended on this leg or had no other.
type exit struct {
	reason     string // ReasonParticipantLeft
	callStatus string // ParticipantCallStatus
	ifLast     string
	ifExit     string
}

var (
	hangUp = exit{"participant_hung_up", "completed", lastLeft, endOnExitLeft}
	// The call of a kicked leg goes on elsewhere, so its status is in-progress (not confirmed).
	kick = exit{"participant_updated_via_api", "in-progress", lastKicked, endOnExitKicked}
)

// notReached is a call that was not answered: busy, no-answer or failed.
func notReached(callStatus string) exit {
	return exit{"participant_add_failed", callStatus, lastLeft, endOnExitLeft}
}

func (t *Twilio) leave(callSid string, e exit) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, ok := t.legs[callSid]
	if !ok {
		return fmt.Errorf("leave by %s: %w", callSid, ErrNoParticipant)
	}
	t.takeOut(p, e)
	return nil
}

// takeOut ends a leg, and the conference if it depends on the leg or has no
// other. A leg that was never connected ends only an empty one (not confirmed).
func (t *Twilio) takeOut(p *participant, e exit) {
	c := p.conference
	t.remove(p, e.reason, e.callStatus)
	switch {
	case p.EndConferenceOnExit && p.status == statusConnected:
		t.complete(c, ending{e.ifExit, "moderator_ended_conference", p})
	case len(c.participants) == 0:
		t.complete(c, ending{e.ifLast, "", c.last})
	}
}

// remove removes a participant from the conference. Its leave is sent even if it was dialled and
// never entered; a call that was still ringing is canceled.
func (t *Twilio) remove(p *participant, reason, callStatus string) {
	c := p.conference
	c.participants = slices.DeleteFunc(c.participants, func(other *participant) bool { return other == p })
	delete(t.legs, p.callSid)
	if p.status != statusConnected && reason != notReached("").reason {
		callStatus = "canceled"
	}
	if p.entered {
		c.last = p
	}
	c.missed = c.missed || !p.entered
	t.postEvent(c, "participant-leave", p.state().with(params{
		"ParticipantCallStatus": callStatus,
		"ReasonParticipantLeft": reason,
	}))
}

// End ends a conference by REST (Status=completed).
func (t *Twilio) End(conferenceSid string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, ok := t.bySid[conferenceSid]
	if !ok || c.completed {
		return fmt.Errorf("end conference %s: %w", conferenceSid, ErrNoConference)
	}
	t.complete(c, endByAPI)
	return nil
}

// ending is why a conference ends: its reason, the reason with which the
// remaining legs leave, and the leg that ended it (nil: not a participant).
type ending struct {
	reason string
	others string
	by     *participant
}

var endByAPI = ending{endedViaAPI, "conference_ended_via_api", nil}

// complete removes all legs and ends the conference; its name is free again. The leaves come before
// the end (the order is not confirmed). A conference that never started sends an end like any other
// (not confirmed either), unless no leg was in it or reported as missing.
func (t *Twilio) complete(c *conference, e ending) {
	for len(c.participants) > 0 {
		t.remove(c.participants[0], e.others, "completed")
	}
	extra := params{"ReasonConferenceEnded": e.reason, "Reason": e.text()}
	if e.by != nil {
		c.endedBy = e.by.callSid
		extra["CallSidEndingConference"] = e.by.callSid
		extra.set("ParticipantLabelEndingConference", e.by.Label)
	}
	if c.entered || c.missed {
		t.postEvent(c, "conference-end", extra)
	}
	c.completed, c.reason, c.updated = true, e.reason, t.clock.Now()
	delete(t.rooms, c.name)
	if c.recording != nil {
		t.finishRecording(c)
	}
}

// text is the free-text Reason; only the text for endConferenceOnExit is known
// from a real callback.
func (e ending) text() string {
	switch e.reason {
	case endOnExitLeft:
		return "Participant " + e.by.callSid + " with endConferenceOnExit left the conference"
	case endOnExitKicked:
		return "Participant " + e.by.callSid + " with endConferenceOnExit was kicked from the conference"
	case lastKicked:
		return "Last participant was kicked from the conference"
	case lastLeft:
		return "Last participant left the conference"
	}
	return "Conference was ended via API"
}
