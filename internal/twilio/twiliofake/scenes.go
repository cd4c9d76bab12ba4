package twiliofake

import (
	"fmt"
	"time"
)

// story is the course of one conference: it puts its steps on the agenda of a scene.
type story func(*scene)

// stories are all stories of the floor. Together they end for all five reasons.
var stories = []story{
	customerHangsUp,
	agentWrapsUp,
	supervisorEnds,
	forgottenOnHold,
	moderatorRemoved,
	nobodyAnswers,
	warmTransfer,
	dropsAndReturns,
	leftAlone,
}

var (
	agents      = []string{"agent-ana", "agent-ben", "agent-chloe", "agent-dmitri", "agent-elif", "agent-farid"}
	supervisors = []string{"supervisor-kim", "supervisor-noor"}
)

const (
	announcementURL = "https://media.example.com/announcements/transfer.mp3"
	warningURL      = "https://media.example.com/announcements/closing.mp3"
)

// customerHangsUp: a call with a hold; the customer's leg has
// endConferenceOnExit and the customer hangs up.
func customerHangsUp(s *scene) {
	agent := s.agent().Answers(s.room)
	s.pause(1, 2)
	customer := s.starter(s.customer()).EndsOnExit().Calls(s.room)
	s.pause(2, 5)
	agent.Holds(customer)
	agent.Mutes()
	s.pause(2, 6)
	agent.Unmutes()
	agent.TakesBack(customer)
	s.pause(2, 6)
	customer.HangsUp()
}

// agentWrapsUp: no leg has endConferenceOnExit, so the conference goes on until
// the agent, who stays to write a note, leaves last.
func agentWrapsUp(s *scene) {
	customer := s.Customer(s.customer()).Calls(s.room)
	s.pause(1, 4)
	agent := s.agent().Answers(s.room)
	s.pause(1, 2)
	s.chat(agent, customer)
	customer.HangsUp()
	s.pause(1, 5)
	agent.HangsUp()
}

// supervisorEnds: a supervisor coaches, then speaks, and has the application
// end the conference by REST.
func supervisorEnds(s *scene) {
	agent := s.agent().Answers(s.room)
	customer := s.starter(s.customer()).Calls(s.room)
	s.pause(1, 3)
	customer.Mutes()
	s.pause(1, 2)
	customer.Unmutes()
	supervisor := s.starter(s.floor.pick(supervisors)).Coaches(agent)
	s.pause(2, 6)
	supervisor.StopsCoaching()
	supervisor.Unmutes()
	s.pause(2, 5)
	s.announces(s.room, warningURL, s.failure())
	s.pause(1, 2)
	s.Ends(s.room)
}

// forgottenOnHold: the agent has left, the customer still hears music, and an
// operator notices and kicks the leg.
func forgottenOnHold(s *scene) {
	customer := s.Customer(s.customer()).Calls(s.room)
	s.pause(1, 2)
	agent := s.agent().Answers(s.room)
	s.pause(2, 5)
	agent.Holds(customer)
	s.pause(1, 2)
	agent.HangsUp()
	s.pause(5, 12)
	customer.IsKicked()
}

// moderatorRemoved: a moderated meeting ends because its moderator, whose leg
// has endConferenceOnExit, is kicked.
func moderatorRemoved(s *scene) {
	guests := []*Caller{
		s.caller(Leg{Label: s.customer(), Muted: true}).Calls(s.room),
		s.caller(Leg{Muted: true}).Calls(s.room),
	}
	s.pause(1, 2)
	moderator := s.starter(s.floor.pick(supervisors)).EndsOnExit().Calls(s.room)
	s.pause(1, 3)
	for _, guest := range guests {
		guest.Unmutes()
		s.pause(1, 2)
	}
	moderator.IsKicked()
}

// nobodyAnswers: a customer waits alone, the conference never starts, and the customer gives up.
func nobodyAnswers(s *scene) {
	customer := s.Customer(s.customer()).Calls(s.room)
	s.pause(4, 12)
	customer.HangsUp()
}

