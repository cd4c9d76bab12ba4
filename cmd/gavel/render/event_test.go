package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
	"unicode"

	"gavel/handlers/api"
	"gavel/rules"
	"gavel/views"
)

var noon = time.Date(2026, 8, 3, 12, 0, 0, 0, time.UTC)

func at(offset time.Duration) *time.Time {
	t := noon.Add(offset)
	return &t
}

const toldJoin = `{"specversion":"1.0","id":"x","type":"gavel.participant-join.v1","time":"2026-08-03T12:00:05Z",` +
	`"data":{"ConferenceSid":"CF0123456789abcdef0123456789abcdef","FriendlyName":"support-103","CallSid":"CA0123456789abcdef0123456789abcdef",` +
	`"SequenceNumber":"3","ParticipantLabel":"agent-ana","late":true,"conference":{"friendly_name":"support-103"}}}`

const toldEnd = `{"type":"gavel.conference-end.v1","time":"2026-08-03T12:01:05Z",` +
	`"data":{"ConferenceSid":"CF0123456789abcdef0123456789abcdef","FriendlyName":"a\u001b[31mlong name of a room",` +
	`"SequenceNumber":"4","CallSidEndingConference":"CA0123456789abcdef0123456789abcdef","ReasonConferenceEnded":"last-participant-left","late":false}}`

const toldRecording = `{"type":"gavel.recording-completed.v1","time":"2026-08-03T12:02:05Z",` +
	`"data":{"ConferenceSid":"CF0123456789abcdef0123456789abcdef","RecordingDuration":"60","late":false,"conference":{"friendly_name":"support-103"}}}`

const toldIntent = `{"type":"gavel.gavel-intent.v1","time":"2026-08-03T12:01:03Z",` +
	`"data":{"Event":"gavel-intent","ConferenceSid":"CF0123456789abcdef0123456789abcdef","CallSid":"CA0123456789abcdef0123456789abcdef",` +
	`"Do":"update-participant","Asked":"Muted=true","ActorSid":"SK0123456789abcdef0123456789abcdef","ActorName":"kate",` +
	`"late":false,"conference":{"friendly_name":"support-103"}}}`

const toldOutcome = `{"type":"gavel.gavel-outcome.v1","time":"2026-08-03T12:01:04Z",` +
	`"data":{"Event":"gavel-outcome","ConferenceSid":"CF0123456789abcdef0123456789abcdef","Do":"end",` +
	`"ActorSid":"SK0123456789abcdef0123456789abcdef","Result":"failed","Status":"404","Code":"20404",` +
	`"late":false,"conference":{"friendly_name":"support-103"}}}`

const toldRule = `{"type":"gavel.gavel-intent.v1","time":"2026-08-03T12:01:04Z",` +
	`"data":{"Event":"gavel-intent","ConferenceSid":"CF0123456789abcdef0123456789abcdef","Do":"end","Asked":"Status=completed",` +
	`"ActorRule":"end-orphaned","late":false,"conference":{"friendly_name":"support-103"}}}`

const toldHealed = `{"type":"gavel.gavel-healed.v1","time":"2026-08-03T12:01:05Z",` +
	`"data":{"Event":"gavel-healed","ConferenceSid":"CF0123456789abcdef0123456789abcdef","CallSid":"CA0123456789abcdef0123456789abcdef",` +
	`"Fact":"participant-join","Flags":"muted&hold","late":false,"conference":{"friendly_name":"support-103"}}}`

const toldAnnouncement = `{"type":"gavel.gavel-intent.v1","time":"2026-08-03T12:01:06Z",` +
	`"data":{"Event":"gavel-intent","Id":"a1","ConferenceSid":"CF0123456789abcdef0123456789abcdef","Do":"announce","Asked":"AnnounceMethod=POST",` +
	`"ActorRule":"end-orphaned","late":false,"conference":{"friendly_name":"support-103"}}}`

// announced is a decision to announce something, whose request is toldAnnouncement.
func announced(v rules.Verdict, at time.Time) views.Decision {
	return views.Decision{
		ID: "a1", Verdict: v, Do: rules.StepAnnounce, Rule: "end-orphaned", AsOf: at, ConferenceSid: "CF0123456789abcdef0123456789abcdef",
		FriendlyName: "support-103", Params: map[string]string{"say": "Are you\x1b[31m still there?"},
	}
}

func TestEventsAreOneTidyLine(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	line := EventLines(&out, Palette{})
	for _, event := range []string{toldJoin, toldIntent, toldOutcome, toldRule, toldHealed, toldEnd, toldRecording} {
		if err := line([]byte(event)); err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "events.txt", out.String())
}

func TestOnlyATerminalGetsColour(t *testing.T) {
	t.Parallel()
	e, err := ParseEvent([]byte(toldJoin))
	if err != nil {
		t.Fatal(err)
	}
	if line := e.Line(PaletteFor(io.Discard, func(string) (string, bool) { return "", false })); strings.Contains(line, "\x1b") {
		t.Errorf("a pipe gets %q", line)
	}
	if line := e.Line(Palette{on: true}); !strings.Contains(line, "\x1b[32mparticipant-join") {
		t.Errorf("a terminal gets %q", line)
	}
}

