package projections_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gavel/events"
	"gavel/projections"
)

// leastEvents is how many events the property test must fold.
const leastEvents = 100_000

// Any order and any duplication of the same events gives the same record, byte
// for byte. The conferences are wild on purpose: events contradict each other,
// share a number, or lack the events that should precede them.
func TestOrderAndDoublesDoNotChangeTheRecord(t *testing.T) {
	t.Parallel()
	folded := 0
	for folded < leastEvents {
		rapid.Check(t, func(t *rapid.T) {
			all := wildConference(t)
			want := canonicalJSON(t, all)
			for range 3 {
				disordered := disorder(t, all)
				folded += len(disordered)
				if got := canonicalJSON(t, disordered); got != want {
					t.Fatalf("order or doubles changed the record\nin order: %s\n     got: %s", want, got)
				}
			}
		})
	}
	t.Logf("%d events folded", folded)
}

// Every event is fresh exactly once, however often and in whatever order it
// comes. Only a healed fact may be no news because callbacks came first.
func TestEveryFactIsFreshOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		all := wildConference(t)
		var c *projections.Conference
		fresh := make(map[string]int)
		for _, e := range disorder(t, all) {
			after, isFresh, err := projections.Fold(c, &e)
			if err != nil {
				t.Fatal(err)
			}
			if isFresh {
				fresh[e.ID]++
			}
			c = after
		}
		for _, e := range all {
			if (e.Kind == events.HealedFact || ofAPI(&e)) && fresh[e.ID] == 0 {
				continue // callbacks or an earlier answer had stated more by then
			}
			if ofAPI(&e) && fresh[e.ID] > 1 {
				continue // an earlier answer is fresh although a later one came first
			}
			if fresh[e.ID] != 1 {
				t.Fatalf("%s %d was fresh %d times", e.Kind, e.SequenceNumber, fresh[e.ID])
			}
		}
	})
}

// Fold never writes into the record it was given: other goroutines can read
// that record while the next event is folded.
func TestFoldDoesNotChangeTheRecordBefore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var c *projections.Conference
		for _, e := range disorder(t, wildConference(t)) {
			before := marshal(t, c)
			after, _, err := projections.Fold(c, &e)
			if err != nil {
				t.Fatal(err)
			}
			if now := marshal(t, c); now != before {
				t.Fatalf("%s changed the record before it\nwas: %s\nnow: %s", e.Kind, before, now)
			}
			c = after
		}
	})
}

func canonicalJSON(t *rapid.T, all []events.Event) string {
	var c *projections.Conference
	for i := range all {
		after, _, err := projections.Fold(c, &all[i])
		if err != nil {
			t.Fatal(err)
		}
		c = after
	}
	return marshal(t, c)
}

func marshal(t *rapid.T, c *projections.Conference) string {
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// disorder shuffles the events and repeats some of them.
func disorder(t *rapid.T, all []events.Event) []events.Event {
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "order"), 1))
	out := slices.Clone(all)
	for range len(all) / 2 {
		out = append(out, all[r.IntN(len(all))])
	}
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// wildKinds are the kinds that numbered events are drawn from.
var wildKinds = []events.Kind{
	events.ConferenceStart, events.ConferenceEnd,
	events.ParticipantJoin, events.ParticipantJoin, events.ParticipantLeave,
	events.ParticipantMute, events.ParticipantUnmute,
	events.ParticipantHold, events.ParticipantUnhold,
	events.ParticipantModify, events.ParticipantSpeechStart, events.ParticipantSpeechStop,
	events.AnnouncementEnd, events.AnnouncementFail, "participant-unknown",
}

// wildConference draws 20 to 120 events of one conference, each with its own
// identity. Two different events may share a number.
func wildConference(t *rapid.T) []events.Event {
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "conference"), 2))
	var all []events.Event
	taken := make(map[string]bool)
	for n := range 20 + r.IntN(100) {
		e := wildEvent(r, int64(n+r.IntN(3)-r.IntN(2)))
		if e.ID = identity(&e); taken[e.ID] {
			continue
		}
		taken[e.ID] = true
		all = append(all, e)
	}
	return all
}

// ofAPI reports whether an event is an answer of Twilio's about the end or about a dialled leg.
func ofAPI(e *events.Event) bool {
	return e.Kind == events.ConferenceFetched || e.Kind == events.ParticipantDialled
}

