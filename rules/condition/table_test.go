package condition

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cel.dev/cel-go/common/types/ref"
	"pgregory.net/rapid"

	"gavel/events"
	"gavel/projections"
)

// White box: the tables of fields and functions are compared with Fold, which decides the values.
// Only the tables are tested; the conferences are random, as in the property test of Fold. The test
// works both ways: each change is in the table, and each change in the table was observed.
func TestEventsChangeExactlyWhatTheTablesList(t *testing.T) {
	t.Parallel()
	table, changed := tableOfChanges(), map[string]Kinds{}
	for _, story := range rareStories(t) {
		noteStory(t, changed, story)
	}
	for range mostRounds {
		rapid.Check(t, func(t *rapid.T) {
			story := make([]*events.Event, rapid.IntRange(1, 40).Draw(t, "events"))
			for i := range story {
				story[i] = randomEvent(t, i)
			}
			noteStory(t, changed, story)
		})
		if missing(changed, table) == nil {
			break
		}
	}
	for _, m := range missing(table, changed) {
		t.Errorf("%s, which the table does not have", m)
	}
	for _, m := range missing(changed, table) {
		t.Errorf("%s in the table, but not once in the test", m)
	}
}

// mostRounds of 100 conferences each; two or three rounds produce everything except rareStories.
const mostRounds = 30

// rareStories are stories that are too rare to wait for in random conferences.
func rareStories(t fatal) [][]*events.Event {
	leaving := func(reason string) events.Params {
		return events.Params{{Name: "ReasonParticipantLeft", Value: reason}, {Name: "ParticipantCallStatus", Value: reason}}
	}
	held := func(hold string) events.Params { return events.Params{{Name: "Hold", Value: hold}} }
	// A late join separates the leave before it from a healed one.
	stories := [][]*events.Event{{
		legEvent(events.ParticipantLeave, 3, leaving("a")),
		healedEvent(t, events.Healed{Fact: events.ParticipantLeave, CallSid: testCalls[0], Behind: 6, At: clock.Add(time.Minute)}),
		legEvent(events.ParticipantJoin, 5, nil),
	}}
	// A hold counts from its first event, whichever later event confirms it.
	for kind := range numbered {
		stories = append(stories, []*events.Event{
			legEvent(events.ParticipantHold, 1, held("true")),
			legEvent(events.ParticipantModify, 2, held("false")),
			legEvent(kind, 3, held("true")),
		})
	}
	// A kick ended the conference only if the leg did not come back after it.
	for kind := range present {
		stories = append(stories, cameBackStory(t, kind))
	}
	return stories
}

// cameBackStory is of a leg that is known only from a kick and from an event of that kind after it.
func cameBackStory(t fatal, kind events.Kind) []*events.Event {
	key := events.Key{AccountSid: "AC" + strings.Repeat("0", 32), ConferenceSid: "CF" + strings.Repeat("0", 32)}
	kick := events.Action{
		ID: events.NewULID(), Do: events.DoKick, CallSid: testCalls[0], At: clock, Actor: events.Actor{Rule: "kicks"},
		AccountSid: key.AccountSid, ConferenceSid: key.ConferenceSid,
	}
	back := legEvent(kind, 20, nil)
	if kind == events.HealedFact {
		back = healedEvent(t, events.Healed{Fact: events.ParticipantJoin, CallSid: testCalls[0], Behind: 19, At: clock.Add(20 * time.Second)})
	}
	end := legEvent(events.ConferenceEnd, 30, events.Params{{Name: "ReasonConferenceEnded", Value: projections.EndedByLastKicked}})
	end.CallSid = ""
	return []*events.Event{parsed(t, events.NewIntent(kick)), end, back}
}

// clock is when the random conferences begin.
var clock = time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC)

// legEvent is an event of the first leg.
func legEvent(kind events.Kind, number int64, params events.Params) *events.Event {
	return &events.Event{
		ID: fmt.Sprint(number), Kind: kind, AccountSid: "AC1", ConferenceSid: "CF1", CallSid: testCalls[0],
		SequenceNumber: number, OccurredAt: clock.Add(time.Duration(number) * time.Second), Params: params,
	}
}

// noteStory folds a story and records what each event changed.
func noteStory(t fatal, changed map[string]Kinds, story []*events.Event) {
	var record *projections.Conference
	for _, e := range story {
		after, _, err := projections.Fold(record, e)
		if err != nil {
			t.Fatal(err)
		}
		noteChanges(changed, values(record), values(after), e.Kind)
		record = after
	}
}

// fatal is what *testing.T and *rapid.T have in common.
type fatal interface{ Fatal(args ...any) }

