package projections

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"gavel/events"
)

// Seen is the state of a conference in Twilio's REST API.
type Seen struct {
	// Status is StatusInit, StatusInProgress or StatusCompleted.
	Status string
	// Legs are the participants on all pages of the API's list.
	Legs []SeenLeg
	// At is when the API answered, on our clock.
	At time.Time
}

// SeenLeg is one participant as the REST API lists it.
type SeenLeg struct {
	CallSid string
	Status  string
	Flags   Flags
	// Coach is the CallSid of the leg that it coaches, or empty.
	Coach string
	// Label is the leg's label, or empty. No healed fact holds it, because a
	// label can be a person's phone number.
	Label string
}

// Gone reports whether the leg's call has ended. Twilio still lists such a leg for some time.
func (l *SeenLeg) Gone() bool { return l.Status == legComplete || l.Status == legFailed }

// The statuses of a leg (Twilio, REST API: Participant resource, status).
const (
	legConnected  = "connected"
	legQueued     = "queued"
	legConnecting = "connecting"
	legRinging    = "ringing"
	legComplete   = "complete"
	legFailed     = "failed"
)

// Heal returns the facts that make the record agree with the REST API, each with an id from newID.
// It returns none if they agree, or if the conference has ended in the record. A leg joins once it
// is connected. A leg has left once the API stops listing it, or lists it as complete or failed.
func Heal(c *Conference, seen Seen, newID func() string) []events.Healed {
	facts := differences(c, seen, func(status string) bool { return status == legConnected })
	for i := range facts {
		facts[i].ID = newID()
	}
	return facts
}

// Answered returns the entry of what Twilio's answer to a write states about c, which is the record
// as it was when Twilio was asked: the flags of a leg and the leg that it coaches, the state of a leg
// that is still being dialled, or that the conference has ended. Twilio sends no callback for some of
// these changes. The flags of a leg are stated even if c has them: c may lack the answer to another
// write a moment ago. A connected leg that c lacks has joined, and its flags are those after the join.
// ok is false if the answer is not about c.
func Answered(c *Conference, body []byte, at time.Time, newID func() string) (entry events.Entry, ok bool) {
	var answer legAnswer
	if c == nil || c.End != nil || json.Unmarshal(body, &answer) != nil {
		return entry, false
	}
	fact := events.Healed{ID: newID(), Key: c.Key(), Behind: c.Seen.Max(), At: at, Fact: events.ConferenceEnd}
	if answer.CallSid == "" {
		return events.NewHealed(fact), answer.Status == StatusCompleted
	}
	answer.CallSid = events.CanonicalSid(answer.CallSid)
	fact.CallSid, fact.Flags, fact.Coach = answer.CallSid, answer.words(), answer.Coach
	switch p, l := c.Participant(answer.CallSid), c.dialled(answer.CallSid); {
	case p != nil && p.Live():
		fact.Fact = events.ParticipantModify
		return events.NewHealed(fact), true
	case answer.Status == legConnected: // its join is on its way, or c was not read
		fact.Fact = events.ParticipantJoin
		return events.NewHealed(fact), true
	case p == nil && l == nil && isComing(answer.Status): // the answer that it is dialled is not in c yet
		leg, named := DialledBy(c.AccountSid, "", body, 0, at, newID)
		return events.NewDialled(leg), named
	case l == nil:
		return entry, false
	default:
		return events.NewDialled(l.answered(fact, answer)), true
	}
}

// Overlay returns the record with the REST API's state applied: the facts that Heal returns, and
// beyond those the legs that are coming (queued, connecting or ringing), labels for legs without a
// label in the record, and in progress where the API has that status. It is for evaluating a
// condition right before an action and is never stored.
func Overlay(c *Conference, seen Seen) *Conference {
	if c == nil {
		return nil
	}
	after := *c
	d := draft{before: c, Conference: &after}
	for _, h := range differences(c, seen, isHereOrComing) {
		d.applyHealed(h)
	}
	d.label(seen.Legs)
	if seen.Status == StatusInProgress && d.StatedStatus() == StatusInit {
		d.Start = &Moment{Seq: max(c.Seen.Max(), 0), At: At(seen.At), Healed: true}
	}
	return d.Conference
}

// OverlayJoined is Overlay without the legs that are coming; nil if no leg is.
func OverlayJoined(c *Conference, seen Seen) *Conference {
	coming := func(l SeenLeg) bool { return l.Status != legConnected && isHereOrComing(l.Status) }
	if !slices.ContainsFunc(seen.Legs, coming) {
		return nil
	}
	seen.Legs = slices.DeleteFunc(slices.Clone(seen.Legs), coming)
	return Overlay(c, seen)
}

