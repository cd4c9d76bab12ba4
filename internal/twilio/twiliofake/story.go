package twiliofake

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

// Story is a play with people who call, hold, transfer and hang up. Its verbs
// plan what happens and Passes lets time go by in between; nothing happens
// before Plays, which then does all of it, in order, each at its time:
//
//	s := twilio.NewStory()
//	kate := s.Agent("kate").Answers("support-1")
//	customer := s.Customer("customer").Calls("support-1")
//	s.Passes(time.Minute)
//	kate.Holds(customer)
//	s.Passes(30 * time.Second)
//	customer.HangsUp()
//	err := s.Plays(ctx)
//
// On a FastForward clock a story takes no time, and its callbacks carry the
// same timestamps each time it is played.
type Story struct {
	twilio   *Twilio
	moment   time.Duration // of the next step, from the beginning of the act
	act      []planned
	recorded bool
	first    string            // ConferenceSid of the first to join
	over     func() bool       // nothing more is to happen
	fails    func(error) error // what the agenda hears of a step that failed
	broken   error             // the first one
}

// NewStory begins a story. Callbacks of its conferences go where the stand-in's
// Config says.
func (t *Twilio) NewStory() *Story {
	s := &Story{twilio: t}
	s.over = func() bool { return s.broken != nil }
	s.fails = func(err error) error { s.broken = err; return nil }
	return s
}

// Records lets the conferences that begin from here on be recorded.
func (s *Story) Records() { s.recorded = true }

// Passes lets time go by.
func (s *Story) Passes(d time.Duration) { s.moment += d }

// Plays does what was planned, and returns when the callbacks of it have been
// delivered or given up; Run has to be running. An error says which step broke
// a rule of Twilio's; the steps behind it were left out. After Plays the story
// can go on.
func (s *Story) Plays(ctx context.Context) error {
	played := make(chan struct{})
	s.act = append(s.act, planned{s.moment, func() error { close(played); return nil }})
	s.begin()
	select {
	case <-played:
	case <-ctx.Done():
		return fmt.Errorf("play story: %w", context.Cause(ctx))
	}
	if err := s.twilio.sender.settle(ctx); err != nil {
		return fmt.Errorf("play story: %w", err)
	}
	return s.broken
}

// begin puts the whole act on the agenda at once, so that no step's time hangs
// on how long the planning took.
func (s *Story) begin() {
	s.twilio.agenda.plan(s.act)
	s.act, s.moment = nil, 0
}

// step plans something at this moment.
func (s *Story) step(what string, do func(*Twilio) error) {
	s.act = append(s.act, planned{s.moment, func() error {
		if s.over() {
			return nil
		}
		if err := do(s.twilio); err != nil {
			return s.fails(fmt.Errorf("%s: %w", what, err))
		}
		return nil
	}})
}

// Ends ends the conference of that room by REST.
func (s *Story) Ends(room string) {
	s.step("end "+room, func(t *Twilio) error { return t.End(t.current(room)) })
}

// Announces plays something to everybody in the room.
func (s *Story) Announces(room, url string) { s.announces(room, url, "") }

func (s *Story) announces(room, url, failure string) {
	s.step("announce to "+room, func(t *Twilio) error { return t.Announce(t.current(room), url, failure) })
}

// current is the SID of the room's conference, or "".
func (t *Twilio) current(room string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c, ok := t.rooms[room]; ok {
		return c.sid
	}
	return ""
}

// Caller is one person with a phone. Its SIDs are known once the act that it
// joined in has been played.
type Caller struct {
	story         *Story
	leg           Leg
	room          string // "" before it joined
	callSid       string
	conferenceSid string
}

// Agent is somebody whose joining starts the conference.
func (s *Story) Agent(label string) *Caller {
	return s.caller(Leg{Label: label, StartConferenceOnEnter: true})
}

// Customer is somebody who hears music until an agent is there.
func (s *Story) Customer(label string) *Caller { return s.caller(Leg{Label: label}) }

func (s *Story) caller(leg Leg) *Caller { return &Caller{story: s, leg: leg} }

