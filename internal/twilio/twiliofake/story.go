package twiliofake

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

// Story is a script of people who call, hold, transfer and hang up. Its methods
// plan steps, and Passes plans time between them; nothing happens until Plays
// executes the steps in order, each at its time:
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
// On a FastForward clock a story takes no time, and its callbacks have the same
// timestamps every time.
type Story struct {
	twilio   *Twilio
	moment   time.Duration // of the next step, from the start of this Plays
	act      []planned
	recorded bool
	first    string            // ConferenceSid of the first to join
	over     func() bool       // skip all further steps
	fails    func(error) error // the agenda's error for a step that failed
	broken   error             // the first error
}

// NewStory starts a story. Callbacks of its conferences go to the URLs in the fake's Config.
func (t *Twilio) NewStory() *Story {
	s := &Story{twilio: t}
	s.over = func() bool { return s.broken != nil }
	s.fails = func(err error) error { s.broken = err; return nil }
	return s
}

// Records makes conferences that start after it be recorded.
func (s *Story) Records() { s.recorded = true }

// Passes lets time pass.
func (s *Story) Passes(d time.Duration) { s.moment += d }

// Plays executes the planned steps, and returns when their callbacks have been delivered or given
// up; Run must be running. An error names the step that broke a rule of Twilio's; the steps after
// it are skipped. The story can continue after Plays.
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

// begin puts all steps on the agenda at once, so that their times do not depend
// on how long the planning took.
func (s *Story) begin() {
	s.twilio.agenda.plan(s.act)
	s.act, s.moment = nil, 0
}

// step plans a step at the current time of the story.
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

// Announces plays an announcement to all legs in the room.
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

// Caller is one person with a phone. Its SIDs are known after the Plays in which it joined.
type Caller struct {
	story         *Story
	leg           Leg
	room          string // "" until it joined
	callSid       string
	conferenceSid string
}

// Agent returns a caller whose join starts the conference.
func (s *Story) Agent(label string) *Caller {
	return s.caller(Leg{Label: label, StartConferenceOnEnter: true})
}

// Customer returns a caller who hears music until an agent is present.
func (s *Story) Customer(label string) *Caller { return s.caller(Leg{Label: label}) }

func (s *Story) caller(leg Leg) *Caller { return &Caller{story: s, leg: leg} }

// CallSid is that of the caller's latest call.
func (c *Caller) CallSid() string { return c.callSid }

// ConferenceSid is that of the conference that the caller joined last.
func (c *Caller) ConferenceSid() string { return c.conferenceSid }

// Calls lets the caller join the room.
func (c *Caller) Calls(room string) *Caller {
	c.room = room
	return c.joins(nil)
}

// Answers is Calls, for callers who are called.
func (c *Caller) Answers(room string) *Caller { return c.Calls(room) }

// Coaches lets the caller join the room of another one, inaudible to all others.
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

// does plans a step of the caller.
func (c *Caller) does(what string, do func(*Twilio) error) {
	c.story.step(c.leg.Label+": "+what, do)
}

// EndsOnExit makes the conference end when the caller leaves, whether the
// caller has joined yet or not.
func (c *Caller) EndsOnExit() *Caller { return c.endsOnExit(true) }

func (c *Caller) endsOnExit(ends bool) *Caller {
	c.leg.EndConferenceOnExit = ends
	if c.room != "" {
		c.does("end on exit", func(t *Twilio) error { return t.EndOnExit(c.callSid, ends) })
	}
	return c
}

// Holds puts the other caller on hold.
func (c *Caller) Holds(other *Caller) {
	other.does("be held", func(t *Twilio) error { return t.Hold(other.callSid, true) })
}

// TakesBack ends Holds.
func (c *Caller) TakesBack(other *Caller) {
	other.does("be taken back", func(t *Twilio) error { return t.Hold(other.callSid, false) })
}

// Mutes mutes the caller.
func (c *Caller) Mutes() {
	c.does("mute", func(t *Twilio) error { return t.Mute(c.callSid, true) })
}

// Unmutes ends Mutes.
func (c *Caller) Unmutes() {
	c.does("unmute", func(t *Twilio) error { return t.Mute(c.callSid, false) })
}

// StopsCoaching makes the caller an ordinary participant.
func (c *Caller) StopsCoaching() {
	c.does("stop coaching", func(t *Twilio) error { return t.Coach(c.callSid, "") })
}

// Speaks lets the caller talk for that time.
func (c *Caller) Speaks(d time.Duration) {
	c.does("speak", func(t *Twilio) error { return t.Speak(c.callSid, true) })
	c.story.Passes(d)
	c.does("fall silent", func(t *Twilio) error { return t.Speak(c.callSid, false) })
}

// Hears plays an announcement to the caller alone.
func (c *Caller) Hears(url string) { c.hears(url, "") }

func (c *Caller) hears(url, failure string) {
	c.does("hear an announcement", func(t *Twilio) error { return t.AnnounceTo(c.callSid, url, failure) })
}

// TransfersTo lets another caller join the room, and this one leave.
func (c *Caller) TransfersTo(other *Caller) {
	other.Answers(c.room)
	c.HangsUp()
}

// HangsUp lets the caller hang up.
func (c *Caller) HangsUp() {
	c.does("hang up", func(t *Twilio) error { return t.HangUp(c.callSid) })
}

// IsKicked removes the caller by REST.
func (c *Caller) IsKicked() {
	c.does("be kicked", func(t *Twilio) error { return t.Kick(c.callSid) })
}
