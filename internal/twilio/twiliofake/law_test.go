package twiliofake_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

// law checks which events may follow each other in one conference. It is
// written from Twilio's documentation, separately from the fake's own rules.
type law struct {
	t       *testing.T
	sid     string
	next    int
	present map[string]url.Values // the latest event of each leg that is present
	left    url.Values            // the latest leave of a leg that had joined
	last    url.Values            // the latest leave
	started bool
	ended   bool
}

func newLaw(t *testing.T, sid string) *law {
	return &law{t: t, sid: sid, present: map[string]url.Values{}}
}

// accept reports every rule that the event breaks.
func (l *law) accept(event url.Values) {
	l.t.Helper()
	kind := event.Get("StatusCallbackEvent")
	l.demand(!l.ended, event, "nothing follows the end")
	l.demand(number(l.t, event) == l.next, event, "numbers are contiguous from 0")
	l.next++
	switch {
	case kind == "conference-start":
		l.start(event)
	case kind == "conference-end":
		l.end(event)
	case strings.HasPrefix(kind, "announcement-") && !event.Has("CallSid"):
		l.demand(event.Get("AnnounceUrl") != "", event, "an announcement has a URL")
	default:
		l.participant(kind, event)
	}
}

func (l *law) start(event url.Values) {
	l.t.Helper()
	l.demand(!l.started, event, "it starts once")
	l.demand(len(l.present) >= 2, event, "it starts with two")
	allowed := false
	for _, leg := range l.present {
		allowed = allowed || leg.Get("StartConferenceOnEnter") == "true"
	}
	l.demand(allowed, event, "one of them may start it")
	l.started = true
}

func (l *law) participant(kind string, event url.Values) {
	l.t.Helper()
	sid := event.Get("CallSid")
	_, in := l.present[sid]
	never := kind == "participant-leave" && !in // a leg that was dialled and not reached
	if never {
		l.demand(slices.Contains([]string{"busy", "no-answer", "failed", "canceled"}, event.Get("ParticipantCallStatus")), event,
			"a leg that never joined was not reached")
	} else {
		l.demand(in == (kind != "participant-join"), event, "joins come from outside, all else from inside")
	}
	for kindOf, flag := range map[string][2]string{
		"participant-mute":   {"Muted", "true"},
		"participant-unmute": {"Muted", "false"},
		"participant-hold":   {"Hold", "true"},
		"participant-unhold": {"Hold", "false"},
	} {
		l.demand(kind != kindOf || event.Get(flag[0]) == flag[1], event, "flags are those after the change")
	}
	for _, flag := range []string{"Muted", "Hold", "Coaching", "StartConferenceOnEnter", "EndConferenceOnExit"} {
		l.demand(event.Get(flag) == "true" || event.Get(flag) == "false", event, "every flag is sent")
	}
	l.present[sid] = event
	if kind == "participant-leave" {
		l.demand(event.Get("ReasonParticipantLeft") != "", event, "a leave has a reason")
		l.last = event
		if !never {
			l.left = event
		}
		delete(l.present, sid)
	}
}

func (l *law) end(event url.Values) {
	l.t.Helper()
	l.ended = true
	l.demand(len(l.present) == 0, event, "no leg is left in it")
	by := event.Get("CallSidEndingConference")
	switch reason := event.Get("ReasonConferenceEnded"); reason {
	case "conference-ended-via-api":
		l.demand(by == "", event, "no leg ends it via the API")
		l.demand(l.last.Get("ReasonParticipantLeft") == "conference_ended_via_api", event, "the leaves of the others have that reason")
	case "last-participant-left", "last-participant-kicked":
		l.demand(by == l.left.Get("CallSid"), event, "the last to leave ends it")
		l.demand(l.left == nil || l.left.Get("EndConferenceOnExit") == "false", event, "endConferenceOnExit goes first")
	case "participant-with-end-conference-on-exit-left", "participant-with-end-conference-on-exit-kicked":
		l.demand(by != "", event, "a leg ends it")
	default:
		l.t.Errorf("conference %s ends for %q", l.sid, reason)
	}
}

func (l *law) demand(kept bool, event url.Values, rule string) {
	l.t.Helper()
	if !kept {
		l.t.Errorf("conference %s breaks the rule %q with %v", l.sid, rule, event)
	}
}