func isHereOrComing(status string) bool { return status == legConnected || isComing(status) }

func isComing(status string) bool {
	return slices.Contains([]string{legQueued, legConnecting, legRinging}, status)
}

// differences returns the facts that the record lacks, without ids. isHere
// reports whether a leg with that status counts as in the conference.
func differences(c *Conference, seen Seen, isHere func(status string) bool) []events.Healed {
	if c == nil || c.End != nil {
		return nil
	}
	var facts []events.Healed
	add := func(fact events.Kind, leg SeenLeg) {
		facts = append(facts, events.Healed{
			Key: c.Key(), Behind: c.Seen.Max(), At: seen.At, Fact: fact, CallSid: leg.CallSid, Flags: leg.Flags.words(), Coach: leg.Coach,
		})
	}
	if seen.Status == StatusCompleted {
		add(events.ConferenceEnd, SeenLeg{})
		return facts
	}
	listed := map[string]bool{}
	for _, leg := range seen.Legs {
		if leg.Gone() || listed[leg.CallSid] {
			continue
		}
		listed[leg.CallSid] = true
		p := c.Participant(leg.CallSid)
		switch there := p != nil && p.Live(); {
		case !there && isHere(leg.Status):
			add(events.ParticipantJoin, leg)
		case there && leg.Status == legConnected && !p.stands(leg.Flags, leg.Coach):
			add(events.ParticipantModify, leg)
		}
	}
	for _, p := range c.Live() {
		if !listed[p.CallSid] {
			add(events.ParticipantLeave, SeenLeg{CallSid: p.CallSid})
		}
	}
	return facts
}

// stands reports whether the record has these flags and this coached leg. An
// empty one states nothing.
func (p *Participant) stands(flags Flags, coach string) bool {
	return p.Flags.Value == flags && (coach == "" || !flags.Coaching || p.Coached() == coach)
}

// label copies the API's labels to legs that have none.
func (d *draft) label(legs []SeenLeg) {
	for _, leg := range legs {
		if p := d.Participant(leg.CallSid); p == nil || leg.Label == "" || p.Label.Value != "" {
			continue
		}
		d.participant(leg.CallSid).Label.Value = leg.Label
	}
}

// foldHealed folds a fact that no callback stated. It is fresh if it changes
// the record: the missed callback may have arrived since.
func (d *draft) foldHealed() (fresh bool, err error) {
	h, err := d.e.Healed()
	if err != nil {
		return false, err
	}
	d.applyHealed(h)
	return !Equal(d.before, d.Conference), nil
}

// applyHealed applies a healed fact to the record. Without a number to follow,
// it is ordered at number 0: the very first callback states nothing newer.
func (d *draft) applyHealed(h events.Healed) {
	seq, at, milli := max(h.Behind, 0), At(h.At), milliOf(h.At)
	if h.Fact == events.ConferenceEnd {
		d.keepEnd(Ending{Moment: Moment{Seq: seq, At: at, Healed: true}})
		return
	}
	d.returns = h.Fact == events.ParticipantJoin
	p := d.participant(h.CallSid)
	if p == nil {
		return
	}
	turn := func(on bool) Turn { return Turn{Seq: seq, At: at, On: on, Healed: true, Milli: milli} }
	p.keepLast(turn(h.Fact != events.ParticipantLeave))
	if h.Fact != events.ParticipantModify {
		p.Present = withTurn(p.Present, turn(h.Fact == events.ParticipantJoin))
	}
	if h.Fact == events.ParticipantLeave {
		return
	}
	flags := flagsOfWords(h.Flags)
	if h.Fact == events.ParticipantJoin {
		p.keepAnswer(Answer{Flags: flags, Behind: h.Behind, At: at, Milli: milli})
	}
	p.keepFlags(Stated[Flags]{Seq: seq, Value: flags, Milli: milli, Healed: at})
	if h.Coach != "" {
		p.keepCoach(Stated[string]{Seq: seq, Value: strings.Clone(h.Coach), Milli: milli, Healed: at})
	}
	p.Held = withTurn(p.Held, turn(flags.Hold))
	p.Muted = withTurn(p.Muted, turn(flags.Muted))
	p.place()
}

// flagWords are the words of events.Healed.Flags and the flags they set.
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
