package twiliofake

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Leg is a call on its way into a conference, with the attributes of its
// <Conference> noun.
type Leg struct {
	Label                  string
	Muted                  bool
	StartConferenceOnEnter bool
	EndConferenceOnExit    bool
	// Coach is the CallSid of the participant that this leg whispers to.
	Coach string
	// Region counts for the first leg that has one.
	Region string
	// MaxParticipants (0: Twilio's 250), Record, Status and Recording count for
	// the first leg of a conference only: it fixes them for all.
	MaxParticipants int
	Record          bool
	Status          Subscription
	Recording       Subscription
}

// The states of a participant's call (Twilio, Participant resource: status).
const (
	statusQueued    = "queued"
	statusRinging   = "ringing"
	statusConnected = "connected"
)

// participant is one leg that is in a conference now, or being called into it.
type participant struct {
	Leg
	callSid    string
	status     string
	entered    bool // the others know of it
	hold       bool
	beepOnExit bool
	waitURL    string
	created    time.Time
	updated    time.Time
	conference *conference
}

// sid is the participant's own identifier, which page tokens carry.
func (p *participant) sid() string { return "CP" + p.callSid[len("CA"):] }

// maxLabel is the longest participant label, in characters (Twilio, TwiML
// <Conference>).
const maxLabel = 128

var likeACallSid = regexp.MustCompile(`^CA[0-9a-fA-F]{32}$`)

// validLabel reports whether a label can be told from a CallSid and stand in a
// path (Twilio, error dictionary: 16023, 16024).
func validLabel(label string) bool {
	return utf8.RuneCountInString(label) <= maxLabel && !likeACallSid.MatchString(label) &&
		!strings.Contains(label, "/") && !strings.Contains(strings.ToUpper(label), "%2F")
}

// Change is what a participant is to become; nil leaves it as it is.
type Change struct {
	Muted               *bool
	Hold                *bool
	EndConferenceOnExit *bool
	BeepOnExit          *bool
	// Coach is the CallSid to whisper to; "" ends coaching.
	Coach   *string
	WaitURL *string
}

// Mute mutes a participant or lets it be heard again.
func (t *Twilio) Mute(callSid string, muted bool) error {
	return t.Change(callSid, Change{Muted: &muted})
}

// Hold puts a participant on hold or takes it back.
func (t *Twilio) Hold(callSid string, hold bool) error {
	return t.Change(callSid, Change{Hold: &hold})
}

// Coach lets a participant whisper to the one with the CallSid coached; an
// empty one ends that.
func (t *Twilio) Coach(callSid, coached string) error {
	return t.Change(callSid, Change{Coach: &coached})
}

// EndOnExit decides whether the conference ends when this participant goes.
func (t *Twilio) EndOnExit(callSid string, ends bool) error {
	return t.Change(callSid, Change{EndConferenceOnExit: &ends})
}

// Change changes a participant, and tells what is other than before.
func (t *Twilio) Change(callSid string, to Change) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, ok := t.legs[callSid]
	if !ok {
		return fmt.Errorf("change participant %s: %w", callSid, ErrNoParticipant)
	}
	if refusal := t.change(p, to); refusal != nil {
		return fmt.Errorf("change participant %s: %w", callSid, refusal)
	}
	return nil
}

// change makes the changes that are some. One participant-modify tells all that
// has no event of its own (Twilio, TwiML <Conference>: statusCallbackEvent).
func (t *Twilio) change(p *participant, to Change) *apiError {
	coached := func(other *participant) bool { return other.callSid == *to.Coach }
	if to.Coach != nil && *to.Coach != "" && !slices.ContainsFunc(p.conference.participants, coached) {
		return ErrNobodyToCoach
	}
	var told []string
	if set(&p.Muted, to.Muted) {
		told = append(told, either(p.Muted, "participant-mute", "participant-unmute"))
	}
	if set(&p.hold, to.Hold) {
		told = append(told, either(p.hold, "participant-hold", "participant-unhold"))
	}
	modified := set(&p.EndConferenceOnExit, to.EndConferenceOnExit)
	modified = set(&p.beepOnExit, to.BeepOnExit) || modified
	modified = set(&p.Coach, to.Coach) || modified
	modified = set(&p.waitURL, to.WaitURL) || modified
	if modified {
		told = append(told, "participant-modify")
	}
	for _, event := range told {
		p.updated = t.clock.Now()
		t.tellParticipant(p, event)
	}
	return nil
}

// set gives the field the wanted value and reports whether it had another one.
func set[T comparable](field, wanted *T) bool {
	if wanted == nil || *field == *wanted {
		return false
	}
	*field = *wanted
	return true
}

// Speak tells that a participant began to talk or fell silent.
func (t *Twilio) Speak(callSid string, speaking bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, ok := t.legs[callSid]
	if !ok {
		return fmt.Errorf("speak by %s: %w", callSid, ErrNoParticipant)
	}
	t.tellParticipant(p, either(speaking, "participant-speech-start", "participant-speech-stop"))
	return nil
}

// state is what every event about a participant says of it: how it is after
// the change.
func (p *participant) state() params {
	state := params{
		"CallSid":                p.callSid,
		"Muted":                  strconv.FormatBool(p.Muted),
		"Hold":                   strconv.FormatBool(p.hold),
		"Coaching":               strconv.FormatBool(p.Coach != ""),
		"StartConferenceOnEnter": strconv.FormatBool(p.StartConferenceOnEnter),
		"EndConferenceOnExit":    strconv.FormatBool(p.EndConferenceOnExit),
	}
	state.set("ParticipantLabel", p.Label)
	return state
}

// tellParticipant tells an event of a participant that the others know of.
func (t *Twilio) tellParticipant(p *participant, event string) {
	if p.entered {
		t.tell(p.conference, event, p.state())
	}
}

func either(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}