// missing are the changes of one table that are not in the other.
func missing(have, want map[string]Kinds) []string {
	var all []string
	for name, kinds := range want {
		for k := range kinds {
			if !have[name].Has(k) {
				all = append(all, fmt.Sprintf("%s is changed by %s", name, k))
			}
		}
	}
	slices.Sort(all)
	return all
}

// tableOfChanges returns the kinds that the tables list for everything that depends on the record.
func tableOfChanges() map[string]Kinds {
	table := map[string]Kinds{}
	for typeName, all := range fields {
		for _, f := range all {
			if typeName != "Event" {
				table[typeName+"."+f.name] = f.changedBy
			}
		}
	}
	for _, f := range functions {
		if f.since != nil && len(f.args) == 1 {
			table[f.overload()] = f.changedBy
		}
	}
	return table
}

// values returns the values of all fields of a record, and the stretches of the
// elapsed-time functions, for two participants and one recording.
func values(record *projections.Conference) map[string]string {
	e := Read(Vars{Conference: record})
	conference := e.conference(record)
	objects := map[string][]*object{"Conference": {conference}}
	for _, sid := range testCalls {
		var p *projections.Participant
		if record != nil {
			p = record.Participant(sid)
		}
		objects["Participant"] = append(objects["Participant"], e.participant(record, p))
	}
	r := &projections.Recording{Duration: -1}
	if record != nil && len(record.Recordings) == 1 {
		r = record.Recordings[0]
	}
	objects["Recording"] = []*object{{of: e, typ: recordingType, conference: conference.conference, recording: r}}
	for _, a := range conference.conference.Performed() {
		action := &object{of: e, typ: actionType, conference: conference.conference, performed: &a}
		objects["Action"] = append(objects["Action"], action)
		objects["Actor"] = append(objects["Actor"], action.actor(a.By).(*object))
	}
	texts := map[string]string{}
	for typeName, all := range objects {
		for _, o := range all {
			for _, f := range fields[typeName] {
				texts[typeName+"."+f.name] += written(f.get(o).Value()) + "; "
			}
			for _, f := range functions {
				if f.since != nil && len(f.args) == 1 && f.args[0].TypeName() == typeName {
					texts[f.overload()] += fmt.Sprint(f.since(o)) + "; "
				}
			}
		}
	}
	return texts
}

// written formats a value; a list is formatted as the keys of its items.
func written(v any) string {
	if o, is := v.(*object); is {
		return o.key()
	}
	items, ok := v.([]ref.Val)
	if !ok {
		return fmt.Sprint(v)
	}
	var b strings.Builder
	for _, item := range items {
		o := item.(*object)
		fmt.Fprintf(&b, "[%s]", o.key())
	}
	return b.String()
}

func noteChanges(changed map[string]Kinds, before, after map[string]string, kind events.Kind) {
	if _, known := Known[kind]; !known {
		kind = Unknown
	}
	for name := range after {
		if before[name] != after[name] {
			changed[name] = changed[name].With(KindsOf(kind))
		}
	}
}

var testCalls = []string{"CA" + strings.Repeat("0", 31) + "1", "CA" + strings.Repeat("0", 31) + "2"}

// rarely are the kinds that must come in one order to show all their effects.
var rarely = []events.Kind{events.ParticipantJoin, events.ParticipantLeave, events.HealedFact, events.HealedFact, events.HealedFact}

