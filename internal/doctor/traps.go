package doctor

import "gavel/events"

// trap is a way to set up conferences that goes wrong sooner or later.
type trap struct {
	caught func(Conference) bool
	found  string // follows "in 3 conferences"
	do     string
}

var traps = []trap{
	{
		caught: func(c Conference) bool { return !c.any(func(f Flags) bool { return f.EndsOnExit }) },
		found:  "no leg has endConferenceOnExit: the last leg stays alone, and is billed, until someone notices",
		do:     "set endConferenceOnExit on the leg that the conference depends on, usually the agent's",
	},
	{
		caught: func(c Conference) bool {
			return !c.any(func(f Flags) bool { return f.StartsOnEnter }) && !c.received(events.ConferenceStart)
		},
		found: "no leg has startConferenceOnEnter: all legs wait with music and do not hear each other",
		do:    "set startConferenceOnEnter on the leg that the others wait for",
	},
	{
		caught: func(c Conference) bool { return c.any(func(f Flags) bool { return f.Hold && f.EndsOnExit }) },
		found:  "a leg with endConferenceOnExit is on hold: if it hangs up there, the conference ends for all the others",
		do:     "set endConferenceOnExit to false with Hold, and back afterwards; Twilio has ignored EndConferenceOnExit in a request of its own (twilio-go issue 259)",
	},
}

// Traps searches the conferences for traps. It skips a conference with fewer
// than two legs: a leg waited, and no other joined.
func Traps(conferences []Conference) (found []Finding) {
	judged, _ := partition(conferences, func(c Conference) bool { return len(c.legs()) > 1 })
	if len(judged) == 0 {
		return []Finding{Skipped(CheckTraps, "no conference of the last day had two legs or more")}
	}
	for _, t := range traps {
		if caught, _ := partition(judged, t.caught); len(caught) > 0 {
			found = append(found, CheckTraps.warn("in %s of %d %s (%s)", count(len(caught), "conference"), len(judged), t.found, examples(caught)).
				do("%s", t.do))
		}
	}
	if len(found) == 0 {
		return []Finding{CheckTraps.ok("none in %s with two legs or more", count(len(judged), "conference"))}
	}
	return found
}