// identity is what the door derives ids from.
func identity(e *events.Event) string {
	switch {
	case e.Kind == events.ActionIntent, e.Kind == events.ActionOutcome, e.Kind == events.HealedFact, ofAPI(e):
		return e.ID
	case e.Streamed():
		return e.Params.Get(events.EventSidParam)
	case e.Kind == events.ConferenceRecordEnd:
		return e.Params.Get("RecordingUrl")
	case e.SequenceNumber == events.NoSequence:
		return e.RecordingSid + string(e.Kind)
	}
	return strconv.FormatInt(e.SequenceNumber, 10)
}

func wildEvent(r *rand.Rand, seq int64) events.Event {
	e := events.Event{
		AccountSid: account, ConferenceSid: conference,
		SequenceNumber: max(0, seq),
		OccurredAt:     time.Unix(1_790_000_000+seq*3+int64(r.IntN(5)), 0),
		ReceivedAt:     time.Unix(1_800_000_000, int64(r.IntN(1e9))),
		Kind:           wildKinds[r.IntN(len(wildKinds))],
		Params:         events.Params{{Name: "FriendlyName", Value: "room " + strconv.Itoa(r.IntN(2))}},
	}
	if r.IntN(10) == 0 {
		e.OccurredAt = time.Time{} // an unreadable Timestamp
	}
	switch r.IntN(13) {
	case 12:
		return wildAnswer(r, seq)
	case 2:
		return wildAction(r)
	case 3:
		return wildHealed(r, seq)
	case 4:
		return wildStreamed(r, e)
	case 0:
		return wildRecording(r, e)
	case 1:
		e.Kind, e.SequenceNumber = events.ConferenceRecordEnd, events.NoSequence
		e.Params = events.Params{{Name: "RecordingUrl", Value: fmt.Sprintf("https://example.com/%d", r.IntN(4))}, {Name: "Duration", Value: "6"}}
		return e
	}
	if e.Kind != events.ConferenceStart && e.Kind != events.ConferenceEnd {
		wildParticipant(r, &e)
	} else if e.Kind == events.ConferenceEnd {
		e.Params = append(e.Params,
			events.Param{Name: "ReasonConferenceEnded", Value: []string{projections.EndedViaAPI, projections.EndedByLastLeft}[r.IntN(2)]},
			events.Param{Name: "CallSidEndingConference", Value: call(r.IntN(5))})
	}
	return e
}

func wildRecording(r *rand.Rand, e events.Event) events.Event {
	status := []string{"in-progress", "completed", "absent", "failed"}[r.IntN(4)]
	e.Kind, e.SequenceNumber, e.RecordingSid = events.Kind("recording-"+status), events.NoSequence, recording(r.IntN(3))
	e.Params = events.Params{
		{Name: "RecordingStatus", Value: status},
		{Name: "RecordingStartTime", Value: e.OccurredAt.UTC().Format(time.RFC1123Z)},
		{Name: "RecordingDuration", Value: strconv.Itoa(r.IntN(100))},
	}
	return e
}

// wildStreamed draws an API call or a summary of Event Streams.
func wildStreamed(r *rand.Rand, e events.Event) events.Event {
	e.Kind = []events.Kind{events.APIConferenceModified, events.APIParticipantDeleted, events.InsightsConferenceSummary, events.InsightsParticipantSummary}[r.IntN(4)]
	e.SequenceNumber, e.CallSid = events.NoSequence, call(r.IntN(5))
	at := func() string { return time.Unix(1_790_000_000+int64(r.IntN(400)), 0).UTC().Format(time.RFC3339) }
	e.Params = events.Params{
		{Name: events.EventSidParam, Value: fmt.Sprintf("%016x", r.IntN(1000))}, {Name: "Request.Status", Value: "completed"},
		{Name: "Summary.friendly_name", Value: "room " + strconv.Itoa(r.IntN(2))}, {Name: "Summary.label", Value: "agent " + strconv.Itoa(r.IntN(2))},
		{Name: "Summary.start_time", Value: at()}, {Name: "Summary.end_time", Value: at()}, {Name: "Summary.end_reason", Value: "last_participant_left"},
	}
	if r.IntN(2) == 0 {
		e.Params = append(e.Params, events.Param{Name: events.PartialParam, Value: "true"})
	}
	return e
}