// What callers chose as names must not steer the terminal.
func FuzzEventLine(f *testing.F) {
	for _, event := range []string{toldJoin, toldEnd, toldRecording, toldIntent, toldOutcome} {
		f.Add([]byte(event))
	}
	f.Fuzz(func(t *testing.T, event []byte) {
		e, err := ParseEvent(event)
		if err != nil {
			return
		}
		if line := e.Line(Palette{}); strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("line holds a control character: %q", line)
		}
	})
}

func sampleConferences() []views.Conference {
	return []views.Conference{
		{Sid: "CF0123456789abcdef0123456789abcdef", FriendlyName: "support-103", Status: "in-progress", Created: at(-90 * time.Second), Connected: 2, Joined: 3, Why: "In progress, with 2 participants."},
		{Sid: "CF1123456789abcdef0123456789abcdef", FriendlyName: "forgotten", Status: "in-progress", Created: at(-9 * time.Hour), StaleSince: at(-7 * time.Hour), Connected: 1, Joined: 2, Why: "In progress, with 1 participant."},
		{
			Sid: "CF2123456789abcdef0123456789abcdef", FriendlyName: "sales-101", Status: "completed", Created: at(-72 * time.Hour), Ended: at(-72*time.Hour + time.Minute),
			Joined: 2, Reason: "last-participant-left", EndedBy: "agent-ana", Why: "Ended because the last participant, agent-ana, hung up after 1m0s.",
		},
	}
}

func TestConferenceTables(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := Conferences(&out, sampleConferences(), noon); err != nil {
		t.Fatal(err)
	}
	golden(t, "conferences.txt", out.String())

	out.Reset()
	if err := Curtain(&out, sampleConferences(), noon); err != nil {
		t.Fatal(err)
	}
	golden(t, "curtain.txt", out.String())

	out.Reset()
	if err := Conferences(&out, nil, noon); err != nil || out.String() != "no conferences\n" {
		t.Errorf("an empty list is %q, %v", out.String(), err)
	}
}

func TestAConferencesCard(t *testing.T) {
	t.Parallel()
	length := int64(60)
	record := views.Record{
		Conference: sampleConferences()[1],
		Participants: []views.Participant{{
			CallSid: "CA0123456789abcdef0123456789abcdef", Label: "customer", Connected: true, Hold: true, EndConferenceOnExit: true,
			Intervals:      []views.Interval{{Joined: at(-9 * time.Hour), Left: at(-8 * time.Hour)}, {Joined: at(-7 * time.Hour)}},
			PresentSeconds: 8 * 3600, HeldSeconds: 61, MutedSeconds: 5,
		}, {
			CallSid: "CA1123456789abcdef0123456789abcdef", ReasonLeft: "participant_hung_up", Hold: true,
			Intervals: []views.Interval{{Joined: at(-9 * time.Hour), Left: at(-8 * time.Hour)}}, PresentSeconds: 3600,
		}, {
			CallSid: "CA2123456789abcdef0123456789abcdef", Label: "volunteer", ReasonLeft: "participant_add_failed", CallStatus: "no-answer",
		}},
		Dialling:   []views.Dialled{{CallSid: "CA3123456789abcdef0123456789abcdef", Label: "boss", Status: "ringing", Until: at(time.Minute)}},
		Recordings: []views.Recording{{Sid: "RE0123456789abcdef0123456789abcdef", Status: "completed", Seconds: &length}},
		Gaps:       [][2]int64{{3, 3}, {5, 9}},
		Actions:    []views.Action{{Do: "kick", AskedAt: at(-time.Hour), Words: "kate (SK0123456789abcdef0123456789abcdef) asked Twilio to remove a participant; no outcome is known"}},
	}
	var out bytes.Buffer
	if err := Card(&out, record); err != nil {
		t.Fatal(err)
	}
	golden(t, "card.txt", out.String())
}

func TestATimelineIsAList(t *testing.T) {
	t.Parallel()
	body := api.TimelineBody{Conference: sampleConferences()[0], Truncated: true}
	for _, event := range []string{toldJoin, toldIntent, toldOutcome, toldEnd, toldRecording} {
		body.Facts = append(body.Facts, views.Fact{Position: fmt.Sprintf("%d.0", 10+len(body.Facts)), Event: json.RawMessage(event)})
	}
	at := noon.Add(70 * time.Second)
	body.Facts = append(body.Facts, views.Fact{Position: "20.0", Event: json.RawMessage(toldAnnouncement)})
	act, would := announced(rules.Act, at), announced(rules.Would, at)
	act.Position, would.Position = "20.0", "20.0"
	body.Decisions = []views.Decision{ // the last stored first
		{Verdict: rules.Refused, Do: rules.StepEnd, Rule: "end-orphaned", Reason: rules.HeldBack, AsOf: at, Position: "21.0"},
		would, act,
		{Verdict: rules.Would, Do: rules.StepMute, Rule: "mute-noise", Label: "customer", AsOf: at, Position: "11.3"},
		{Verdict: rules.Would, Do: rules.StepKick, Rule: "kick-silent", Label: "customer", AsOf: at, Position: "9.0"},
	}
	var out bytes.Buffer
	if err := Timeline(&out, body, Palette{}); err != nil {
		t.Fatal(err)
	}
	golden(t, "timeline.txt", out.String())
}
