package rules_test

import (
	"fmt"
	"strings"
	"testing"

	"gavel/events"
	"gavel/projections"
	"gavel/rules"
)

// legsOfRoom is how many legs Twilio allows in a conference.
const legsOfRoom = 250

// BenchmarkRoom judges one event of a full room by 200 rules whose condition reads each leg and,
// in a loop, all legs of the room.
func BenchmarkRoom(b *testing.B) {
	for _, row := range []struct {
		name  string
		event func() *events.Event
		agent bool // one is in the room
	}{
		{"hold", func() *events.Event { return callEvent(next, events.ParticipantHold, 7) }, false},
		{"mute", func() *events.Event { return callEvent(next, events.ParticipantMute, 7) }, false},
		{"leave", func() *events.Event { return callEvent(next, events.ParticipantLeave, 7) }, false},
		{"join", func() *events.Event { return callEvent(next, events.ParticipantJoin, legsOfRoom) }, false},
		{"agent", func() *events.Event {
			return labelled(callEvent(next, events.ParticipantJoin, legsOfRoom), "agent-ana")
		}, false},
		{"late", func() *events.Event {
			e := callEvent(next, events.ParticipantHold, 7)
			e.SequenceNumber = 3
			return e
		}, false},
		{"hold-with-agent", func() *events.Event { return callEvent(next, events.ParticipantHold, 7) }, true},
		{"leave-with-agent", func() *events.Event { return callEvent(next, events.ParticipantLeave, 7) }, true},
		{"join-with-agent", func() *events.Event { return callEvent(next, events.ParticipantJoin, legsOfRoom) }, true},
		{"agent-leaves", func() *events.Event { return callEvent(next, events.ParticipantLeave, legsOfRoom/2) }, true},
		{"end-with-agent", func() *events.Event { return callEvent(next, events.ConferenceEnd, 0) }, true},
	} {
		for _, n := range []int{1, 200} {
			b.Run(fmt.Sprintf("%s/%d", row.name, n), func(b *testing.B) {
				benchmarkRoom(b, roomRules(b, n), row.event(), row.agent)
			})
		}
	}
}

// next is the number of the event that follows those that fill the room.
const next = legsOfRoom + 1

func labelled(e *events.Event, label string) *events.Event {
	for i := range e.Params {
		if e.Params[i].Name == "ParticipantLabel" {
			e.Params[i].Value = label
		}
	}
	return e
}

func benchmarkRoom(b *testing.B, set *rules.Set, e *events.Event, agent bool) {
	b.Helper()
	var record *projections.Conference
	for leg := range legsOfRoom {
		e := callEvent(leg, events.ParticipantJoin, leg)
		if agent && leg == legsOfRoom/2 {
			e = labelled(e, "agent-ana")
		}
		record = folded(b, record, e)
	}
	before := folded(b, record, callEvent(legsOfRoom, events.ConferenceStart, 0))
	in := rules.Input{ID: "load", At: nine, Loaded: &rules.Load{}}
	for _, r := range set.Rules {
		in.Loaded.Changed = append(in.Loaded.Changed, r.Name)
	}
	state := rules.Judge(set, nil, before, in, before).State
	after := folded(b, before, e)
	for b.Loop() {
		rules.Judge(set, state, before, rules.Input{ID: e.ID, At: e.ReceivedAt, Fact: e}, after)
	}
}

func folded(b *testing.B, record *projections.Conference, e *events.Event) *projections.Conference {
	b.Helper()
	after, _, err := projections.Fold(record, e)
	if err != nil {
		b.Fatal(err)
	}
	return after
}

func roomRules(b *testing.B, n int) *rules.Set {
	b.Helper()
	var text strings.Builder
	text.WriteString("rules:\n")
	for i := range n {
		fmt.Fprintf(&text, `
  - name: rule-%03d
    each: participant
    when: '!participant.hold && conference.live.exists(p, p.label.like("agent-*"))'
    do:
      - mute: {}
`, i)
	}
	set, err := rules.Parse(rules.File{Name: "room.yaml", Text: text.String()})
	if err != nil {
		b.Fatal(err)
	}
	return set
}
