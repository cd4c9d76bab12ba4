package condition_test

import (
	"encoding/json"
	"errors"
	"testing"

	"gavel/events"
	"gavel/rules/condition"
)

// later is the call of the reference page half a minute later: a supervisor
// joined meanwhile, and only what was kept of the event is left.
func later(t *testing.T) condition.Vars {
	t.Helper()
	v := sample(t)
	c := &call{t: t, record: v.Conference, number: 90}
	c.event("10:03:20", events.ParticipantJoin, "CA00000000000000000000000000000003", "ParticipantLabel", "supervisor")
	return condition.Vars{
		Conference: c.record, Participant: c.record.Participant(customer),
		Now: at(t, "10:03:30"), Account: account,
	}
}

// recalled evaluates a condition half a minute later, with what was kept of the
// event, encoded and decoded as JSON.
func recalled(t *testing.T, text string) (bool, error) {
	t.Helper()
	c := compile(t, text)
	raw, err := json.Marshal(condition.Keep(sample(t), c))
	if err != nil {
		t.Fatal(err)
	}
	var kept condition.Kept
	if err := json.Unmarshal(raw, &kept); err != nil {
		t.Fatal(err)
	}
	v := later(t)
	v.Event = kept.Event()
	holds, _, err := condition.Recall(v, kept).HoldsUntil(c, v.Participant)
	return holds, err
}

func TestRecallKeepsTheEventAndReadsEverythingElseAgain(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		`event.kind == "participant-leave"`:                                                            true,
		`event.kind == "participant-leave" && size(conference.live) == 1`:                              false,
		`event.kind == "participant-leave" && size(conference.live) == 2`:                              true,
		`size(before.live) == 2 && size(conference.live) == 2`:                                         true,
		`size(before.live) == size(conference.live)`:                                                   true,
		`conference.live.exists(p, p.label == "supervisor")`:                                           true,
		`before.live.exists(p, p.label == "supervisor")`:                                               false,
		`!conference.live.exists(p, p.call_sid == event.call_sid)`:                                     true,
		`conference.participants.exists(p, p.label == event.param("ParticipantLabel"))`:                true,
		`event.occurred_at < conference.created`:                                                       false,
		`event.received_at - event.occurred_at == duration("0.5s") && size(conference.live) == 2`:      true,
		`event.sequence_number + size(conference.live) == 7`:                                           true,
		`participant in before.live && participant.hold`:                                               true,
		`before.live.exists(p, !conference.live.exists(q, q.call_sid == p.call_sid))`:                  true,
		`live(conference, "sup*").all(p, p in before.live)`:                                            false,
		`conference.live.filter(p, !(p in before.live)).all(p, p.label == "supervisor")`:               true,
		`participant.call_sid in before.live.map(p, p.call_sid)`:                                       true,
		`before.live.exists(p, has(p.joined) && p.joined == participant.joined && !has(p.left))`:       true,
		`alone_for(before) > duration("0s") || size(conference.live) == 0 || event.query == "a"`:       false,
		`conference.live.exists(event, event.label == "supervisor") && event.kind != ""`:               true,
		`event.kind == "participant-leave" ? size(conference.live) == 2 : size(conference.live) == 40`: true,
		`[event.kind, "x"].exists(k, k == "x") && account.startsWith("AC")`:                            true,
		`held_for(before.live[0]) > duration("1s") && held_for(participant) > duration("80s")`:         true,
	} {
		if got, err := recalled(t, text); err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", text, got, err, want)
		}
	}
}

// A part that had no value at the event has none later, and the rest decides as it did then.
func TestAPartWithoutAValueHasNoneLater(t *testing.T) {
	t.Parallel()
	const none = `int(event.query) == size(conference.live)`
	if _, err := recalled(t, none); !errors.Is(err, condition.ErrNoValue) {
		t.Errorf("%s: %v", none, err)
	}
	if holds, err := recalled(t, none+` || size(conference.live) == 2`); err != nil || !holds {
		t.Errorf("a condition that does not depend on it: %v, %v", holds, err)
	}
}

// A decision of an older version has no Kept; the condition is decided by everything else.
func TestWhatWasNotKeptIsUnknown(t *testing.T) {
	t.Parallel()
	v := later(t)
	leg := v.Participant
	v.Participant = nil
	for text, want := range map[string]error{
		`event.kind == "participant-leave"`:                                     condition.ErrNotKept,
		`event.kind == "participant-leave" && size(conference.live) == 2`:       condition.ErrNotKept,
		`event.kind == "participant-leave" && size(conference.live) == 1`:       nil,
		`conference.live.exists(p, p.label == event.param("ParticipantLabel"))`: condition.ErrNotKept,
		`size(before.live) == 1 && size(conference.live) == 1`:                  nil,
		`participant.label == "customer"`:                                       condition.ErrNotKept,
	} {
		holds, _, err := condition.Recall(v, nil).HoldsUntil(compile(t, text), nil)
		if holds || !errors.Is(err, want) {
			t.Errorf("%s: %v, %v, want %v", text, holds, err, want)
		}
	}
	if holds, _, err := condition.Recall(v, nil).HoldsUntil(compile(t, `participant.label == "customer"`), leg); err != nil || !holds {
		t.Errorf("with a participant: %v, %v", holds, err)
	}
}

// Of a participant as it was before the event, fields are kept but not functions.
func TestAFunctionOfAnEarlierParticipantIsUnknown(t *testing.T) {
	t.Parallel()
	const text = `before.live.exists(p, p.call_sid == participant.call_sid && held_for(p) > duration("1s"))`
	if _, err := recalled(t, text); !errors.Is(err, condition.ErrNotKept) {
		t.Errorf("%s: %v", text, err)
	}
}

// The participants of a large room are not copied into every decision about it.
func TestALongListIsNotKept(t *testing.T) {
	t.Parallel()
	c := compile(t, `participant in before.live && size(before.live) > 200`)
	v := sample(t)
	crowd := *v.Before
	crowd.Participants = nil
	for range 250 {
		crowd.Participants = append(crowd.Participants, v.Before.Participants[0])
	}
	v.Before = &crowd
	kept := condition.Keep(v, c)
	if string(kept["size(before.live) > 200"]) != `"true"` || kept["before.live"] != nil {
		t.Errorf("it keeps %s", kept)
	}
	if _, _, err := condition.Recall(later(t), kept).HoldsUntil(c, later(t).Participant); !errors.Is(err, condition.ErrNotKept) {
		t.Errorf("evaluated later: %v", err)
	}
}

// A check that is newer than a set in force must not refuse it: a condition whose parts about the
// event cannot be told from the rest is evaluated as ever at its event, and counts as not kept later.
func TestAConditionThatCannotBeSplitIsNotKept(t *testing.T) {
	t.Parallel()
	c := condition.Unsplit(compile(t, `event.kind == "participant-leave" && size(conference.live) == 1`))
	if holds, err := c.Holds(sample(t)); !holds || err != nil {
		t.Errorf("at its event: %v, %v", holds, err)
	}
	kept := condition.Keep(sample(t), c)
	v := later(t)
	v.Event = kept.Event()
	if _, _, err := condition.Recall(v, kept).HoldsUntil(c, v.Participant); !errors.Is(err, condition.ErrNotKept) {
		t.Errorf("later: %v", err)
	}
}
