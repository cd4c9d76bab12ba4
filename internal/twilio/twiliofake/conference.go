package twiliofake

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// maxParticipants is Twilio's limit of legs in one conference.
const maxParticipants = 250

// What Twilio refuses. The numbers are those of its error dictionary.
var (
	ErrNoParticipant = errors.New("16022: the call is in no conference")
	ErrNoConference  = errors.New("16022: conference does not exist or is completed")
	ErrFull          = errors.New("16020: conference is full")
	ErrLabelTaken    = errors.New("16025: participant label is already in use")
)

// The five values of ReasonConferenceEnded.
const (
	endedViaAPI     = "conference-ended-via-api"
	lastKicked      = "last-participant-kicked"
	lastLeft        = "last-participant-left"
	endOnExitKicked = "participant-with-end-conference-on-exit-kicked"
	endOnExitLeft   = "participant-with-end-conference-on-exit-left"
)

// The values of ReasonParticipantLeft that the stand-in has a cause for; it
// never fails to add a participant.
const (
	leftHungUp         = "participant_hung_up"
	leftUpdatedViaAPI  = "participant_updated_via_api"
	leftModeratorEnded = "moderator_ended_conference"
	leftEndedViaAPI    = "conference_ended_via_api"
)

// Leg is a call on its way into a conference, with the attributes of its
// <Conference> noun.
type Leg struct {
	Label                  string
	Muted                  bool
	StartConferenceOnEnter bool
	EndConferenceOnExit    bool
	// Coach is the CallSid of the participant that this leg whispers to.
	Coach string
	// Record, Status and Recording count for the first leg of a conference
	// only: it fixes them for all.
	Record    bool
	Status    Subscription
	Recording Subscription
}

// conference is one room from the first leg's join to its end.
type conference struct {
	sid          string
	name         string
	status       Subscription
	recordings   Subscription
	record       bool
	started      bool
	sequence     int // of the next callback
	participants []*participant
	recording    *recording
}

// participant is one leg that is in a conference now.
type participant struct {
	Leg
	callSid    string
	hold       bool
	conference *conference
}

// Join lets a call enter the room of that name, making the conference when
// nobody is in it, and starts the conference once two are there of whom one
// may start it.
func (t *Twilio) Join(room string, leg Leg) (conferenceSid, callSid string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.room(room, leg)
	if err := c.admits(leg); err != nil {
		return "", "", fmt.Errorf("join %s: %w", c.sid, err)
	}
	p := &participant{Leg: leg, callSid: t.sid("CA"), conference: c}
	c.participants = append(c.participants, p)
	t.legs[p.callSid] = p
	t.tellParticipant(p, "participant-join")
	t.maybeStart(c)
	return c.sid, p.callSid, nil
}

// room returns the conference of that name that is not completed, or a new
// one.
func (t *Twilio) room(name string, first Leg) *conference {
	if c, ok := t.rooms[name]; ok {
		return c
	}
	c := &conference{
		sid:        t.sid("CF"),
		name:       name,
		status:     first.Status,
		recordings: first.Recording,
		record:     first.Record,
	}
	t.rooms[name], t.bySid[c.sid] = c, c
	return c
}

func (c *conference) admits(leg Leg) error {
	if len(c.participants) >= maxParticipants {
		return ErrFull
	}
	labelled := func(p *participant) bool { return p.Label == leg.Label }
	if leg.Label != "" && slices.ContainsFunc(c.participants, labelled) {
		return ErrLabelTaken
	}
	return nil
}

// maybeStart begins the mixing: at least two participants, at least one of
// whom has startConferenceOnEnter.
func (t *Twilio) maybeStart(c *conference) {
	starts := func(p *participant) bool { return p.StartConferenceOnEnter }
	if c.started || len(c.participants) < 2 || !slices.ContainsFunc(c.participants, starts) {
		return
	}
	c.started = true
	t.tell(c, "conference-start", nil)
	if c.record {
		t.beginRecording(c)
	}
}

// Mute mutes a participant or lets it be heard again.
func (t *Twilio) Mute(callSid string, muted bool) error {
	return t.change(callSid, func(p *participant) string {
		p.Muted = muted
		return either(muted, "participant-mute", "participant-unmute")
	})
}

// Hold puts a participant on hold or takes it back.
func (t *Twilio) Hold(callSid string, hold bool) error {
	return t.change(callSid, func(p *participant) string {
		p.hold = hold
		return either(hold, "participant-hold", "participant-unhold")
	})
}

// Coach lets a participant whisper to the one with the CallSid coached; an
// empty one ends that.
func (t *Twilio) Coach(callSid, coached string) error {
	return t.change(callSid, func(p *participant) string {
		p.Coach = coached
		return "participant-modify"
	})
}

// EndOnExit decides whether the conference ends when this participant goes.
func (t *Twilio) EndOnExit(callSid string, ends bool) error {
	return t.change(callSid, func(p *participant) string {
		p.EndConferenceOnExit = ends
		return "participant-modify"
	})
}

// Speak tells that a participant began to talk or fell silent.
func (t *Twilio) Speak(callSid string, speaking bool) error {
	return t.change(callSid, func(*participant) string {
		return either(speaking, "participant-speech-start", "participant-speech-stop")
	})
}

