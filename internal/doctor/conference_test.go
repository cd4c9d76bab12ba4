package doctor_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"gavel/events"
	"gavel/internal/doctor"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const (
	ana      = "CA00000000000000000000000000000001" // the agent
	customer = "CA00000000000000000000000000000002"
)

// story is what was received about one conference: a minute between one fact
// and the next, the last an hour ago.
type story struct {
	facts []doctor.Observation
	// agent and other are the flags in the legs' TwiML.
	agent, other doctor.Flags
}

func (s *story) add(kind events.Kind, call string, flags *doctor.Flags) {
	s.facts = append(s.facts, doctor.Observation{Kind: kind, CallSid: call, Flags: flags})
}

// leg adds a participant event of a leg with its current flags.
func (s *story) leg(kind events.Kind, call string) {
	flags := s.other
	if call == ana {
		flags = s.agent
	}
	s.add(kind, call, &flags)
}

func (s *story) conference(n int) doctor.Conference {
	for i := range s.facts {
		s.facts[i].At = now.Add(-time.Hour - time.Duration(len(s.facts)-i)*time.Minute)
	}
	return doctor.Conference{Sid: fmt.Sprintf("CF%032x", n), Facts: s.facts}
}

// call is a call without problems: the customer waits, the agent starts the
// conference, holds the customer and ends it.
func call() *story {
	s := &story{agent: doctor.Flags{StartsOnEnter: true, EndsOnExit: true}}
	s.leg(events.ParticipantJoin, customer)
	s.leg(events.ParticipantJoin, ana)
	s.add(events.ConferenceStart, "", nil)
	s.other.Hold = true
	s.leg(events.ParticipantHold, customer)
	s.other.Hold = false
	s.leg(events.ParticipantUnhold, customer)
	s.leg(events.ParticipantLeave, ana)
	s.leg(events.ParticipantLeave, customer)
	s.add(events.ConferenceEnd, "", nil)
	return s
}

// without is a call without the events of some kinds.
func without(kinds ...events.Kind) *story {
	s := call()
	s.facts = slices.DeleteFunc(s.facts, func(f doctor.Observation) bool { return slices.Contains(kinds, f.Kind) })
	return s
}

var allReceived = want{doctor.OK, "1 conference of the last day; received: start end join leave hold; not received: mute modify speaker announcement"}

func TestACallWithoutProblems(t *testing.T) {
	t.Parallel()
	conferences := []doctor.Conference{call().conference(1)}
	expect(t, doctor.Subscriptions(conferences, now), allReceived)
	expect(t, doctor.Traps(conferences), want{doctor.OK, "none in 1 conference"})
}

func TestADayWithoutConferences(t *testing.T) {
	t.Parallel()
	expect(t, doctor.Subscriptions(nil, now), want{doctor.Note, "set statusCallback"})
	expect(t, doctor.Traps(nil), want{doctor.Note, "not checked"})
}

func TestAnEventThatIsNotSubscribedIsNamed(t *testing.T) {
	t.Parallel()
	for word, c := range map[string]*story{
		"start": without(events.ConferenceStart),
		"end":   without(events.ConferenceEnd),
		"join":  without(events.ParticipantJoin),
		"leave": without(events.ParticipantLeave),
		"hold":  holdNotReceived(),
	} {
		t.Run(word, func(t *testing.T) {
			t.Parallel()
			found := doctor.Subscriptions([]doctor.Conference{c.conference(1)}, now)
			expect(t, found, want{doctor.Warning, "add " + word + " to statusCallbackEvent"}, want{doctor.OK, "not received: "})
		})
	}
}

// holdNotReceived is a call where only the flags of another event show the hold.
func holdNotReceived() *story {
	s := without(events.ParticipantHold, events.ParticipantUnhold)
	for i, f := range s.facts {
		if f.Kind == events.ParticipantLeave && f.CallSid == customer {
			s.facts[i].Flags.Hold = true
		}
	}
	return s
}

func TestALegThatJoinsMutedNeedsNoMuteEvent(t *testing.T) {
	t.Parallel()
	s := call()
	s.other.Muted = true
	s.facts = slices.Insert(s.facts, 5, doctor.Observation{Kind: events.ParticipantJoin, CallSid: customer, Flags: &s.other})
	for i := range s.facts[6:] {
		if s.facts[6+i].CallSid == customer {
			s.facts[6+i].Flags.Muted = true
		}
	}
	expect(t, doctor.Subscriptions([]doctor.Conference{s.conference(1)}, now), allReceived)
}

