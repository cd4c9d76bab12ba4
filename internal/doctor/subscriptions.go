package doctor

import (
	"slices"
	"strings"
	"time"

	"gavel/events"
)

// family is one word of statusCallbackEvent and the kinds that it subscribes to
// (Twilio, TwiML Voice: <Conference>, statusCallbackEvent).
type family struct {
	word  string
	kinds []events.Kind
	// expected reports whether a conference must have had such an event.
	expected func(c Conference, now time.Time) bool
	// changed reports whether a leg's flags show that there was such an event.
	// If neither function is set, a missing event cannot be detected.
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

// always: nothing happens in a conference before a leg joins it.
func always(Conference, time.Time) bool { return true }

// started: two legs, one of them with startConferenceOnEnter, start a
// conference (Twilio, Conference resource, status).
func started(c Conference, _ time.Time) bool {
	return len(c.legs()) > 1 && c.any(func(f Flags) bool { return f.StartsOnEnter })
}

// Subscriptions judges which callback events the conferences of the last day
// subscribe to, as far as the received events show it.
func Subscriptions(conferences []Conference, now time.Time) []Finding {
	withCallbacks, others := partition(conferences, Conference.hasCallbacks)
	if len(conferences) == 0 {
		return []Finding{CheckSubscriptions.note("no event of any conference was received in the last day").
			do("if there were calls: set statusCallback in their TwiML or REST request; `gavel serve` prints an example")}
	}
	var found []Finding
	if len(others) > 0 {
		found = append(found, CheckSubscriptions.warn("for %s only recordings were received (%s)", count(len(others), "conference"), examples(others)).
			do("set statusCallback and statusCallbackEvent in addition to recordingStatusCallback"))
	}
	if len(withCallbacks) == 0 {
		return found
	}
	for _, f := range families {
		found = append(found, f.findings(withCallbacks, now)...)
	}
	return append(found, seen(withCallbacks))
}

// findings names the conferences that must have had an event that was not received.
func (f family) findings(conferences []Conference, now time.Time) []Finding {
	expected, _ := partition(conferences, func(c Conference) bool { return f.must(c, now) })
	_, lacking := partition(expected, func(c Conference) bool { return c.received(f.kinds...) })
	switch {
	case len(lacking) == 0:
		return nil
	case len(lacking) == len(expected):
		return []Finding{CheckSubscriptions.warn("%q was received for none of %s that must have had it (%s)", f.word, count(len(expected), "conference"), examples(lacking)).
			do("add %s to statusCallbackEvent", f.word)}
	}
	return []Finding{CheckSubscriptions.warn("%q was not received for %d of %s that must have had it (%s)", f.word, len(lacking), count(len(expected), "conference"), examples(lacking)).
		do("`gavel conferences get SID`: missing sequence numbers are lost callbacks; without any, the TwiML of those conferences does not subscribe to %s", f.word)}
}

func (f family) must(c Conference, now time.Time) bool {
	switch {
	case f.expected != nil:
		return f.expected(c, now)
	case f.changed != nil:
		return c.received(f.kinds...) || c.changes(f.changed)
	}
	return false
}

// changes reports whether flags of a leg differ between two successive events of it.
func (c Conference) changes(differ func(before, after Flags) bool) bool {
	legs := map[string]Flags{}
	for _, f := range c.Facts {
		if f.Flags == nil || f.CallSid == "" {
			continue
		}
		// A leg that joins again starts over: its TwiML may be another.
		if before, known := legs[f.CallSid]; known && f.Kind != events.ParticipantJoin && differ(before, *f.Flags) {
			return true
		}
		legs[f.CallSid] = *f.Flags
	}
	return false
}

// seen lists the events that were received and those that were not.
func seen(conferences []Conference) Finding {
	var received, missing []string
	for _, f := range families {
		if slices.ContainsFunc(conferences, func(c Conference) bool { return c.received(f.kinds...) }) {
			received = append(received, f.word)
		} else {
			missing = append(missing, f.word)
		}
	}
	result := CheckSubscriptions.ok("%s of the last day; received: %s", count(len(conferences), "conference"), strings.Join(received, " "))
	if len(missing) > 0 {
		result.Found += "; not received: " + strings.Join(missing, " ") + " (not subscribed, or did not happen)"
	}
	return result
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
