package render

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"gavel/events"
)

// Event is a CloudEvent as the terminal shows it.
type Event struct {
	events.CloudEvent
	plays string // what an announcement plays, if it is known
}

// ParseEvent reads a CloudEvent.
func ParseEvent(cloudEvent []byte) (Event, error) {
	e, err := events.ParseCloudEvent(cloudEvent)
	return Event{CloudEvent: e}, err
}

// name is the wire spelling, as in participant-join.
func (e *Event) name() string {
	return Printable(string(e.Kind))
}

// room is the friendly name. The callback of a recording does not carry it, so it may
// come from the conference.
func (e *Event) room() string {
	return cmp.Or(e.Params.Get("FriendlyName"), e.FriendlyName, "-")
}

// who is the participant of the event, or the one that ended the conference.
func (e *Event) who() string {
	return cmp.Or(
		e.Params.Get("ParticipantLabel"), ShortSid(e.Params.Get("CallSid")),
		e.Params.Get("ParticipantLabelEndingConference"), ShortSid(e.Params.Get("CallSidEndingConference")),
	)
}

// detail is the rest that is worth showing.
func (e *Event) detail() string {
	p := e.Params
	words := cmp.Or(p.Get("Differences"), e.fetched(), p.Get("ReasonConferenceEnded"), p.Get("ReasonParticipantLeft"), p.Get("ReasonAnnouncementFailed"), e.action())
	if seconds := p.Get("RecordingDuration"); seconds != "" {
		words = seconds + " s"
	}
	if e.Late {
		words = strings.TrimSpace(words + " (late)")
	}
	return Printable(words)
}

// fetched describes what was fetched from Twilio after the end. Its reason is that of the end.
func (e *Event) fetched() string {
	switch e.Kind {
	case events.ConferenceFetched:
		return events.Fetched{Region: e.Params.Get("Region")}.Words()
	case events.ParticipantDialled:
		return events.Dialled{}.Words()
	}
	return ""
}

// action describes a request and its actor, the outcome of a request, or what a read
// of Twilio's state corrected. It is empty for other events.
func (e *Event) action() string {
	p := e.Params
	do, rule := events.Do(p.Get("Do")), p.Get("ActorRule")
	switch e.Kind {
	case events.ActionIntent:
		actor := events.Actor{Sid: ShortSid(p.Get("ActorSid")), Name: p.Get("ActorName"), Rule: rule}
		words := events.Action{Do: do, Asked: p.Get("Asked"), Actor: actor}.Words()
		if e.plays != "" {
			words += ": " + strconv.Quote(e.plays)
		}
		return words
	case events.ActionOutcome:
		o := events.Outcome{Result: events.Result(p.Get("Result")), Why: p.Get("Why")}
		o.Status, _ = strconv.Atoi(p.Get("Status"))
		o.Code, _ = strconv.Atoi(p.Get("Code"))
		if rule != "" {
			return fmt.Sprintf("%s by rule %s: %s", do, rule, o.Words(do))
		}
		return o.Words(do)
	case events.HealedFact:
		return events.Healed{Fact: events.Kind(p.Get("Fact")), Flags: p.Get("Flags")}.Words()
	}
	return events.FixedForm(p.Prefixed(events.RequestPrefix).Encode())
}

// Line is the event in one line: time, room, conference, event, participant, details.
func (e *Event) Line(p Palette) string {
	return strings.TrimRight(fmt.Sprintf("%s  %-14s %s  %s  %-16s %s",
		p.Dim(e.Time.Local().Format(time.TimeOnly)),
		Clip(e.room(), 14),
		p.Dim(ShortSid(e.Params.Get("ConferenceSid"))),
		p.event(fmt.Sprintf("%-24s", e.name())),
		Clip(e.who(), 16),
		p.Dim(e.detail())), " ")
}

// ShortSid keeps the beginning of a SID, which distinguishes it from the others on a screen.
func ShortSid(sid string) string { return Clip(sid, 10) }

// Clip cuts s to most characters and marks the cut with an ellipsis. It replaces
// control characters, because names come from outside.
func Clip(s string, most int) string {
	runes := []rune(Printable(s))
	if len(runes) <= most {
		return string(runes)
	}
	return string(runes[:most-1]) + "…"
}

// Printable replaces control characters, because names come from outside.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '·'
		}
		return r
	}, s)
}

// Palette colours output to a terminal.
type Palette struct{ on bool }

// PaletteFor returns the palette of an output: without colour if it is not a terminal, or NO_COLOR is set.
func PaletteFor(w io.Writer, lookup func(string) (string, bool)) Palette {
	_, plain := lookup("NO_COLOR")
	return Palette{on: !plain && IsTerminal(w)}
}

// IsTerminal reports whether a person reads the output on a terminal.
func IsTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Paint colours s with a code of ANSI.
func (p Palette) Paint(code, s string) string {
	if !p.on || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// Dim makes s less bright.
func (p Palette) Dim(s string) string { return p.Paint("2", s) }

// event colours starts green, ends red, failures yellow and Gavel's own events cyan.
func (p Palette) event(padded string) string {
	switch name := strings.TrimSpace(padded); {
	case name == "conference-start", name == "participant-join":
		return p.Paint("32", padded)
	case name == "conference-end":
		return p.Paint("31", padded)
	case strings.HasPrefix(name, "gavel-"):
		return p.Paint("36", padded)
	case strings.HasSuffix(name, "-fail"), strings.HasSuffix(name, "-absent"):
		return p.Paint("33", padded)
	}
	return padded
}

// EventLines shows CloudEvents to people.
func EventLines(w io.Writer, p Palette) func([]byte) error {
	return func(cloudEvent []byte) error {
		e, err := ParseEvent(cloudEvent)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(w, e.Line(p))
		return err
	}
}
