package condition_test

import (
	"testing"
	"time"

	"gavel/events"
	"gavel/projections"
	"gavel/rules/condition"
)

// The call on the reference page, folded by the real Fold: a customer joins, Ana joins half a
// minute later and the conference starts, she puts the customer on hold at 10:02:00 and hangs up at
// 10:02:30. The event is her leaving, the participant is the customer, and the time is 10:03:00.

const (
	account  = "AC00000000000000000000000000000001"
	room     = "CF00000000000000000000000000000001"
	customer = "CA00000000000000000000000000000001"
	ana      = "CA00000000000000000000000000000002"
)

func sample(t *testing.T) condition.Vars {
	t.Helper()
	c := &call{t: t}
	c.event("10:00:00", events.ParticipantJoin, customer, "ParticipantLabel", "customer", "EndConferenceOnExit", "true")
	c.event("10:00:30", events.ParticipantJoin, ana, "ParticipantLabel", "agent-ana", "StartConferenceOnEnter", "true")
	c.event("10:00:30", events.ConferenceStart, "")
	c.recording("10:00:31", "in-progress")
	c.event("10:02:00", events.ParticipantHold, customer, "ParticipantLabel", "customer", "EndConferenceOnExit", "true", "Hold", "true")
	c.action("10:02:00", events.Action{Do: events.DoUpdateParticipant, CallSid: customer})
	before := c.record
	left := c.event("10:02:30", events.ParticipantLeave, ana, "ParticipantLabel", "agent-ana", "StartConferenceOnEnter", "true",
		"ReasonParticipantLeft", "participant_hung_up", "ParticipantCallStatus", "completed")
	return condition.Vars{
		Conference:  c.record,
		Before:      before,
		Event:       left,
		Participant: c.record.Participant(customer),
		Now:         at(t, "10:03:00"),
		Account:     account,
	}
}

// call is a conference whose events are folded one after the other.
type call struct {
	t      *testing.T
	record *projections.Conference
	number int64
}

func (c *call) event(clock string, kind events.Kind, callSid string, params ...string) *events.Event {
	c.t.Helper()
	c.number++
	e := &events.Event{
		Kind: kind, CallSid: callSid, SequenceNumber: c.number,
		Params: events.Params{{Name: "FriendlyName", Value: "support-7"}},
	}
	for i := 0; i < len(params); i += 2 {
		e.Params = append(e.Params, events.Param{Name: params[i], Value: params[i+1]})
	}
	return c.fold(clock, e)
}

func (c *call) recording(clock, status string) {
	c.t.Helper()
	sid := "RE00000000000000000000000000000001"
	c.fold(clock, &events.Event{
		Kind: events.Kind("recording-" + status), RecordingSid: sid, SequenceNumber: events.NoSequence,
		Params: events.Params{{Name: "RecordingSid", Value: sid}, {Name: "RecordingStatus", Value: status}},
	})
}

// action is one that kate requested through Gavel and that Twilio carried out.
func (c *call) action(clock string, a events.Action) {
	c.t.Helper()
	a.ID, a.AccountSid, a.ConferenceSid, a.At = events.NewULID(), account, room, at(c.t, clock)
	a.Actor = events.Actor{Sid: "SK00000000000000000000000000000001", Name: "kate"}
	for _, entry := range []events.Entry{events.NewIntent(a), events.NewOutcome(a, events.Outcome{Result: events.Done, Status: 200, At: a.At})} {
		e, err := events.Parse(entry)
		if err != nil {
			c.t.Fatal(err)
		}
		c.fold(clock, &e)
	}
}

func (c *call) fold(clock string, e *events.Event) *events.Event {
	c.t.Helper()
	e.AccountSid, e.ConferenceSid, e.Query = account, room, "queue=support"
	e.OccurredAt = at(c.t, clock)
	e.ReceivedAt = e.OccurredAt.Add(500 * time.Millisecond)
	after, fresh, err := projections.Fold(c.record, e)
	if err != nil || !fresh {
		c.t.Fatalf("%s at %s: fresh %v, %v", e.Kind, clock, fresh, err)
	}
	c.record = after
	return e
}

func at(t *testing.T, clock string) time.Time {
	t.Helper()
	moment, err := time.Parse(time.RFC3339, "2026-11-02T"+clock+"Z")
	if err != nil {
		t.Fatal(err)
	}
	return moment
}

func compile(t *testing.T, text string) *condition.Condition {
	t.Helper()
	c, faults := condition.Compile(text)
	if faults != nil {
		t.Fatalf("%s: %v", text, faults)
	}
	return c
}
