package condition

import (
	"slices"

	"gavel/events"
	"gavel/projections"
)

// Parts are the parts of a record that a condition reads, or that an event
// changed. If the two have nothing in common, the condition still has the same
// value and need not be evaluated: that is so for most events of a conference.
type Parts uint16

// All parts.
const (
	Life       Parts = 1 << iota // beginning and end
	Name                         // the room's
	Presence                     // who is there, was there, and when
	Labels                       // of the participants
	Holds                        // who is on hold, and since when
	Mutes                        // who is muted
	OtherFlags                   // the participants' other flags
	Recordings
	Actions        // what was done at Twilio, through Gavel or not
	AllParts Parts = 1<<iota - 1
	// ofLegs are the parts that a participant has.
	ofLegs = Presence | Labels | Holds | Mutes | OtherFlags
)

func (p *Parts) add(part Parts, differs bool) {
	if differs {
		*p |= part
	}
}

// PartsOf returns the parts whose history an event of that kind is about. One that arrives late may
// show that a condition on them did not hold all the time, even if it changes nothing by now.
func PartsOf(kind events.Kind) Parts {
	switch kind {
	case events.ConferenceStart, events.ConferenceEnd:
		return Life
	case events.ParticipantJoin, events.ParticipantLeave:
		return Presence
	case events.ParticipantHold, events.ParticipantUnhold:
		return Holds
	case events.ParticipantMute, events.ParticipantUnmute:
		return Mutes
	case events.ParticipantModify:
		return OtherFlags
	}
	return 0
}

// Changed returns the parts that differ between two records of a conference.
func Changed(before, after *projections.Conference) (parts Parts) {
	if before == nil || after == nil {
		return AllParts
	}
	parts.add(Life, before.Start != after.Start || before.End != after.End || before.Created != after.Created)
	parts.add(Name, before.FriendlyName.Value != after.FriendlyName.Value)
	parts.add(Recordings, !slices.Equal(before.Recordings, after.Recordings))
	parts.add(Actions, !slices.Equal(before.Actions, after.Actions) || !slices.Equal(before.Requests, after.Requests))
	if len(before.Participants) != len(after.Participants) {
		return parts | ofLegs
	}
	for i, p := range after.Participants {
		if was := before.Participants[i]; was != p {
			parts |= changedLeg(was, p)
		}
	}
	return parts
}

// changedLeg compares two records of one participant.
func changedLeg(was, is *projections.Participant) (parts Parts) {
	if was.CallSid != is.CallSid {
		return ofLegs
	}
	before, after := was.Flags.Value, is.Flags.Value
	parts.add(Presence, was.Live() != is.Live() || was.Summary != is.Summary || was.Created != is.Created || was.Left != is.Left || !slices.Equal(was.Present, is.Present))
	parts.add(Presence, was.Last != is.Last && (lastCounts(was) || lastCounts(is)))
	parts.add(Labels, was.Label.Value != is.Label.Value)
	parts.add(Mutes, before.Muted != after.Muted)
	parts.add(Holds, before.Hold != after.Hold || !slices.Equal(was.Held, is.Held))
	if was.Answer != nil || is.Answer != nil { // its place depends on all turns
		parts |= Mutes | Holds
	}
	before.Muted, before.Hold, after.Muted, after.Hold = false, false, false, false
	parts.add(OtherFlags, before != after)
	return parts
}

// lastCounts reports whether the latest event of a leg decides when it joined,
// because its join event is missing.
func lastCounts(p *projections.Participant) bool {
	return p.Live() && (len(p.Present) == 0 || !p.Present[len(p.Present)-1].On)
}