// warmTransfer: one agent transfers the customer to another, whose leg then has
// endConferenceOnExit.
func warmTransfer(s *scene) {
	first := s.Agent(agents[0]).EndsOnExit().Answers(s.room)
	s.pause(1, 2)
	customer := s.starter(s.customer()).Calls(s.room)
	s.pause(2, 4)
	first.Holds(customer)
	customer.hears(announcementURL, s.failure())
	second := s.Agent(agents[1]).Answers(s.room)
	s.pause(1, 2)
	s.chat(first, second)
	first.TakesBack(customer)
	second.EndsOnExit()
	first.endsOnExit(false)
	first.HangsUp()
	s.pause(2, 6)
	second.HangsUp()
}

// dropsAndReturns: the customer's line drops and a new call replaces it; the
// agent ends the conference by leaving.
func dropsAndReturns(s *scene) {
	agent := s.agent().EndsOnExit().Answers(s.room)
	customer := s.starter(s.customer())
	s.pause(1, 2)
	customer.Calls(s.room)
	s.pause(2, 5)
	customer.HangsUp()
	s.pause(1, 4)
	customer.Calls(s.room)
	s.pause(2, 6)
	agent.HangsUp()
}

// leftAlone: the agent leaves after the talk, and the customer stays on the
// line until an operator ends the conference.
func leftAlone(s *scene) {
	customer := s.Customer(s.customer()).Calls(s.room)
	s.pause(1, 2)
	agent := s.agent().Answers(s.room)
	s.pause(2, 5)
	agent.HangsUp()
	s.pause(45, 75)
	customer.HangsUp()
}

// scene is one story of the call floor, in one room.
type scene struct {
	*Story
	floor *floor
	room  string
}

// recorded is the share of conferences that are recorded.
const recorded = 0.4

// newScene starts a story in a room. The floor fails if a step breaks a rule of conferences, but
// not if a REST request changed the room meanwhile: then the rest of the story is skipped.
func newScene(f *floor, room string) *scene {
	s := &scene{Story: f.twilio.NewStory(), floor: f, room: room}
	s.recorded = f.often(recorded)
	s.over = func() bool {
		disturbed, completed := f.twilio.fateOf(s.first)
		return disturbed && completed
	}
	s.fails = func(err error) error {
		disturbed, _ := f.twilio.fateOf(s.first)
		taken, _ := f.twilio.fateOf(f.twilio.current(room))
		if disturbed || taken {
			return nil
		}
		return err
	}
	return s
}

// fateOf reports whether REST changed a conference, and whether it is completed.
func (t *Twilio) fateOf(conferenceSid string) (disturbed, completed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, ok := t.bySid[conferenceSid]
	return ok && c.disturbed, ok && c.completed
}

// pause lets between least and most seconds pass.
func (s *scene) pause(least, most int) {
	s.Passes(s.floor.between(time.Duration(least)*time.Second, time.Duration(most)*time.Second))
}

// announcementFails is the share of announcements that fail. Real ones hardly
// ever fail; the picture must show failures all the same.
const announcementFails = 0.2

func (s *scene) failure() string { return either(s.floor.often(announcementFails), "timeout", "") }

// chat lets two legs speak in turn, as speaker events.
func (s *scene) chat(a, b *Caller) {
	for _, speaker := range []*Caller{a, b} {
		speaker.Speaks(s.floor.between(time.Second, 3*time.Second))
	}
}

// agent is one of the floor's agents.
func (s *scene) agent() *Caller { return s.Agent(s.floor.pick(agents)) }

// starter is a caller whose join starts the conference, the default in TwiML.
func (s *scene) starter(label string) *Caller { return s.Agent(label) }

// customer returns a customer's label. Some applications label a leg with the caller's number;
// these numbers are from the range reserved for fiction (555-01xx).
func (s *scene) customer() string {
	if s.floor.often(0.3) {
		return fmt.Sprintf("+1415555%04d", 100+s.floor.chance.IntN(100))
	}
	return "customer"
}
