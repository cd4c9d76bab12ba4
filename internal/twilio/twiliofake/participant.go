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

// Leg is a call that joins a conference, with the attributes of its <Conference> noun.
type Leg struct {
	Label                  string
	Muted                  bool
	StartConferenceOnEnter bool
	EndConferenceOnExit    bool
	// Coach is the CallSid of the participant that this leg coaches.
	Coach string
	// Region counts for the first leg that has one.
	Region string
	// MaxParticipants (0: Twilio's 250), Record, Status and Recording count
	// only for the first leg of a conference, which sets them for all.
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

// participant is one leg that is in a conference or being called into it.
type participant struct {
	Leg
	callSid    string
	status     string
	entered    bool // visible to the others
	hold       bool
	beepOnExit bool
	waitURL    string
	created    time.Time
	updated    time.Time
	conference *conference
}

// sid is the participant's own identifier, which page tokens carry.
func (p *participant) sid() string { return "CP" + p.callSid[len("CA"):] }

// maxLabel is the longest participant label, in characters (Twilio, TwiML <Conference>).
const maxLabel = 128

var likeACallSid = regexp.MustCompile(`^CA[0-9a-fA-F]{32}$`)

// validLabel reports whether a label differs from a CallSid and can be part of
// a path (Twilio, error dictionary: 16023, 16024).
func validLabel(label string) bool {
	return utf8.RuneCountInString(label) <= maxLabel && !likeACallSid.MatchString(label) &&
		!strings.Contains(label, "/") && !strings.Contains(strings.ToUpper(label), "%2F")
}

// Change is a change to a participant; a nil field is not changed.
type Change struct {
	Muted               *bool
	Hold                *bool
	EndConferenceOnExit *bool
	BeepOnExit          *bool
	// Coach is the CallSid to coach; "" ends coaching.
	Coach   *string
	WaitURL *string
}

// Mute mutes a participant or unmutes it.
func (t *Twilio) Mute(callSid string, muted bool) error {
	return t.Change(callSid, Change{Muted: &muted})
}

// Hold puts a participant on hold or ends the hold.
func (t *Twilio) Hold(callSid string, hold bool) error {
	return t.Change(callSid, Change{Hold: &hold})
}

// Coach lets a participant coach the one with the CallSid coached; an empty one ends that.
func (t *Twilio) Coach(callSid, coached string) error {
	return t.Change(callSid, Change{Coach: &coached})
}

// EndOnExit sets whether the conference ends when this participant leaves.
func (t *Twilio) EndOnExit(callSid string, ends bool) error {
	return t.Change(callSid, Change{EndConferenceOnExit: &ends})
}

// Change changes a participant and sends callbacks about what differs.
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

// change applies the fields that differ. One participant-modify reports all changes without their
// own event (Twilio, TwiML <Conference>: statusCallbackEvent).
func (t *Twilio) change(p *participant, to Change) *apiError {
	coached := func(other *participant) bool { return other.callSid == *to.Coach }
	if to.Coach != nil && *to.Coach != "" && !slices.ContainsFunc(p.conference.participants, coached) {
		return ErrNobodyToCoach
	}
	var names []string
	if set(&p.Muted, to.Muted) {
		names = append(names, either(p.Muted, "participant-mute", "participant-unmute"))
	}
	if set(&p.hold, to.Hold) {
		names = append(names, either(p.hold, "participant-hold", "participant-unhold"))
	}
	modified := set(&p.EndConferenceOnExit, to.EndConferenceOnExit)
	modified = set(&p.beepOnExit, to.BeepOnExit) || modified
	modified = set(&p.Coach, to.Coach) || modified
	modified = set(&p.waitURL, to.WaitURL) || modified
	if modified {
		names = append(names, "participant-modify")
	}
	for _, event := range names {
		p.updated = t.clock.Now()
		t.postParticipant(p, event)
	}
	return nil
}

// set sets the field to the wanted value and reports whether it changed.
func set[T comparable](field, wanted *T) bool {
	if wanted == nil || *field == *wanted {
		return false
	}
	*field = *wanted
	return true
}

// Speak sends that a participant began or stopped to speak.
func (t *Twilio) Speak(callSid string, speaking bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, ok := t.legs[callSid]
	if !ok {
		return fmt.Errorf("speak by %s: %w", callSid, ErrNoParticipant)
	}
	t.postParticipant(p, either(speaking, "participant-speech-start", "participant-speech-stop"))
	return nil
}

// state is the part of every participant event that describes the participant after the change.
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

// postParticipant sends an event of a participant that is visible to the others.
func (t *Twilio) postParticipant(p *participant, event string) {
	if p.entered {
		t.postEvent(p.conference, event, p.state())
	}
}

func either(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}
