package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"gavel/events"
)

// told is what the terminal shows of a CloudEvent.
type told struct {
	Type string
	Time time.Time
	Data struct {
		ConferenceSid, FriendlyName, SequenceNumber string
		CallSid, ParticipantLabel                   string
		CallSidEndingConference                     string
		ParticipantLabelEndingConference            string
		ReasonConferenceEnded                       string
		ReasonParticipantLeft                       string
		ReasonAnnouncementFailed                    string
		RecordingDuration                           string
		Do                                          events.Do
		Asked, ActorSid, ActorName, ActorRule       string
		Result                                      events.Result
		Status, Code, Why                           string
		Fact                                        events.Kind
		Flags                                       string
		Late                                        bool `json:"late"`
		Conference                                  struct {
			FriendlyName string `json:"friendly_name"`
		} `json:"conference"`
	}
}

func parseTold(cloudEvent []byte) (told, error) {
	var e told
	if err := json.Unmarshal(cloudEvent, &e); err != nil {
		return told{}, fmt.Errorf("read event: %w", err)
	}
	return e, nil
}

// event is the wire spelling, as in participant-join.
func (e *told) event() string {
	return printable(strings.TrimSuffix(strings.TrimPrefix(e.Type, "gavel."), ".v1"))
}

// room is the friendly name; a recording's callback does not tell it, but the
// conference does.
func (e *told) room() string {
	return firstOf(e.Data.FriendlyName, e.Data.Conference.FriendlyName, "-")
}

// who is the participant that the event is about, or that ended the conference.
func (e *told) who() string {
	return firstOf(
		e.Data.ParticipantLabel, shortSid(e.Data.CallSid),
		e.Data.ParticipantLabelEndingConference, shortSid(e.Data.CallSidEndingConference),
	)
}

// detail is what else is worth a word.
func (e *told) detail() string {
	words := firstOf(e.Data.ReasonConferenceEnded, e.Data.ReasonParticipantLeft, e.Data.ReasonAnnouncementFailed, e.action())
	if e.Data.RecordingDuration != "" {
		words = e.Data.RecordingDuration + " s"
	}
	if e.Data.Late {
		words = strings.TrimSpace(words + " (late)")
	}
	return printable(words)
}

// action says who asked for what, or what Twilio answered to that or to a
// question of our own; empty for what is none of these.
func (e *told) action() string {
	switch events.Kind(e.event()) {
	case events.ActionIntent:
		actor := events.Actor{Sid: shortSid(e.Data.ActorSid), Name: e.Data.ActorName, Rule: e.Data.ActorRule}
		return events.Action{Do: e.Data.Do, Asked: e.Data.Asked, Actor: actor}.Words()
	case events.ActionOutcome:
		o := events.Outcome{Result: e.Data.Result, Why: e.Data.Why}
		o.Status, _ = strconv.Atoi(e.Data.Status)
		o.Code, _ = strconv.Atoi(e.Data.Code)
		if e.Data.ActorRule != "" {
			return fmt.Sprintf("%s by rule %s: %s", e.Data.Do, e.Data.ActorRule, o.Words(e.Data.Do))
		}
		return o.Words(e.Data.Do)
	case events.HealedFact:
		return events.Healed{Fact: e.Data.Fact, Flags: e.Data.Flags}.Words()
	}
	return ""
}

// line is the event in one line: when, where, what, who, why.
func (e *told) line(p palette) string {
	return strings.TrimRight(fmt.Sprintf("%s  %-14s %s  %s  %-16s %s",
		p.dim(e.Time.Local().Format(time.TimeOnly)),
		clip(e.room(), 14),
		p.dim(shortSid(e.Data.ConferenceSid)),
		p.event(fmt.Sprintf("%-24s", e.event())),
		clip(e.who(), 16),
		p.dim(e.detail())), " ")
}

// shortSid keeps the beginning of a SID, which is enough to tell it from the
// others on a screen.
func shortSid(sid string) string { return clip(sid, 10) }

// clip cuts s to that many characters, the last of which then says so. What a
// terminal would take for a command is replaced: names come from outside.
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

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// palette colours what goes to a terminal, and nothing else.
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

// event colours beginnings green, ends red, what went wrong yellow, what was
// asked of Gavel cyan.
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
