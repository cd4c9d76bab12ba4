package doctor

import "gavel/events"

// trap is a way to make conferences that goes wrong sooner or later.
type trap struct {
	caught func(Conference) bool
	found  string // behind "in 3 conferences"
	do     string
}

var traps = []trap{
	{
		caught: func(c Conference) bool {
			return !c.any(func(f Flags) bool { return f.EndsOnExit })
		},
		found: "no leg has endConferenceOnExit: whoever is left stays alone until somebody notices, and is billed",
		do:    "set endConferenceOnExit on the leg without which there is no point, mostly the agent's",
	},
	{
		caught: func(c Conference) bool {
			return !c.any(func(f Flags) bool { return f.StartsOnEnter }) && !c.told(events.ConferenceStart)
		},
		found: "no leg has startConferenceOnEnter: all of them wait with music and hear nobody",
		do:    "set startConferenceOnEnter on the leg that the others wait for",
	},
	{
		caught: func(c Conference) bool {
			return c.any(func(f Flags) bool { return f.Hold && f.EndsOnExit })
		},
		found: "a leg with endConferenceOnExit is on hold: if it hangs up there, the conference ends for all the others",
		do:    "set endConferenceOnExit to false with Hold, and back afterwards; Twilio has ignored EndConferenceOnExit that came alone (twilio-go issue 259)",
	},
}

// Traps looks for those among the conferences. One with fewer than two legs
// tells nothing: somebody waited, and nobody came.
func Traps(conferences []Conference) (found []Finding) {
	judged, _ := partition(conferences, func(c Conference) bool { return len(c.legs()) > 1 })
	if len(judged) == 0 {
		return []Finding{Skipped(CheckTraps, "no conference of the last day told of two legs or more")}
	}
	for _, t := range traps {
		if caught, _ := partition(judged, t.caught); len(caught) > 0 {
			found = append(found, CheckTraps.warn("in %s of %d %s (%s)", count(len(caught), "conference"), len(judged), t.found, examples(sids(caught))).
				do("%s", t.do))
		}
	}
	if len(found) == 0 {
		return []Finding{CheckTraps.ok("none in %s with two legs or more", count(len(judged), "conference"))}
	}
	return found
}
