package twiliofake

import (
	"fmt"
	"time"
)

// story tells what happens in one conference, by putting its steps on the
// agenda of a scene.
type story func(*scene)

// stories are the floor's repertoire. Together they end for all five reasons.
var stories = []story{
	customerHangsUp,
	agentWrapsUp,
	supervisorEnds,
	forgottenOnHold,
	moderatorRemoved,
	nobodyAnswers,
	warmTransfer,
	dropsAndReturns,
}

var (
	agents      = []string{"agent-ana", "agent-ben", "agent-chloe", "agent-dmitri", "agent-elif", "agent-farid"}
	supervisors = []string{"supervisor-kim", "supervisor-noor"}
)

const (
	announcementURL = "https://media.example.com/announcements/transfer.mp3"
	warningURL      = "https://media.example.com/announcements/closing.mp3"
)

// customerHangsUp: a talk with a stretch on hold; the customer's leg has
// endConferenceOnExit and the customer puts the phone down.
func customerHangsUp(s *scene) {
	agent := s.join(s.agent())
	s.pause(1, 2)
	customer := s.join(Leg{Label: s.customer(), StartConferenceOnEnter: true, EndConferenceOnExit: true})
	s.pause(2, 5)
	s.hold(customer, true)
	s.mute(agent, true)
	s.pause(2, 6)
	s.mute(agent, false)
	s.hold(customer, false)
	s.pause(2, 6)
	s.hangUp(customer)
}

// agentWrapsUp: nobody's leg has endConferenceOnExit, so the conference lives
// until the agent, who stays to write a note, leaves as the last.
func agentWrapsUp(s *scene) {
	customer := s.join(Leg{Label: s.customer()})
	s.pause(1, 4)
	agent := s.join(s.agent())
	s.pause(1, 2)
	s.chat(agent, customer)
	s.hangUp(customer)
	s.pause(1, 5)
	s.hangUp(agent)
}

// supervisorEnds: a supervisor coaches, then speaks, and has the application
// end the conference by REST.
func supervisorEnds(s *scene) {
	agent := s.join(s.agent())
	customer := s.join(Leg{Label: s.customer(), StartConferenceOnEnter: true})
	s.pause(1, 3)
	s.mute(customer, true)
	s.pause(1, 2)
	s.mute(customer, false)
	supervisor := s.joinCoaching(s.floor.pick(supervisors), agent)
	s.pause(2, 6)
	s.coach(supervisor, nil)
	s.mute(supervisor, false)
	s.pause(2, 5)
	s.announce(warningURL)
	s.pause(1, 2)
	s.end()
}

// forgottenOnHold: the agent is gone, the customer still hears music, and
// somebody notices and kicks the leg.
func forgottenOnHold(s *scene) {
	customer := s.join(Leg{Label: s.customer()})
	s.pause(1, 2)
	agent := s.join(s.agent())
	s.pause(2, 5)
	s.hold(customer, true)
	s.pause(1, 2)
	s.hangUp(agent)
	s.pause(5, 12)
	s.kick(customer)
}

// moderatorRemoved: a moderated meeting ends because its moderator, on whom it
// hangs, is kicked.
func moderatorRemoved(s *scene) {
	guests := []*caller{
		s.join(Leg{Label: s.customer(), Muted: true}),
		s.join(Leg{Muted: true}),
	}
	s.pause(1, 2)
	moderator := s.join(Leg{Label: s.floor.pick(supervisors), StartConferenceOnEnter: true, EndConferenceOnExit: true})
	s.pause(1, 3)
	for _, guest := range guests {
		s.mute(guest, false)
		s.pause(1, 2)
	}
	s.kick(moderator)
}

// nobodyAnswers: a customer waits alone, the conference never starts, and the
// customer gives up.
func nobodyAnswers(s *scene) {
	customer := s.join(Leg{Label: s.customer()})
	s.pause(4, 12)
	s.hangUp(customer)
}

// warmTransfer: one agent hands the customer over to another, on whose leg the
// conference then hangs.
func warmTransfer(s *scene) {
	first := s.join(Leg{Label: agents[0], StartConferenceOnEnter: true, EndConferenceOnExit: true})
	s.pause(1, 2)
	customer := s.join(Leg{Label: s.customer(), StartConferenceOnEnter: true})
	s.pause(2, 4)
	s.hold(customer, true)
	s.announceTo(customer, announcementURL)
	second := s.join(Leg{Label: agents[1], StartConferenceOnEnter: true})
	s.pause(1, 2)
	s.chat(first, second)
	s.hold(customer, false)
	s.endOnExit(second, true)
	s.endOnExit(first, false)
	s.hangUp(first)
	s.pause(2, 6)
	s.hangUp(second)
}