func randomEvent(t *rapid.T, i int) *events.Event {
	kind := rapid.SampledFrom(append(Known.Sorted(), rarely...)).Draw(t, "kind")
	at := clock.Add(time.Duration(rapid.IntRange(0, 50).Draw(t, "second")) * time.Second)
	if kind == Unknown {
		if kind = "participant-wave"; rapid.Bool().Draw(t, "streamed") {
			return randomRequest(t, at)
		}
	}
	e := &events.Event{
		ID: fmt.Sprint(i), Kind: kind, AccountSid: "AC1", ConferenceSid: "CF1",
		SequenceNumber: events.NoSequence, OccurredAt: at,
	}
	flag := func() string { return rapid.SampledFrom([]string{"true", "false"}).Draw(t, "flag") }
	add := func(name, value string) { e.Params = append(e.Params, events.Param{Name: name, Value: value}) }
	switch {
	case kind == events.ActionIntent || kind == events.ActionOutcome:
		return randomAction(t, e)
	case kind == events.HealedFact:
		return randomHealed(t, i, at)
	case kind == events.ConferenceRecordEnd:
		add("RecordingUrl", "https://example.com/1")
		add("Duration", fmt.Sprint(rapid.IntRange(1, 3).Draw(t, "duration")))
		return e
	case kind.Recording():
		e.RecordingSid = "RE" + strings.Repeat("0", 32)
		add("RecordingStatus", strings.TrimPrefix(string(kind), "recording-"))
		add("RecordingStartTime", at.Format(events.TimestampLayout))
		add("RecordingDuration", fmt.Sprint(rapid.IntRange(1, 3).Draw(t, "duration")))
		add("ErrorCode", fmt.Sprint(rapid.IntRange(0, 3).Draw(t, "code")))
		return e
	}
	e.SequenceNumber = int64(2*i + rapid.IntRange(-6, 6).Draw(t, "number") + 6)
	e.CallSid = rapid.SampledFrom(testCalls).Draw(t, "call")
	add("FriendlyName", rapid.SampledFrom([]string{"a", "b"}).Draw(t, "name"))
	add("ParticipantLabel", rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "label"))
	for _, name := range []string{"Muted", "Hold", "Coaching", "EndConferenceOnExit", "StartConferenceOnEnter"} {
		add(name, flag())
	}
	add("ReasonConferenceEnded", rapid.SampledFrom([]string{"a", "b"}).Draw(t, "reason"))
	add("CallSidEndingConference", e.CallSid)
	add("ParticipantLabelEndingConference", rapid.SampledFrom([]string{"a", "b"}).Draw(t, "ending"))
	add("ReasonParticipantLeft", rapid.SampledFrom([]string{"a", "b"}).Draw(t, "left"))
	add("ParticipantCallStatus", rapid.SampledFrom([]string{"a", "b"}).Draw(t, "status"))
	return e
}

func randomHealed(t *rapid.T, i int, at time.Time) *events.Event {
	h := events.Healed{
		Fact:   rapid.SampledFrom([]events.Kind{events.ConferenceEnd, events.ParticipantJoin, events.ParticipantLeave, events.ParticipantModify}).Draw(t, "fact"),
		Behind: int64(2*i + rapid.IntRange(-6, 6).Draw(t, "behind") + 6),
		Flags:  rapid.SampledFrom([]string{"", "muted", "hold", "coaching", "end-on-exit", "start-on-enter"}).Draw(t, "flags"),
		At:     at,
	}
	if h.Fact != events.ConferenceEnd {
		h.CallSid = rapid.SampledFrom(testCalls).Draw(t, "call")
	}
	return healedEvent(t, h)
}

// healedEvent is a healed fact as the journal contains it.
func healedEvent(t fatal, h events.Healed) *events.Event {
	h.ID = events.NewULID()
	h.Key = events.Key{AccountSid: "AC" + strings.Repeat("0", 32), ConferenceSid: "CF" + strings.Repeat("0", 32)}
	return parsed(t, events.NewHealed(h))
}

func randomAction(t *rapid.T, e *events.Event) *events.Event {
	a := events.Action{
		ID: events.NewULID(), Do: events.DoEnd, At: e.OccurredAt,
		AccountSid: "AC" + strings.Repeat("0", 32), ConferenceSid: "CF" + strings.Repeat("0", 32),
		Actor: events.Actor{Sid: "AC" + strings.Repeat("0", 32)},
	}
	switch rapid.IntRange(0, 2).Draw(t, "action") {
	case 0:
		a.Do, a.CallSid, a.Actor = events.DoKick, testCalls[0], events.Actor{Rule: "kicks"}
	case 1:
		a.Do, a.RecordingSid, a.Actor.Name = events.DoUpdateRecording, "RE"+strings.Repeat("0", 32), "kate"
	}
	entry := events.NewIntent(a)
	if e.Kind == events.ActionOutcome {
		entry = events.NewOutcome(a, events.Outcome{Result: events.Done, Status: 200, At: e.OccurredAt})
	}
	return parsed(t, entry)
}

// randomRequest is an API request that only Event Streams reports.
func randomRequest(t *rapid.T, at time.Time) *events.Event {
	key := events.Key{AccountSid: "AC" + strings.Repeat("0", 32), ConferenceSid: "CF" + strings.Repeat("0", 32)}
	answer := events.Params{{Name: events.ResponseCodeParam, Value: "200"}}
	return parsed(t, events.NewStreamed(events.APIParticipantDeleted, key, rapid.SampledFrom(testCalls).Draw(t, "call"),
		events.NewULID(), at, at, answer))
}

func parsed(t fatal, entry events.Entry) *events.Event {
	own, err := events.Parse(entry)
	if err != nil {
		t.Fatal(err)
	}
	return &own
}