// change does something to a participant and tells the event it names.
func (t *Twilio) change(callSid string, do func(*participant) (event string)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, ok := t.legs[callSid]
	if !ok {
		return fmt.Errorf("change participant %s: %w", callSid, ErrNoParticipant)
	}
	t.tellParticipant(p, do(p))
	return nil
}

// HangUp is a participant putting the phone down.
func (t *Twilio) HangUp(callSid string) error {
	return t.leave(callSid, leftHungUp, "completed", lastLeft, endOnExitLeft)
}

// Kick removes a participant by REST. Its call goes on elsewhere, so its
// status is in-progress (not confirmed).
func (t *Twilio) Kick(callSid string) error {
	return t.leave(callSid, leftUpdatedViaAPI, "in-progress", lastKicked, endOnExitKicked)
}

// leave takes a participant out, and ends the conference with the reason that
// fits: it was the one the conference hangs on, or the last.
func (t *Twilio) leave(callSid, reason, callStatus, endIfLast, endIfExit string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, ok := t.legs[callSid]
	if !ok {
		return fmt.Errorf("leave by %s: %w", callSid, ErrNoParticipant)
	}
	c := p.conference
	t.remove(p, reason, callStatus)
	switch {
	case p.EndConferenceOnExit:
		t.complete(c, ending{endIfExit, leftModeratorEnded, p})
	case len(c.participants) == 0:
		t.complete(c, ending{endIfLast, "", p})
	}
	return nil
}

// End ends a conference by REST (Status=completed).
func (t *Twilio) End(conferenceSid string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, ok := t.bySid[conferenceSid]
	if !ok {
		return fmt.Errorf("end conference %s: %w", conferenceSid, ErrNoConference)
	}
	t.complete(c, ending{endedViaAPI, leftEndedViaAPI, nil})
	return nil
}

// ending is why a conference ends: its reason, the reason with which those
// still in it leave, and who ended it (nil: nobody in it).
type ending struct {
	reason string
	others string
	by     *participant
}

// complete sends everybody out and closes the room; the name is free again.
// The leaves come before the end (the order is not confirmed), and a conference
// that never started is told to end like any other (not confirmed either).
func (t *Twilio) complete(c *conference, e ending) {
	for len(c.participants) > 0 {
		t.remove(c.participants[0], e.others, "completed")
	}
	extra := params{"ReasonConferenceEnded": e.reason, "Reason": e.text()}
	if e.by != nil {
		extra["CallSidEndingConference"] = e.by.callSid
		extra.set("ParticipantLabelEndingConference", e.by.Label)
	}
	t.tell(c, "conference-end", extra)
	delete(t.rooms, c.name)
	delete(t.bySid, c.sid)
	if c.recording != nil {
		t.finishRecording(c)
	}
}

// text is the free-text Reason; only the wording of endConferenceOnExit is
// known from a real callback.
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

func (t *Twilio) remove(p *participant, reason, callStatus string) {
	c := p.conference
	c.participants = slices.DeleteFunc(c.participants, func(other *participant) bool { return other == p })
	delete(t.legs, p.callSid)
	t.tell(c, "participant-leave", p.state().with(params{
		"ParticipantCallStatus": callStatus,
		"ReasonParticipantLeft": reason,
	}))
}

// Announce plays something to the whole conference. A failure is the text of
// ReasonAnnouncementFailed; Twilio knows one only for errors of its own.
func (t *Twilio) Announce(conferenceSid, url, failure string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, ok := t.bySid[conferenceSid]
	if !ok {
		return fmt.Errorf("announce to conference %s: %w", conferenceSid, ErrNoConference)
	}
	t.tell(c, announcementEvent(failure), announcement(url, failure))
	return nil
}

// AnnounceTo plays something to one participant.
func (t *Twilio) AnnounceTo(callSid, url, failure string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, ok := t.legs[callSid]
	if !ok {
		return fmt.Errorf("announce to participant %s: %w", callSid, ErrNoParticipant)
	}
	t.tell(p.conference, announcementEvent(failure), p.state().with(announcement(url, failure)))
	return nil
}

func announcementEvent(failure string) string {
	return either(failure == "", "announcement-end", "announcement-fail")
}

func announcement(url, failure string) params {
	said := params{"AnnounceUrl": url}
	said.set("ReasonAnnouncementFailed", failure)
	return said
}

// state is what every event about a participant says of it: how it is after
// the change.
func (p *participant) state() params {
	state := params{
		"CallSid":                p.callSid,
		"Muted":                  strconv.FormatBool(p.Muted),
		"Hold":                   strconv.FormatBool(p.hold),
		"Coaching":               strconv.FormatBool(p.Coach != ""),
		"StartConferenceOnEnter": strconv.FormatBool(p.StartConferenceOnEnter),
		"EndConferenceOnExit":    strconv.FormatBool(p.EndConferenceOnExit),
	}
	state.set("ParticipantLabel", p.Label)
	return state
}

func (t *Twilio) tellParticipant(p *participant, event string) {
	t.tell(p.conference, event, p.state())
}

func either(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}