// dropsAndReturns: the customer's line breaks and a new call takes the same
// place; the agent ends it by leaving.
func dropsAndReturns(s *scene) {
	agent := s.join(Leg{Label: s.floor.pick(agents), StartConferenceOnEnter: true, EndConferenceOnExit: true})
	label := s.customer()
	s.pause(1, 2)
	customer := s.join(Leg{Label: label, StartConferenceOnEnter: true})
	s.pause(2, 5)
	s.hangUp(customer)
	s.pause(1, 4)
	s.join(Leg{Label: label, StartConferenceOnEnter: true})
	s.pause(2, 6)
	s.hangUp(agent)
}

// scene is one conference being scripted: each verb puts a step on the agenda
// at the scene's moment, and pause moves that moment on.
type scene struct {
	floor         *floor
	room          string
	moment        time.Duration // from now
	conferenceSid string        // known once the first leg has joined
	cast          int
}

// caller is a leg in the script; its CallSid is known once it has joined.
type caller struct{ callSid string }

func (s *scene) do(step func(*Twilio) error) {
	s.floor.twilio.agenda.after(s.moment, func() error { return step(s.floor.twilio) })
}

// pause lets between least and most seconds pass.
func (s *scene) pause(least, most int) {
	s.moment += s.floor.between(time.Duration(least)*time.Second, time.Duration(most)*time.Second)
}

// recorded is the share of conferences that are recorded.
const recorded = 0.4

// join adds a leg. The first one brings what it fixes for the conference.
func (s *scene) join(leg Leg) *caller {
	if s.cast == 0 {
		leg.Status, leg.Recording = s.floor.status, s.floor.recording
		leg.Record = s.floor.often(recorded)
	}
	s.cast++
	c := &caller{}
	s.do(func(t *Twilio) (err error) {
		s.conferenceSid, c.callSid, err = t.Join(s.room, leg)
		return err
	})
	return c
}

// joinCoaching adds a leg that whispers to coached and is heard by nobody else.
func (s *scene) joinCoaching(label string, coached *caller) *caller {
	c := &caller{}
	s.do(func(t *Twilio) (err error) {
		leg := Leg{Label: label, Muted: true, StartConferenceOnEnter: true, Coach: coached.callSid}
		_, c.callSid, err = t.Join(s.room, leg)
		return err
	})
	return c
}

func (s *scene) hangUp(c *caller) { s.do(func(t *Twilio) error { return t.HangUp(c.callSid) }) }

func (s *scene) kick(c *caller) { s.do(func(t *Twilio) error { return t.Kick(c.callSid) }) }

func (s *scene) end() { s.do(func(t *Twilio) error { return t.End(s.conferenceSid) }) }

func (s *scene) mute(c *caller, muted bool) {
	s.do(func(t *Twilio) error { return t.Mute(c.callSid, muted) })
}

func (s *scene) hold(c *caller, hold bool) {
	s.do(func(t *Twilio) error { return t.Hold(c.callSid, hold) })
}

func (s *scene) endOnExit(c *caller, ends bool) {
	s.do(func(t *Twilio) error { return t.EndOnExit(c.callSid, ends) })
}

// coach changes whom c whispers to; nil is nobody.
func (s *scene) coach(c, coached *caller) {
	s.do(func(t *Twilio) error {
		if coached == nil {
			return t.Coach(c.callSid, "")
		}
		return t.Coach(c.callSid, coached.callSid)
	})
}

// announcementFails is the share of announcements that fail. Real ones hardly
// ever do; the picture has to show them all the same.
const announcementFails = 0.2

func (s *scene) failure() string { return either(s.floor.often(announcementFails), "timeout", "") }

func (s *scene) announce(url string) {
	failure := s.failure()
	s.do(func(t *Twilio) error { return t.Announce(s.conferenceSid, url, failure) })
}

func (s *scene) announceTo(c *caller, url string) {
	failure := s.failure()
	s.do(func(t *Twilio) error { return t.AnnounceTo(c.callSid, url, failure) })
}

// chat lets two talk in turn, as the speaker events tell it.
func (s *scene) chat(a, b *caller) {
	for _, speaker := range []*caller{a, b} {
		s.do(func(t *Twilio) error { return t.Speak(speaker.callSid, true) })
		s.pause(1, 3)
		s.do(func(t *Twilio) error { return t.Speak(speaker.callSid, false) })
	}
}

func (s *scene) agent() Leg {
	return Leg{Label: s.floor.pick(agents), StartConferenceOnEnter: true}
}

// customer returns a label for one. Some applications label a leg with the
// caller's number; these are of the range kept for fiction (555-01xx).
func (s *scene) customer() string {
	if s.floor.often(0.3) {
		return fmt.Sprintf("+1415555%04d", 100+s.floor.chance.IntN(100))
	}
	return "customer"
}
