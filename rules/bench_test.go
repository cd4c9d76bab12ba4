package rules_test

import (
	"fmt"
	"path"
	"strings"
	"testing"
	"time"

	"gavel/events"
	presets "gavel/examples/rules"
	"gavel/projections"
	"gavel/rules"
)

// BenchmarkJudge judges a call of four legs and four minutes by the ten presets
// twice, live. It alternates with only folding the same call, so that the ratio
// of judging to folding does not depend on the machine.
func BenchmarkJudge(b *testing.B) {
	set, call := twentyRules(b), wholeCall()
	var folding, judging time.Duration
	b.ReportAllocs()
	for b.Loop() {
		began := time.Now()
		foldCall(b, call, func(before, after *projections.Conference, e *events.Event) {})
		folded := time.Now()
		judgeCall(b, set, call)
		folding += folded.Sub(began)
		judging += time.Since(folded)
	}
	facts := float64(b.N * len(call))
	b.ReportMetric(float64(judging-folding)/facts, "ns-judging/fact")
	b.ReportMetric(float64(judging-folding)/float64(folding), "judging/folding")
}

func judgeCall(b *testing.B, set *rules.Set, call []*events.Event) {
	var state *rules.State
	foldCall(b, call, func(before, after *projections.Conference, e *events.Event) {
		state = rules.Judge(set, state, before, rules.Input{ID: e.ID, At: e.ReceivedAt, Fact: e}, after).State
	})
}

func foldCall(b *testing.B, call []*events.Event, then func(before, after *projections.Conference, e *events.Event)) {
	var record *projections.Conference
	for _, e := range call {
		before := record
		var err error
		if record, _, err = projections.Fold(before, e); err != nil {
			b.Fatal(err)
		}
		then(before, record, e)
	}
}

// twentyRules are ten presets under two names each, live: those that former figures are about.
func twentyRules(b *testing.B) *rules.Set {
	b.Helper()
	var files []rules.File
	for _, f := range presets.Files() {
		if path.Base(f.Name) == "ended-from-outside.yaml" {
			continue
		}
		for _, word := range []string{"first", "second"} {
			text := strings.ReplaceAll(f.Text, "  - name: ", "  - mode: live\n    name: "+word+"-")
			files = append(files, rules.File{Name: word + "-" + f.Name, Text: text})
		}
	}
	set, err := rules.Parse(files...)
	if err != nil {
		b.Fatal(err)
	}
	return set
}

const legsOfCall = 4

// wholeCall are the events of one call: all legs join, ten changes for each leg, all leave.
func wholeCall() (call []*events.Event) {
	const legs = legsOfCall
	add := func(kind events.Kind, leg int) { call = append(call, callEvent(len(call), kind, leg)) }
	for leg := range legs {
		add(events.ParticipantJoin, leg)
	}
	add(events.ConferenceStart, 0)
	for change := range 10 * legs {
		kinds := [...]events.Kind{
			events.ParticipantMute, events.ParticipantUnmute, events.ParticipantHold, events.ParticipantUnhold, events.ParticipantModify,
		}
		add(kinds[change/legs%len(kinds)], change%legs)
	}
	for leg := range legs {
		add(events.ParticipantLeave, leg)
	}
	add(events.ConferenceEnd, 0)
	return call
}

// callEvent is the nth event of the call, five seconds after the one before.
func callEvent(n int, kind events.Kind, leg int) *events.Event {
	at := nine.Add(time.Duration(n) * 5 * time.Second)
	e := &events.Event{
		ID: fmt.Sprintf("event-%d", n), Kind: kind, Source: events.SourceCallback,
		AccountSid: "AC00000000000000000000000000000001", ConferenceSid: "CF00000000000000000000000000000001",
		SequenceNumber: int64(n), OccurredAt: at, ReceivedAt: at,
	}
	e.Params = events.Params{{Name: "FriendlyName", Value: "Support queue 7 (billing, English)"}}
	switch kind {
	case events.ConferenceEnd:
		e.Params = append(e.Params, events.Param{Name: "ReasonConferenceEnded", Value: "last-participant-left"})
		return e
	case events.ConferenceStart:
		return e
	}
	e.CallSid = fmt.Sprintf("CA%032x", leg)
	flag := func(on bool) string { return fmt.Sprint(on) }
	e.Params = append(e.Params,
		events.Param{Name: "ParticipantLabel", Value: fmt.Sprintf("agent|seat %d", leg)},
		events.Param{Name: "Muted", Value: flag(kind == events.ParticipantMute)},
		events.Param{Name: "Hold", Value: flag(kind == events.ParticipantHold)},
		events.Param{Name: "Coaching", Value: "false"},
		events.Param{Name: "StartConferenceOnEnter", Value: "true"},
		events.Param{Name: "EndConferenceOnExit", Value: flag(leg == legsOfCall-1)},
		events.Param{Name: "ReasonParticipantLeft", Value: "participant_hung_up"})
	return e
}