func TestConferencesThatLackAnEventAreNamed(t *testing.T) {
	t.Parallel()
	found := doctor.Subscriptions([]doctor.Conference{
		call().conference(1), without(events.ParticipantLeave).conference(2),
	}, now)
	expect(t, found, want{doctor.Warning, `"leave" was not received for 1 of 2 conferences that must have had it (CF00000000000000000000000000000002)`}, want{doctor.OK, ""})
}

func TestAConferenceInProgressLacksNothing(t *testing.T) {
	t.Parallel()
	s := call()
	s.facts = s.facts[:3] // both have joined, and the conference has started
	expect(t, doctor.Subscriptions([]doctor.Conference{s.conference(1)}, now), want{doctor.OK, "received: start join"})
	late := s.conference(1)
	expect(t, doctor.Subscriptions([]doctor.Conference{late}, now.Add(5*time.Hour)),
		want{doctor.Warning, "add end to"}, want{doctor.Warning, "add leave to"}, want{doctor.OK, ""})
}

func TestAStatusCallbackIsMissingBesideRecordings(t *testing.T) {
	t.Parallel()
	s := &story{}
	s.add("recording-completed", "", nil)
	s.add(events.ActionIntent, "", nil)
	expect(t, doctor.Subscriptions([]doctor.Conference{s.conference(1)}, now), want{doctor.Warning, "in addition to recordingStatusCallback"})
}

func TestEachTrapIsFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		agent, other doctor.Flags
		hold, start  bool
		want         want
	}{
		"no leg ends on exit": {
			agent: doctor.Flags{StartsOnEnter: true}, start: true, want: want{doctor.Warning, "no leg has endConferenceOnExit"},
		},
		"no leg starts on enter": {
			agent: doctor.Flags{EndsOnExit: true}, want: want{doctor.Warning, "no leg has startConferenceOnEnter"},
		},
		"it started nevertheless": {
			agent: doctor.Flags{EndsOnExit: true}, start: true, want: want{doctor.OK, ""},
		},
		"a held leg ends on exit": {
			agent: doctor.Flags{StartsOnEnter: true}, other: doctor.Flags{EndsOnExit: true}, start: true, hold: true,
			want: want{doctor.Warning, "is on hold: if it hangs up there, the conference ends"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &story{agent: c.agent, other: c.other}
			s.leg(events.ParticipantJoin, customer)
			s.leg(events.ParticipantJoin, ana)
			if c.start {
				s.add(events.ConferenceStart, "", nil)
			}
			if c.hold {
				s.other.Hold = true
				s.leg(events.ParticipantHold, customer)
			}
			expect(t, doctor.Traps([]doctor.Conference{s.conference(1)}), c.want)
		})
	}
}

// A conference with a single leg is not a trap, and did not start.
func TestAConferenceWithOneLegIsNotJudged(t *testing.T) {
	t.Parallel()
	s := &story{agent: doctor.Flags{StartsOnEnter: true}}
	s.leg(events.ParticipantJoin, ana)
	s.leg(events.ParticipantLeave, ana)
	s.add(events.ConferenceEnd, "", nil)
	conferences := []doctor.Conference{s.conference(1)}
	expect(t, doctor.Traps(conferences), want{doctor.Note, "not checked"})
	expect(t, doctor.Subscriptions(conferences, now), want{doctor.OK, "received: end join leave;"})
}

// One waits, and the volunteer that is dialled is busy: nothing started, and there is no second leg.
func TestALegThatWasNotReachedIsNoCompany(t *testing.T) {
	t.Parallel()
	s := &story{agent: doctor.Flags{StartsOnEnter: true}}
	s.leg(events.ParticipantJoin, customer)
	s.leg(events.ParticipantLeave, ana)
	s.facts[1].NotReached = true
	conferences := []doctor.Conference{s.conference(1)}
	expect(t, doctor.Traps(conferences), want{doctor.Note, "not checked"})
	expect(t, doctor.Subscriptions(conferences, now), want{doctor.OK, "received: join leave;"})
}

func TestAFindingNamesAtMostThreeConferences(t *testing.T) {
	t.Parallel()
	var conferences []doctor.Conference
	for n := range 5 {
		s := without(events.ParticipantJoin)
		s.agent.EndsOnExit = false
		conferences = append(conferences, s.conference(n))
	}
	found := doctor.Subscriptions(conferences, now)
	expect(t, found[:1], want{doctor.Warning, "CF00000000000000000000000000000002 and others)"})
}
