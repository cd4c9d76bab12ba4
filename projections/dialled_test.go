package projections_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"gavel/events"
	"gavel/projections"
)

// answered is the record's own entry, as the journal has it.
func answered(t *testing.T, entry events.Entry) events.Event {
	t.Helper()
	e, err := events.Parse(entry)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// dialledLeg is leg n, called at second 1 with a Timeout of 20 s.
func dialledLeg(t *testing.T, n int) events.Event {
	t.Helper()
	return answered(t, events.NewDialled(events.Dialled{
		ID: events.NewULID(), Key: events.Key{AccountSid: account, ConferenceSid: conference}, CallSid: call(n), Status: "queued",
		Flags: "muted&coaching", Label: "boss", Coach: call(1), Timeout: 20 * time.Second, At: time.Unix(1_790_000_001, 0),
	}))
}

func TestALegIsDialledUntilItJoinedOrLeftOrRangForTooLong(t *testing.T) {
	t.Parallel()
	const answeredAt = 1_790_000_001
	for what, c := range map[string]struct {
		then  []events.Event
		after projections.Instant // the answer
		want  int
	}{
		"it rings":               {nil, 24, 1},
		"it rang for too long":   {nil, 25, 0},
		"it joined":              {[]events.Event{*participantEvent(4, events.ParticipantJoin, 2)}, 3, 0},
		"it left":                {[]events.Event{*participantEvent(4, events.ParticipantLeave, 2)}, 3, 0},
		"another joined":         {[]events.Event{*participantEvent(4, events.ParticipantJoin, 3)}, 3, 1},
		"the conference ended":   {[]events.Event{*participantEvent(4, events.ConferenceEnd, 3)}, 3, 0},
		"a client removed it":    {[]events.Event{kicked(t, events.Done)}, 3, 0},
		"a client may remove it": {[]events.Event{kicked(t, events.Unknown)}, 3, 1},
	} {
		story := slices.Concat([]events.Event{*participantEvent(1, events.ParticipantJoin, 1), dialledLeg(t, 2)}, c.then)
		for range 2 {
			record := foldAll(t, story)
			if got := len(record.Dialling(answeredAt + c.after)); got != c.want {
				t.Errorf("%s: %d legs are dialled, want %d", what, got, c.want)
			}
			if live := len(record.Live()); live > 2 || record.StatedStatus() == projections.StatusInProgress && live < 2 {
				t.Errorf("%s: a leg that is dialled is company", what)
			}
			slices.Reverse(story)
		}
	}
}

func kicked(t *testing.T, result events.Result) events.Event {
	t.Helper()
	a := events.Action{
		ID: events.NewULID(), Do: events.DoKick, AccountSid: account, ConferenceSid: conference, CallSid: call(2),
		Actor: events.Actor{Sid: account}, At: time.Unix(1_790_000_002, 0),
	}
	return answered(t, events.NewOutcome(a, events.Outcome{Result: result, At: a.At}))
}

// The last leg leaves while another one rings: the conference goes on, as at Twilio.
func TestAConferenceIntoWhichALegIsDialledHasNotEnded(t *testing.T) {
	t.Parallel()
	for second, want := range map[int64]string{20: projections.StatusInit, 40: projections.StatusCompleted} {
		story := []events.Event{
			*participantEvent(1, events.ParticipantJoin, 1), dialledLeg(t, 2), *participantEvent(second, events.ParticipantLeave, 1),
		}
		if got := foldAll(t, story).Status(); got != want {
			t.Errorf("the last leg left in second %d: the status is %s, want %s", second, got, want)
		}
	}
}

// No callback carries the leg that is coached: it is what Twilio's API last answered, unless the
// leg was changed since.
func TestTheCoachedLegIsThatOfTheLastAnswer(t *testing.T) {
	t.Parallel()
	coaching := func(seq int64, kind events.Kind, is string) events.Event {
		e := *participantEvent(seq, kind, 2)
		e.Params = append(slices.DeleteFunc(slices.Clone(e.Params), func(p events.Param) bool { return p.Name == "Coaching" }), events.Param{Name: "Coaching", Value: is})
		return e
	}
	healed := func(seq int64, coach string) events.Event {
		return answered(t, events.NewHealed(events.Healed{
			ID: events.NewULID(), Key: events.Key{AccountSid: account, ConferenceSid: conference}, Fact: events.ParticipantModify,
			CallSid: call(2), Flags: "coaching", Coach: coach, Behind: seq, At: time.Unix(1_790_000_000+seq, 0),
		}))
	}
	join := coaching(2, events.ParticipantJoin, "true")
	for what, c := range map[string]struct {
		story []events.Event
		want  string
	}{
		"it joined by TwiML":             {[]events.Event{join}, ""},
		"it was dialled":                 {[]events.Event{dialledLeg(t, 2), join}, call(1)},
		"a write was answered":           {[]events.Event{join, healed(9, call(3)), coaching(10, events.ParticipantModify, "true")}, call(3)},
		"two writes were answered":       {[]events.Event{join, healed(9, call(3)), healed(15, call(4))}, call(4)},
		"it was held since":              {[]events.Event{join, healed(9, call(3)), coaching(40, events.ParticipantHold, "true")}, call(3)},
		"it was changed otherwise since": {[]events.Event{join, healed(9, call(3)), coaching(40, events.ParticipantModify, "true")}, ""},
		"it stopped":                     {[]events.Event{join, healed(9, call(3)), coaching(10, events.ParticipantModify, "false")}, ""},
	} {
		for range 2 {
			record := foldAll(t, c.story)
			if got := record.Participant(call(2)).Coached(); got != c.want {
				t.Errorf("%s: it coaches %q, want %q", what, got, c.want)
			}
			slices.Reverse(c.story)
		}
	}
}

func TestWhatWasFetchedAfterTheEndFillsWhatNoCallbackStated(t *testing.T) {
	t.Parallel()
	fetched := answered(t, events.NewFetched(events.Fetched{
		ID: events.NewULID(), Key: events.Key{AccountSid: account, ConferenceSid: conference},
		Region: "ie1", Reason: projections.EndedByLastLeft, CallSid: call(1), At: time.Unix(1_790_000_020, 0),
	}))
	end := func(reason string) events.Event {
		e := *participantEvent(9, events.ConferenceEnd, 1)
		e.CallSid, e.Params = "", events.Params{{Name: "ReasonConferenceEnded", Value: reason}}
		return e
	}
	join := *participantEvent(1, events.ParticipantJoin, 1)
	for reason, want := range map[string]string{"": projections.EndedByLastLeft, projections.EndedViaAPI: projections.EndedViaAPI} {
		story := []events.Event{join, end(reason), fetched}
		for range 2 {
			record := foldAll(t, story)
			shown := projections.AppendConference(nil, record)
			if !bytes.Contains(shown, []byte(`"region":"ie1"`)) || !bytes.Contains(shown, []byte(`"reason_conference_ended":"`+want+`"`)) {
				t.Errorf("with the reason %q it is shown as %s", reason, shown)
			}
			if record.End.Reason != reason {
				t.Errorf("rules read the reason %q, want that of the callback: %q", record.End.Reason, reason)
			}
			slices.Reverse(story)
		}
	}
	if got := projections.EndedBy(foldAll(t, []events.Event{join, end(""), fetched})); got != "agent" {
		t.Errorf("it was ended by %q", got)
	}
	before := projections.AppendConference(nil, foldAll(t, []events.Event{join, end("")}))
	if !bytes.Contains(before, []byte(`"region":null`)) || !bytes.Contains(before, []byte(`"reason_conference_ended":null`)) {
		t.Errorf("before the fetch it is shown as %s", before)
	}
}

// A client holds a leg, and releases it within the same second: the later answer counts, in whatever
// order the entries arrive.
func TestOfTwoAnswersWithinASecondTheLaterOneCounts(t *testing.T) {
	t.Parallel()
	nine := time.Unix(1_790_000_009, 0)
	held := func(flags string, after time.Duration) events.Event {
		return answered(t, events.NewHealed(events.Healed{
			ID: events.NewULID(), Key: events.Key{AccountSid: account, ConferenceSid: conference}, Fact: events.ParticipantModify,
			CallSid: call(1), Flags: flags, Behind: 1, At: nine.Add(after),
		}))
	}
	for what, c := range map[string]struct {
		first, second string
		hold          bool
	}{"held and released": {"hold", "", false}, "released and held": {"", "hold", true}} {
		story := []events.Event{*participantEvent(1, events.ParticipantJoin, 1), held(c.first, 100*time.Millisecond), held(c.second, 101*time.Millisecond)}
		for range 2 {
			record := foldAll(t, story)
			p := record.Participant(call(1))
			holds := record.Holds(p)
			if held := len(holds) > 0 && holds[len(holds)-1].Until == 0; p.Flags.Value.Hold != c.hold || held != c.hold {
				t.Errorf("%s: hold is %t, and its intervals are %v", what, p.Flags.Value.Hold, holds)
			}
			slices.Reverse(story)
		}
	}
}

func TestTheNameOfARoomThatALegOpensIsKnownBeforeTheFirstCallback(t *testing.T) {
	t.Parallel()
	dialled := answered(t, events.NewDialled(events.Dialled{
		ID: events.NewULID(), Key: events.Key{AccountSid: account, ConferenceSid: conference}, CallSid: call(2), Status: "queued",
		Timeout: 20 * time.Second, At: time.Unix(1_790_000_001, 0), FriendlyName: "support/5 & co",
	}))
	if got := foldAll(t, []events.Event{dialled}).FriendlyName.Value; got != "support/5 & co" {
		t.Errorf("the name is %q", got)
	}
	story := []events.Event{dialled, *participantEvent(0, events.ParticipantJoin, 2)}
	for range 2 {
		if got := foldAll(t, story).FriendlyName.Value; got != "room" {
			t.Errorf("the name %q is not that of the callback", got)
		}
		slices.Reverse(story)
	}
}
