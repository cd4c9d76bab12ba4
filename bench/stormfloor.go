package main

import (
	"errors"
	"fmt"
	"time"

	"gavel/events"
)

// stormFirst is the first number of the storm's conferences, apart from those of other loads.
const stormFirst = 10_000_000

// stormFate is what happens to a conference between the setting of its deadline and its end.
type stormFate int

// The fates, in equal shares by number, except that half of the callers stay alone.
const (
	stillAlone        stormFate = iota
	companyReported             // company joined, and a callback reported it
	companyUnreported           // company joined, and no callback reported it
)

// stormKinds is the order of the fates among conferences.
var stormKinds = [...]stormFate{companyReported, stillAlone, companyUnreported, stillAlone}

func stormKind(number int) stormFate { return stormKinds[number%len(stormKinds)] }

func stormConference(number int) string { return sid("CF", stormFirst+number) }

func stormCall(number, leg int) string { return sid("CA", (stormFirst+number)*legs+leg) }

// stormFor is how long a caller has to be alone: long enough to append all
// conferences, at a rate that a slow machine sustains.
func stormFor(count int) time.Duration {
	const atLeast, conferencesPerSecond = 10 * time.Second, 1000
	return atLeast + time.Duration(count)*time.Second/conferencesPerSecond
}

// stormRule ends calls with one caller; its brakes are open.
func stormRule(count int) []byte {
	return fmt.Appendf(nil, `rules:
  - name: storm
    when: conference.friendly_name.startsWith("storm ") && conference.status == "in-progress" && size(conference.live) == 1
    for: %s
    do:
      - end: {}
    mode: live
    limits: {per_minute: 1000000, trip_after: 1000000}
`, stormFor(count))
}

// stormEntries returns the entries of a conference before the storm: a caller
// joins and is alone. The time lies within the same second for all conferences.
func stormEntries(number, count int, began time.Time) (entries []events.Entry) {
	alone := stormDue(number, count, began)
	add := func(at time.Time, s step) {
		name := fmt.Sprintf("storm %d", number)
		c := newCallback(stormFirst+number, len(entries), s, name, at.Add(-deliveryTime))
		entries = append(entries, c.entry(at))
	}
	add(alone, step{events.ParticipantJoin, 0})
	add(alone, step{events.ConferenceStart, 0})
	if stormKind(number) == companyReported {
		add(alone.Add(time.Second), step{events.ParticipantJoin, 1})
	}
	return entries
}

// stormDue returns the time at which a conference is due, within the second that starts at first.
func stormDue(number, count int, first time.Time) time.Time {
	return first.Add(time.Duration(number) * time.Second / time.Duration(count))
}

// stormExpected is the expected result of a storm.
type stormExpected struct{ decisions, done, lapsed int }

func (w *stormWorld) expected() (e stormExpected) {
	for n := range w.count {
		switch stormKind(n) {
		case stillAlone:
			e.done++
		case companyUnreported:
			e.lapsed++
		}
	}
	e.decisions = e.done + e.lapsed
	return e
}

// check compares the expectation with Gavel's counters and the stand-in's.
func (e stormExpected) check(m measured, tally standInTally) error {
	var faults []error
	for _, c := range []struct {
		what      string
		got, want float64
	}{
		{"decisions", m.count("gavel_rule_decisions_total", "act"), float64(e.decisions)},
		{"decisions of any verdict", m.count("gavel_rule_decisions_total", ""), float64(e.decisions)},
		{"decisions kept", m.count("gavel_decided_total", "fresh"), float64(e.decisions)},
		{"outcomes", m.count("gavel_actions_total", ""), float64(e.decisions)},
		{"outcomes done", m.count("gavel_actions_total", "done"), float64(e.done)},
		{"outcomes lapsed", m.count("gavel_actions_total", "lapsed"), float64(e.lapsed)},
		{"conferences ended at Twilio", float64(len(tally.EndedAt)), float64(e.done)},
		{"requests to end one", float64(tally.Ends), float64(e.done)},
		{"unexpected requests", float64(tally.Unknown), 0},
	} {
		if c.got != c.want {
			faults = append(faults, fmt.Errorf("%s: %.0f, not %.0f", c.what, c.got, c.want))
		}
	}
	for n := range tally.EndedAt {
		if stormKind(n) != stillAlone {
			faults = append(faults, fmt.Errorf("conference %d had company and was ended", n))
		}
	}
	return errors.Join(faults...)
}
