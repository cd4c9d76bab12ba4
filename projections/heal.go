package projections

import (
	"slices"
	"strings"
	"time"

	"gavel/events"
)

// Seen is how Twilio's REST API says that a conference stands.
type Seen struct {
	// Status is one of the three of a Conference.
	Status string
	// Legs are all that it lists, on all pages.
	Legs []SeenLeg
	// At is when Twilio was asked, on our clock.
	At time.Time
}

// SeenLeg is one leg that it lists.
type SeenLeg struct {
	CallSid string
	Status  string
	Flags   Flags
	// Label is what it was given, or empty. No healed fact holds it: labels can
	// be numbers of people.
	Label string
}

// The statuses of a leg (Twilio, REST API: Participant resource, status).
const (
	legConnected  = "connected"
	legQueued     = "queued"
	legConnecting = "connecting"
	legRinging    = "ringing"
	legComplete   = "complete"
	legFailed     = "failed"
)

// Heal returns the facts after which the record agrees with what Twilio says,
// each with an id of its own; none where it agrees or where its end is known. A
// leg joins once it is connected. A leg has left that is not listed any more, or
// listed as complete or failed.
func Heal(c *Conference, seen Seen, newID func() string) []events.Healed {
	facts := differences(c, seen, func(status string) bool { return status == legConnected })
	for i := range facts {
		facts[i].ID = newID()
	}
	return facts
}

// Overlay returns the record as Twilio says that it stands: folded with what
// Heal tells, and beyond that with what is company though nobody hears it yet
// (legs that are queued, connecting or ringing), with the labels of legs that no
// callback gave one, and in progress where Twilio says so. It is for judging
// right before an action and never kept.
func Overlay(c *Conference, seen Seen) *Conference {
	if c == nil {
		return nil
	}
	d := draft{before: c, Conference: *c}
	for _, h := range differences(c, seen, isCompany) {
		d.heal(h)
	}
	d.label(seen.Legs)
	if seen.Status == StatusInProgress && d.Status() == StatusInit {
		d.Start = &Moment{Seq: max(c.Seen.Max(), 0), At: At(seen.At), Healed: true}
	}
	return &d.Conference
}

func isCompany(status string) bool {
	return slices.Contains([]string{legConnected, legQueued, legConnecting, legRinging}, status)
}

func isGone(status string) bool { return status == legComplete || status == legFailed }

// differences are the facts that the record lacks, without ids; isHere says by
// its status whether a leg is in the conference.
func differences(c *Conference, seen Seen, isHere func(status string) bool) []events.Healed {
	if c == nil || c.End != nil {
		return nil
	}
	lacks := lacking{fact: events.Healed{
		Key:    events.Key{AccountSid: c.AccountSid, ConferenceSid: c.ConferenceSid},
		Behind: c.Seen.Max(), At: seen.At,
	}}
	if seen.Status == StatusCompleted {
		lacks.add(events.ConferenceEnd, "", Flags{})
		return lacks.facts
	}
	listed := map[string]bool{}
	for _, leg := range seen.Legs {
		if isGone(leg.Status) || listed[leg.CallSid] {
			continue
		}
		listed[leg.CallSid] = true
		p := c.Participant(leg.CallSid)
		switch there := p != nil && p.Live(); {
		case !there && isHere(leg.Status):
			lacks.add(events.ParticipantJoin, leg.CallSid, leg.Flags)
		case there && leg.Status == legConnected && leg.Flags != p.Flags.Value:
			lacks.add(events.ParticipantModify, leg.CallSid, leg.Flags)
		}
	}
	for _, p := range c.Live() {
		if !listed[p.CallSid] {
			lacks.add(events.ParticipantLeave, p.CallSid, Flags{})
		}
	}
	return lacks.facts
}

// lacking gathers facts that have all but a few fields in common.
type lacking struct {
	fact  events.Healed
	facts []events.Healed
}

func (l *lacking) add(fact events.Kind, callSid string, flags Flags) {
	h := l.fact
	h.Fact, h.CallSid, h.Flags = fact, callSid, flags.words()
	l.facts = append(l.facts, h)
}

// label gives the legs that have no label the one that Twilio says.
func (d *draft) label(legs []SeenLeg) {
	for _, leg := range legs {
		if p := d.Participant(leg.CallSid); p == nil || leg.Label == "" || p.Label.Value != "" {
			continue
		}
		d.participant(leg.CallSid).Label.Value = leg.Label
	}
}

// tellHealed folds a fact that no callback told. It is fresh where it changes
// anything: the callback that was missed may have come by now.
func (d *draft) tellHealed() (fresh bool, err error) {
	h, err := d.e.Healed()
	if err != nil {
		return false, err
	}
	d.heal(h)
	return !Equal(d.before, &d.Conference), nil
}

// heal tells the record a healed fact. One that stands behind no number stands
// behind 0: the first callback of all tells nothing newer.
func (d *draft) heal(h events.Healed) {
	seq, at := max(h.Behind, 0), At(h.At)
	if h.Fact == events.ConferenceEnd {
		d.keepEnd(Ending{Moment: Moment{Seq: seq, At: at, Healed: true}})
		return
	}
	p := d.participant(h.CallSid)
	if p == nil {
		return
	}
	turn := func(on bool) Turn { return Turn{Seq: seq, At: at, On: on, Healed: true} }
	p.keepLast(turn(h.Fact != events.ParticipantLeave))
	if h.Fact != events.ParticipantModify {
		p.Present = withTurn(p.Present, turn(h.Fact == events.ParticipantJoin))
	}
	if h.Fact == events.ParticipantLeave {
		return
	}
	flags := flagsOfWords(h.Flags)
	p.Flags = later(p.Flags, Stated[Flags]{Seq: seq, Value: flags, Healed: at}, compareFlags)
	p.Held = withTurn(p.Held, turn(flags.Hold))
	p.Muted = withTurn(p.Muted, turn(flags.Muted))
}

// flagWords are the words of events.Healed.Flags and what they stand for.
var flagWords = []struct {
	word string
	flag func(*Flags) *bool
}{
	{"muted", func(f *Flags) *bool { return &f.Muted }},
	{"hold", func(f *Flags) *bool { return &f.Hold }},
	{"coaching", func(f *Flags) *bool { return &f.Coaching }},
	{"end-on-exit", func(f *Flags) *bool { return &f.EndConferenceOnExit }},
	{"start-on-enter", func(f *Flags) *bool { return &f.StartConferenceOnEnter }},
}

func (f Flags) words() string {
	var set []string
	for _, w := range flagWords {
		if *w.flag(&f) {
			set = append(set, w.word)
		}
	}
	return strings.Join(set, "&")
}

func flagsOfWords(words string) (f Flags) {
	for word := range strings.SplitSeq(words, "&") {
		for _, w := range flagWords {
			if w.word == word {
				*w.flag(&f) = true
			}
		}
	}
	return f
}
