package condition

import (
	"maps"
	"slices"

	"gavel/events"
)

// Unknown stands in Kinds for every kind that Gavel does not have by name:
// Twilio adds events without notice.
const Unknown events.Kind = "unknown"

// Known are the kinds that Gavel has by name and that can change the record of
// a conference, and Unknown.
var Known = Kinds{
	events.ConferenceStart: {}, events.ConferenceEnd: {},
	events.ParticipantJoin: {}, events.ParticipantLeave: {},
	events.ParticipantMute: {}, events.ParticipantUnmute: {},
	events.ParticipantHold: {}, events.ParticipantUnhold: {},
	events.ParticipantModify:      {},
	events.ParticipantSpeechStart: {}, events.ParticipantSpeechStop: {},
	events.AnnouncementEnd: {}, events.AnnouncementFail: {},
	events.ConferenceRecordEnd: {},
	"recording-in-progress":    {}, "recording-completed": {},
	"recording-absent": {}, "recording-failed": {},
	events.ActionIntent: {}, events.ActionOutcome: {}, events.HealedFact: {},
	Unknown: {},
}

// Kinds is a set of kinds of events.
type Kinds map[events.Kind]struct{}

// KindsOf returns a set of the given kinds.
func KindsOf(kinds ...events.Kind) Kinds {
	set := Kinds{}
	for _, k := range kinds {
		set[k] = struct{}{}
	}
	return set
}

// Has reports whether the set has a kind as Twilio spells it; Unknown stands
// for every kind that is not Known.
func (s Kinds) Has(kind events.Kind) bool {
	if _, known := Known[kind]; !known {
		kind = Unknown
	}
	_, has := s[kind]
	return has
}

// Sorted returns the kinds, sorted by name.
func (s Kinds) Sorted() []events.Kind { return slices.Sorted(maps.Keys(s)) }

// With returns the kinds that are in either set.
func (s Kinds) With(other Kinds) Kinds {
	all := Kinds{}
	maps.Copy(all, s)
	maps.Copy(all, other)
	return all
}

// and returns the kinds that are in both sets.
func (s Kinds) and(other Kinds) Kinds {
	both := maps.Clone(s)
	maps.DeleteFunc(both, func(k events.Kind, _ struct{}) bool { _, in := other[k]; return !in })
	return both
}
