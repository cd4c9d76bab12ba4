package condition

import (
	"slices"

	"gavel/projections"
)

// Parts are the parts of a record that a condition reads, or that an event
// changed. If the two have nothing in common, the condition still has the same
// value and need not be evaluated: that is so for most events of a conference.
type Parts uint8

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
	AllParts Parts = 1<<iota - 1
)

// partsOf are the parts that decide a field or an elapsed-time function. A
// field that is missing here depends on all parts; a test checks the table
// against Fold.
var partsOf = map[string]Parts{
	"Conference.sid":                        Life,
	"Conference.friendly_name":              Name,
	"Conference.status":                     Life | Presence | OtherFlags,
	"Conference.live":                       Life | Presence,
	"Conference.participants":               Presence,
	"Conference.recordings":                 Recordings,
	"Conference.created":                    Life,
	"Conference.started":                    Life,
	"Conference.ended":                      Life,
	"Conference.reason_conference_ended":    Life,
	"Conference.call_sid_ending_conference": Life,
	"Conference.label_ending_conference":    Life,

	"Participant.call_sid":                  Presence,
	"Participant.label":                     Labels,
	"Participant.live":                      Life | Presence,
	"Participant.muted":                     Mutes,
	"Participant.hold":                      Holds,
	"Participant.coaching":                  OtherFlags,
	"Participant.end_conference_on_exit":    OtherFlags,
	"Participant.start_conference_on_enter": OtherFlags,
	"Participant.joined":                    Life | Presence,
	"Participant.left":                      Presence,
	"Participant.reason_participant_left":   Presence,
	"Participant.participant_call_status":   Presence,

	"alone_for":             Life | Presence,
	"held_for":              Life | Presence | Holds,
	"waiting_for_moderator": Life | Presence | Labels | OtherFlags,
	"duration":              Life,
	"live":                  Life | Presence | Labels,
	"like":                  0, // depends on the field that its text comes from
}

// partsFor returns the parts that decide a field or function, by its name in
// the table.
func partsFor(name string) Parts {
	if parts, there := partsOf[name]; there {
		return parts
	}
	return AllParts
}

// Changed returns the parts in which two records of a conference differ.
func Changed(before, after *projections.Conference) (parts Parts) {
	if before == nil || after == nil || len(before.Participants) != len(after.Participants) {
		return AllParts
	}
	add := func(part Parts, differs bool) {
		if differs {
			parts |= part
		}
	}
	add(Life, before.Start != after.Start || before.End != after.End || before.Created != after.Created)
	add(Name, before.FriendlyName.Value != after.FriendlyName.Value)
	add(Recordings, !slices.Equal(before.Recordings, after.Recordings))
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
		return AllParts
	}
	add := func(part Parts, differs bool) {
		if differs {
			parts |= part
		}
	}
	before, after := was.Flags.Value, is.Flags.Value
	add(Presence, was.Live() != is.Live() || was.Created != is.Created || was.Left != is.Left || !slices.Equal(was.Present, is.Present))
	add(Presence, was.Last != is.Last && (lastCounts(was) || lastCounts(is)))
	add(Labels, was.Label.Value != is.Label.Value)
	add(Mutes, before.Muted != after.Muted)
	add(Holds, before.Hold != after.Hold || !slices.Equal(was.Held, is.Held))
	before.Muted, before.Hold, after.Muted, after.Hold = false, false, false, false
	add(OtherFlags, before != after)
	return parts
}

// lastCounts reports whether the latest event of a leg decides when it joined,
// because its join event is missing.
func lastCounts(p *projections.Participant) bool {
	return p.Live() && (len(p.Present) == 0 || !p.Present[len(p.Present)-1].On)
}