// CallSid is that of the call with which the caller joined last.
func (c *Caller) CallSid() string { return c.callSid }

// ConferenceSid is that of the conference which the caller joined last.
func (c *Caller) ConferenceSid() string { return c.conferenceSid }

// Calls lets the caller join the room.
func (c *Caller) Calls(room string) *Caller {
	c.room = room
	return c.joins(nil)
}

// Answers is Calls, for those who are called.
func (c *Caller) Answers(room string) *Caller { return c.Calls(room) }

// Coaches lets the caller join the room of somebody, muted for all others.
func (c *Caller) Coaches(coached *Caller) *Caller {
	c.room, c.leg.Muted = coached.room, true
	return c.joins(coached)
}

// joins plans a new call into the caller's room.
func (c *Caller) joins(coached *Caller) *Caller {
	room, leg := c.room, c.leg
	leg.Record = c.story.recorded
	leg.Status, leg.Recording = c.story.twilio.status, c.story.twilio.recordings
	c.does("join "+room, func(t *Twilio) (err error) {
		if coached != nil {
			leg.Coach = coached.callSid
		}
		c.conferenceSid, c.callSid, err = t.Join(room, leg)
		c.story.first = cmp.Or(c.story.first, c.conferenceSid)
		return err
	})
	return c
}

// does plans something that the caller does, or that happens to it.
func (c *Caller) does(what string, do func(*Twilio) error) {
	c.story.step(c.leg.Label+": "+what, do)
}

// EndsOnExit lets the conference end when the caller goes, whether it has
// joined already or not.
func (c *Caller) EndsOnExit() *Caller { return c.endsOnExit(true) }

func (c *Caller) endsOnExit(ends bool) *Caller {
	c.leg.EndConferenceOnExit = ends
	if c.room != "" {
		c.does("end on exit", func(t *Twilio) error { return t.EndOnExit(c.callSid, ends) })
	}
	return c
}

// Holds lets the other one hear music.
func (c *Caller) Holds(other *Caller) {
	other.does("be held", func(t *Twilio) error { return t.Hold(other.callSid, true) })
}

// TakesBack ends Holds.
func (c *Caller) TakesBack(other *Caller) {
	other.does("be taken back", func(t *Twilio) error { return t.Hold(other.callSid, false) })
}

// Mutes lets nobody hear the caller.
func (c *Caller) Mutes() {
	c.does("mute", func(t *Twilio) error { return t.Mute(c.callSid, true) })
}

// Unmutes ends Mutes.
func (c *Caller) Unmutes() {
	c.does("unmute", func(t *Twilio) error { return t.Mute(c.callSid, false) })
}

// StopsCoaching lets the caller be a participant like any other.
func (c *Caller) StopsCoaching() {
	c.does("stop coaching", func(t *Twilio) error { return t.Coach(c.callSid, "") })
}

// Speaks lets the caller talk for that time.
func (c *Caller) Speaks(d time.Duration) {
	c.does("speak", func(t *Twilio) error { return t.Speak(c.callSid, true) })
	c.story.Passes(d)
	c.does("fall silent", func(t *Twilio) error { return t.Speak(c.callSid, false) })
}

// Hears lets an announcement be played to the caller alone.
func (c *Caller) Hears(url string) { c.hears(url, "") }

func (c *Caller) hears(url, failure string) {
	c.does("hear an announcement", func(t *Twilio) error { return t.AnnounceTo(c.callSid, url, failure) })
}

// TransfersTo lets another one come into the room, and the caller go.
func (c *Caller) TransfersTo(other *Caller) {
	other.Answers(c.room)
	c.HangsUp()
}

// HangsUp lets the caller put the phone down.
func (c *Caller) HangsUp() {
	c.does("hang up", func(t *Twilio) error { return t.HangUp(c.callSid) })
}

// IsKicked removes the caller by REST.
func (c *Caller) IsKicked() {
	c.does("be kicked", func(t *Twilio) error { return t.Kick(c.callSid) })
}
