package main

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

// event is a CloudEvent as the terminal shows it.
type event struct{ events.CloudEvent }

func parseEvent(cloudEvent []byte) (event, error) {
	e, err := events.ParseCloudEvent(cloudEvent)
	return event{e}, err
}

// name is the wire spelling, as in participant-join.
func (e *event) name() string {
	return printable(string(e.Kind))
}

// room is the friendly name. The callback of a recording does not carry it, so it may
// come from the conference.
func (e *event) room() string {
	return cmp.Or(e.Params.Get("FriendlyName"), e.FriendlyName, "-")
}

// who is the participant of the event, or the one that ended the conference.
func (e *event) who() string {
	return cmp.Or(
		e.Params.Get("ParticipantLabel"), shortSid(e.Params.Get("CallSid")),
		e.Params.Get("ParticipantLabelEndingConference"), shortSid(e.Params.Get("CallSidEndingConference")),
	)
}

// detail is the rest that is worth showing.
func (e *event) detail() string {
	p := e.Params
	words := cmp.Or(p.Get("Differences"), e.fetched(), p.Get("ReasonConferenceEnded"), p.Get("ReasonParticipantLeft"), p.Get("ReasonAnnouncementFailed"), e.action())
	if seconds := p.Get("RecordingDuration"); seconds != "" {
		words = seconds + " s"
	}
	if e.Late {
		words = strings.TrimSpace(words + " (late)")
	}
	return printable(words)
}

// fetched describes what was fetched from Twilio after the end. Its reason is that of the end.
func (e *event) fetched() string {
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
func (e *event) action() string {
	p := e.Params
	do, rule := events.Do(p.Get("Do")), p.Get("ActorRule")
	switch e.Kind {
	case events.ActionIntent:
		actor := events.Actor{Sid: shortSid(p.Get("ActorSid")), Name: p.Get("ActorName"), Rule: rule}
		return events.Action{Do: do, Asked: p.Get("Asked"), Actor: actor}.Words()
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

// line is the event in one line: time, room, conference, event, participant, details.
func (e *event) line(p palette) string {
	return strings.TrimRight(fmt.Sprintf("%s  %-14s %s  %s  %-16s %s",
		p.dim(e.Time.Local().Format(time.TimeOnly)),
		clip(e.room(), 14),
		p.dim(shortSid(e.Params.Get("ConferenceSid"))),
		p.event(fmt.Sprintf("%-24s", e.name())),
		clip(e.who(), 16),
		p.dim(e.detail())), " ")
}

// shortSid keeps the beginning of a SID, which distinguishes it from the others on a screen.
func shortSid(sid string) string { return clip(sid, 10) }

// clip cuts s to most characters and marks the cut with an ellipsis. It replaces
// control characters, because names come from outside.
func clip(s string, most int) string {
	runes := []rune(printable(s))
	if len(runes) <= most {
		return string(runes)
	}
	return string(runes[:most-1]) + "…"
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '·'
		}
		return r
	}, s)
}

// palette colours output to a terminal.
type palette struct{ on bool }

func paletteFor(w io.Writer, lookup func(string) (string, bool)) palette {
	_, plain := lookup("NO_COLOR")
	return palette{on: !plain && isTerminal(w)}
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (p palette) paint(code, s string) string {
	if !p.on || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p palette) dim(s string) string { return p.paint("2", s) }

// event colours starts green, ends red, failures yellow and Gavel's own events cyan.
func (p palette) event(padded string) string {
	switch name := strings.TrimSpace(padded); {
	case name == "conference-start", name == "participant-join":
		return p.paint("32", padded)
	case name == "conference-end":
		return p.paint("31", padded)
	case strings.HasPrefix(name, "gavel-"):
		return p.paint("36", padded)
	case strings.HasSuffix(name, "-fail"), strings.HasSuffix(name, "-absent"):
		return p.paint("33", padded)
	}
	return padded
}