// wildAction draws the intent or the outcome of one of twenty actions.
func wildAction(r *rand.Rand) events.Event {
	n := r.IntN(20)
	a := events.Action{
		ID: fmt.Sprintf("01J000000000000000000000%02d", n), Do: []events.Do{events.DoEnd, events.DoKick}[n%2],
		AccountSid: account, ConferenceSid: conference, CallSid: call(n % 5), Asked: "Status=completed",
		Actor: events.Actor{Sid: "SK" + account[2:], Name: fmt.Sprint("actor ", n)}, At: time.Unix(1_790_000_000+int64(n*9), 0),
	}
	entry := events.NewIntent(a)
	if r.IntN(2) == 0 {
		result := []events.Result{events.Done, events.Failed, events.Unknown}[n%3]
		entry = events.NewOutcome(a, events.Outcome{Result: result, Status: 100 * n % 500, At: a.At.Add(time.Second)})
	}
	entry.ReceivedAt = time.Unix(1_800_000_000, int64(r.IntN(1e9)))
	e, err := events.Parse(entry)
	if err != nil {
		panic(err)
	}
	return e
}

// wildHealed draws a healed fact of one of the legs, or the end.
func wildHealed(r *rand.Rand, seq int64) events.Event {
	h := events.Healed{
		ID: fmt.Sprintf("01J%023d", r.IntN(1e9)), Key: events.Key{AccountSid: account, ConferenceSid: conference},
		Fact:   []events.Kind{events.ConferenceEnd, events.ParticipantJoin, events.ParticipantLeave, events.ParticipantModify}[r.IntN(4)],
		Behind: max(events.NoSequence, seq-int64(r.IntN(4))), At: time.Unix(1_790_000_000+seq*3+int64(r.IntN(60)), 0),
	}
	if h.Fact != events.ConferenceEnd {
		h.Coach = []string{"", call(r.IntN(5))}[r.IntN(2)]
		h.CallSid = call(r.IntN(5))
		h.Flags = []string{"", "muted", "hold&end-on-exit", "muted&hold&coaching&end-on-exit&start-on-enter"}[r.IntN(4)]
	}
	e, err := events.Parse(events.NewHealed(h))
	if err != nil {
		panic(err)
	}
	return e
}

// wildAnswer draws what Twilio answered after the end, or about a leg that it calls.
func wildAnswer(r *rand.Rand, seq int64) events.Event {
	id, key := fmt.Sprintf("01J%023d", r.IntN(1e9)), events.Key{AccountSid: account, ConferenceSid: conference}
	at := time.Unix(1_790_000_000+seq*3+int64(r.IntN(60)), 0)
	entry := events.NewFetched(events.Fetched{ID: id, Key: key, Region: []string{"us1", "ie1", ""}[r.IntN(3)], Reason: projections.EndedByLastLeft, CallSid: call(r.IntN(5)), At: at})
	if r.IntN(2) == 0 {
		entry = events.NewDialled(events.Dialled{
			ID: id, Key: key, CallSid: call(r.IntN(7)), Status: "queued", Flags: []string{"", "coaching"}[r.IntN(2)],
			Label: "boss", Coach: call(r.IntN(5)), Timeout: time.Duration(r.IntN(90)) * time.Second, At: at,
		})
	}
	e, err := events.Parse(entry)
	if err != nil {
		panic(err)
	}
	return e
}

func wildParticipant(r *rand.Rand, e *events.Event) {
	e.CallSid = call(r.IntN(5))
	for _, flag := range []string{"Muted", "Hold", "Coaching", "EndConferenceOnExit", "StartConferenceOnEnter"} {
		e.Params = append(e.Params, events.Param{Name: flag, Value: strconv.FormatBool(r.IntN(2) == 0)})
	}
	if r.IntN(2) == 0 {
		e.Params = append(e.Params, events.Param{Name: "ParticipantLabel", Value: "label " + strconv.Itoa(r.IntN(3))})
	}
	if e.Kind == events.ParticipantLeave {
		e.Params = append(e.Params, events.Param{Name: "ReasonParticipantLeft", Value: []string{"participant_hung_up", "moderator_ended_conference"}[r.IntN(2)]})
	}
}

// participantEvent is an ordinary participant event with all its parameters.
func participantEvent(seq int64, kind events.Kind, leg int) *events.Event {
	e := &events.Event{
		AccountSid: account, ConferenceSid: conference, CallSid: call(leg),
		SequenceNumber: seq, Kind: kind, OccurredAt: time.Unix(1_790_000_000+seq, 0),
		Params: events.Params{
			{Name: "FriendlyName", Value: "room"}, {Name: "ParticipantLabel", Value: "agent"},
		},
	}
	fillFlags(e)
	return e
}
