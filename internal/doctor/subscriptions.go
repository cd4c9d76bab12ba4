package doctor

import (
	"slices"
	"strings"
	"time"

	"gavel/events"
)

// family is one word of statusCallbackEvent and the kinds it asks for (Twilio,
// TwiML Voice: <Conference>, statusCallbackEvent).
type family struct {
	word  string
	kinds []events.Kind
	// expected reports whether a conference must have had such an event.
	expected func(c Conference, now time.Time) bool
	// changed reports whether a leg's flags show that there was one. Where
	// neither is set, nothing shows it.
	changed func(before, after Flags) bool
}

var families = []family{
	{word: "start", kinds: []events.Kind{events.ConferenceStart}, expected: started},
	{word: "end", kinds: []events.Kind{events.ConferenceEnd}, expected: Conference.over},
	{word: "join", kinds: []events.Kind{events.ParticipantJoin}, expected: always},
	{word: "leave", kinds: []events.Kind{events.ParticipantLeave}, expected: Conference.over},
	{word: "mute", kinds: []events.Kind{events.ParticipantMute, events.ParticipantUnmute}, changed: func(a, b Flags) bool { return a.Muted != b.Muted }},
	{word: "hold", kinds: []events.Kind{events.ParticipantHold, events.ParticipantUnhold}, changed: func(a, b Flags) bool { return a.Hold != b.Hold }},
	{word: "modify", kinds: []events.Kind{events.ParticipantModify}, changed: func(a, b Flags) bool { return a.EndsOnExit != b.EndsOnExit || a.Coaching != b.Coaching }},
	{word: "speaker", kinds: []events.Kind{events.ParticipantSpeechStart, events.ParticipantSpeechStop}},
	{word: "announcement", kinds: []events.Kind{events.AnnouncementEnd, events.AnnouncementFail}},
}

// always: nothing happens in a conference before somebody joins it.
func always(Conference, time.Time) bool { return true }

// started: two legs, one of them with startConferenceOnEnter, start a
// conference (Twilio, Conference resource, status).
func started(c Conference, _ time.Time) bool {
	return len(c.legs()) > 1 && c.any(func(f Flags) bool { return f.StartsOnEnter })
}

// Subscriptions says which callback events the conferences of the last day
// asked for, as far as what was told shows it.
func Subscriptions(conferences []Conference, now time.Time) []Finding {
	heard, mute := partition(conferences, Conference.called)
	if len(conferences) == 0 {
		return []Finding{CheckSubscriptions.note("nothing was told of any conference in the last day").
			do("if there were calls: set statusCallback in their TwiML or REST request; `gavel serve` prints an example")}
	}
	var found []Finding
	if len(mute) > 0 {
		found = append(found, CheckSubscriptions.warn("of %s only recordings were told (%s)", count(len(mute), "conference"), examples(sids(mute))).
			do("set statusCallback and statusCallbackEvent beside recordingStatusCallback"))
	}
	if len(heard) == 0 {
		return found
	}
	for _, f := range families {
		found = append(found, f.findings(heard, now)...)
	}
	return append(found, seen(heard))
}

// findings says where an event must have been and was not told.
func (f family) findings(conferences []Conference, now time.Time) []Finding {
	expected, lacking := 0, []string(nil)
	for _, c := range conferences {
		if !f.must(c, now) {
			continue
		}
		if expected++; !c.told(f.kinds...) {
			lacking = append(lacking, c.Sid)
		}
	}
	switch {
	case len(lacking) == 0:
		return nil
	case len(lacking) == expected:
		return []Finding{CheckSubscriptions.warn("%q is told of none of %s that must have had it (%s)", f.word, count(expected, "conference"), examples(lacking)).
			do("add %s to statusCallbackEvent", f.word)}
	}
	return []Finding{CheckSubscriptions.warn("%q is not told of %d of %s that must have had it (%s)", f.word, len(lacking), count(expected, "conference"), examples(lacking)).
		do("`gavel conferences get SID`: numbers not told are lost callbacks; if none are, what makes those conferences does not ask for %s", f.word)}
}

func (f family) must(c Conference, now time.Time) bool {
	switch {
	case f.expected != nil:
		return f.expected(c, now)
	case f.changed != nil:
		return c.told(f.kinds...) || c.changes(f.changed)
	}
	return false
}

// changes reports whether flags of a leg differ between one of its events and
// the next.
func (c Conference) changes(differ func(before, after Flags) bool) bool {
	legs := map[string]Flags{}
	for _, f := range c.Facts {
		if f.Flags == nil || f.CallSid == "" {
			continue
		}
		// A leg that joins again begins anew: another TwiML may have made it.
		if before, known := legs[f.CallSid]; known && f.Kind != events.ParticipantJoin && differ(before, *f.Flags) {
			return true
		}
		legs[f.CallSid] = *f.Flags
	}
	return false
}

// seen says what was told at all.
func seen(conferences []Conference) Finding {
	var told, never []string
	for _, f := range families {
		if slices.ContainsFunc(conferences, func(c Conference) bool { return c.told(f.kinds...) }) {
			told = append(told, f.word)
		} else {
			never = append(never, f.word)
		}
	}
	said := CheckSubscriptions.ok("%s of the last day told of: %s", count(len(conferences), "conference"), strings.Join(told, " "))
	if len(never) > 0 {
		said.Found += "; of none: " + strings.Join(never, " ") + " (not asked for, or it did not happen)"
	}
	return said
}

func partition(conferences []Conference, is func(Conference) bool) (those, others []Conference) {
	for _, c := range conferences {
		if is(c) {
			those = append(those, c)
		} else {
			others = append(others, c)
		}
	}
	return those, others
}

func sids(conferences []Conference) []string {
	all := make([]string, len(conferences))
	for i, c := range conferences {
		all[i] = c.Sid
	}
	return all
}
