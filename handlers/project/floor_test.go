package project_test

import (
	"context"
	"testing"

	"gavel/events"
	"gavel/handlers/project"
	"gavel/internal/bus"
	"gavel/projections"
)

// twoLanes is a stack with two lanes; here is a conference of lane 0 and there one of lane 1.
func twoLanes(t *testing.T) (s *stack, here, there int) {
	t.Helper()
	s = newStackOf(t, bus.Config{Lanes: 2, Listen: bus.ListenOff})
	for here = 1; events.Lane(conferenceSid(here), 2) != 0; here++ {
	}
	for there = 1; events.Lane(conferenceSid(there), 2) != 1; there++ {
	}
	return s, here, there
}

// passingLane is a lane whose ack floor was moved past the groups of other lanes, as NATS does
// when it has searched them for more of the lane before the last acknowledgement arrived.
type passingLane struct {
	project.Lane
	floor uint64
}

func (l passingLane) Resume(ctx context.Context) (floor, last uint64, err error) {
	_, last, err = l.Lane.Resume(ctx)
	return l.floor, last, err
}

// lossless is a store whose picture must not be filled.
type lossless struct {
	projections.Writer
	t *testing.T
}

func (s lossless) Build(ctx context.Context, lane int) (projections.Build, error) {
	s.t.Errorf("lane %d is filled", lane)
	return s.Writer.Build(ctx, lane)
}

// A projector that took over a lane with an ack floor among the groups of other lanes found its
// picture "lost", and filled it while readers got 503.
func TestAnAckFloorAmongTheGroupsOfOtherLanesIsNoLoss(t *testing.T) {
	t.Parallel()
	s, here, there := twoLanes(t)
	_, stop := run(t, s.config())
	s.tell(t, call(here)...)
	s.tell(t, call(there)...)
	s.settled(t)
	stop()

	last, err := s.bus.Journal().Last(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	s.tell(t, told{here, 8, events.ParticipantJoin, 3}) // it waits behind the floor
	c := s.config()
	c.Lanes[0] = passingLane{c.Lanes[0], last}
	c.Store = lossless{c.Store, t}
	run(t, c)
	s.settled(t)
	s.agree(t, here, there)
}
