package condition

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gavel/events"
	"gavel/projections"
)

// White box, because randomEvent is. What is shared over participants, over conditions and from one
// record to the next is compared with evaluating each condition for each participant on its own.

// leaves are conditions with and without shared parts; some have no value in some rooms, and some
// change with time. p is the variable of a loop around them, or the participant.
var leaves = []string{
	"%s.hold", "!%s.muted", `%s.label.like("x*")`, "%s.live", `int(%s.label) > 1`, `has(%s.left)`,
	`held_for(%s) > duration("5s")`, `%s.label == conference.friendly_name`, "%s in conference.live",
	`size(conference.live) > 1`, `conference.live[1].muted`, `10 / size(conference.live) > 4`,
	`conference.status == "in-progress"`, `size(live(conference, "x")) == 1`, `account == "AC1"`,
	`alone_for(conference) >= duration("3s")`, `duration(conference) < duration("20s")`,
	`waiting_for_moderator(conference, "x*") > duration("2s")`, `size(before.live) == 1`,
	`event.kind == "participant-leave"`, `event.call_sid == %s.call_sid`, `%s == conference.live[0]`,
	`conference.live.map(q, q.label).exists(l, l == %s.label)`, `conference.participants.all(q, q.hold)`,
	`conference.live.exists_one(q, q.end_conference_on_exit)`, `conference.recordings.exists(r, r.duration == 2)`,
	`conference.live.filter(q, q.muted) == []`, `conference.live.filter(q, q.muted) == conference.live`,
	`conference.live.filter(q, q.muted)[0].hold`, `[conference.live, conference.participants].exists(l, size(l) == 2)`,
	`conference.live.exists(q, q.muted && %s.hold)`, `conference.live.filter(q, q.live).all(q, q.hold || %s.muted)`,
	`size(conference.live.map(q, {"label": q.label, "n": size(conference.live)})) == 1`,
}

// randomCondition draws a condition about of.
func randomCondition(t *rapid.T, of string, depth int) string {
	kinds := 6
	if depth == 0 {
		kinds = 1
	}
	inner := func() string { return randomCondition(t, of, depth-1) }
	switch rapid.IntRange(0, kinds-1).Draw(t, "form") {
	case 1:
		return fmt.Sprintf("(%s && %s)", inner(), inner())
	case 2:
		return fmt.Sprintf("(%s || %s)", inner(), inner())
	case 3:
		return "!" + inner()
	case 4:
		return fmt.Sprintf("(%s ? %s : %s)", inner(), inner(), inner())
	case 5:
		if variable := "p" + of; len(variable) < len("pppparticipant") {
			loop := rapid.SampledFrom([]string{"exists", "all", "exists_one"}).Draw(t, "loop")
			return fmt.Sprintf("conference.live.%s(%s, %s)", loop, variable, randomCondition(t, variable, depth-1))
		}
	}
	leaf := rapid.SampledFrom(leaves).Draw(t, "leaf")
	if !slices.Contains([]byte(leaf), '%') {
		return leaf
	}
	return fmt.Sprintf(leaf, of)
}

func randomConditions(t *rapid.T) (all []*Condition) {
	for range rapid.IntRange(1, 5).Draw(t, "conditions") {
		text := randomCondition(t, "participant", 3)
		c, faults := Compile(text)
		if c == nil {
			t.Skip(text, faults)
		}
		if rapid.Bool().Draw(t, "repeats") {
			c.Repeats()
		}
		all = append(all, c)
	}
	return all
}

// randomRooms draws a record before and after an event, and the variables of its conditions.
func randomRooms(t *rapid.T) (before *projections.Conference, v Vars) {
	for i := range rapid.IntRange(1, 40).Draw(t, "events") {
		e := randomEvent(t, i)
		after, _, err := projections.Fold(v.Conference, e)
		if err != nil {
			t.Fatal(err)
		}
		v = Vars{Conference: after, Before: v.Conference, Event: e, Account: "AC1"}
	}
	v.Now = clock.Add(time.Duration(rapid.IntRange(0, 70).Draw(t, "now")) * time.Second)
	return v.Before, v
}

// outcome is what HoldsUntil returns, to be compared.
func outcome(holds bool, flip time.Time, err error) string {
	return fmt.Sprint(holds, " until ", flip, ", error: ", err != nil, " ", errors.Is(err, ErrNoValue))
}

func checkSharing(t *rapid.T) {
	conditions := randomConditions(t)
	_, v := randomRooms(t)
	reading := Read(v)
	legs := append([]*projections.Participant{nil}, v.Conference.Participants...)
	for range rapid.IntRange(1, 12).Draw(t, "evaluations") {
		c, p := rapid.SampledFrom(conditions).Draw(t, "condition"), rapid.SampledFrom(legs).Draw(t, "leg")
		alone := v
		alone.Participant = p
		want := outcome(Unshared(c).HoldsUntil(alone))
		if got := outcome(reading.HoldsUntil(c, p)); got != want {
			t.Fatalf("%s is %s, but alone it is %s", c, got, want)
		}
	}
}

func TestAConditionHasTheSameValueWithSharedParts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, checkSharing)
}

// FuzzShare draws conditions and rooms from the bytes of the fuzzer.
func FuzzShare(f *testing.F) { f.Fuzz(rapid.MakeFuzz(checkSharing)) }

// Steady promises that nothing has to be judged again for legs that are as before.
func TestASteadyConditionIsAsBeforeForLegsThatAreAsBefore(t *testing.T) {
	t.Parallel()
	steadily, unsteadily := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		conditions := randomConditions(t)
		before, v := randomRooms(t)
		if before == nil || before.End != v.Conference.End {
			return
		}
		was := v
		was.Conference, was.Before, was.Event = before, nil, nil
		now, then, changed := Read(v), Read(was), Changed(before, v.Conference)
		for _, c := range conditions {
			if changed&Life != 0 || !now.Steady(c, then, changed) {
				unsteadily++
				continue
			}
			steadily++
			for _, p := range v.Conference.Participants {
				if !slices.Contains(before.Participants, p) {
					continue
				}
				if got, want := outcome(now.HoldsUntil(c, p)), outcome(then.HoldsUntil(c, p)); got != want {
					t.Fatalf("%s was %s, and is %s for a leg that is as before", c, want, got)
				}
			}
		}
	})
	if steadily == 0 || unsteadily == 0 {
		t.Errorf("%d conditions were steady, %d were not", steadily, unsteadily)
	}
}

// What makes a condition steady or not, one reason at a time: one of three legs is muted.
func TestWhatKeepsAConditionSteady(t *testing.T) {
	t.Parallel()
	var before *projections.Conference
	fold := func(record *projections.Conference, e *events.Event, leg int) *projections.Conference {
		e.CallSid = testCalls[leg]
		after, _, err := projections.Fold(record, e)
		if err != nil {
			t.Fatal(err)
		}
		return after
	}
	flags := events.Params{{Name: "Muted", Value: "false"}}
	for leg := range testCalls {
		before = fold(before, legEvent(events.ParticipantJoin, int64(leg+1), flags), leg)
	}
	muted := fold(before, legEvent(events.ParticipantMute, 10, events.Params{{Name: "Muted", Value: "true"}}), 0)
	second := fold(muted, legEvent(events.ParticipantMute, 11, events.Params{{Name: "Muted", Value: "true"}}), 1)
	left := before
	for leg := range testCalls[1:] {
		left = fold(left, legEvent(events.ParticipantLeave, int64(20+leg), nil), leg+1)
	}
	almost := fold(left, legEvent(events.ParticipantJoin, 40, flags), 1)
	for _, row := range []struct {
		text          string
		before, after *projections.Conference
		want          bool
	}{
		{`participant.muted`, before, muted, true},
		{`participant.hold && conference.live.exists(p, p.hold)`, before, muted, true},
		{`participant.live && conference.live.exists(p, p.muted)`, before, muted, false},
		{`participant.live && conference.live.exists(p, p.muted)`, muted, second, true},
		{`conference.live.exists(p, p.muted)`, before, muted, false},
		{`conference.live.exists(p, p.muted)`, muted, second, true},
		{`participant.live && int(conference.friendly_name) == size(conference.live.filter(p, p.muted))`, muted, second, false},
		{`conference.live.exists(p, p.muted && participant.live)`, before, muted, false},
		{`participant in conference.live.filter(p, p.muted)`, before, muted, false},
		{`participant.muted && size(before.live) == 1`, before, muted, false},
		{`participant.muted && event.kind != ""`, before, muted, false},
		{`participant.live && size(conference.live) < 9`, before, left, true},
		{`participant.live && alone_for(conference) > duration("1h")`, almost, left, false},
		{`participant.live && alone_for(conference) > duration("1h")`, before, muted, true},
	} {
		c, faults := Compile(row.text)
		if faults != nil {
			t.Fatal(row.text, faults)
		}
		now := clock.Add(time.Minute)
		is, was := Read(Vars{Conference: row.after, Now: now}), Read(Vars{Conference: row.before, Now: now})
		if got := is.Steady(c, was, Changed(row.before, row.after)); got != row.want {
			t.Errorf("%s is steady: %v, want %v", row.text, got, row.want)
		}
	}
}

// A part is found in every condition that has it, whatever else these read.
func TestPartsAreSharedByTheirText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		`!participant.hold && conference.live.exists(p, p.label.like("agent-*"))`: {`conference.live.exists(p, p.label.like("agent-*"))`},
		`conference.live.exists(p, p.label == participant.label)`:                 {`conference.live`},
		`participant.live`:                                             nil,
		`size(conference.live) == 1`:                                   nil,
		`participant.live && size(conference.live) == 1`:               {`size(conference.live) == 1`},
		`conference.live.all(p, p.hold) || size(conference.live) == 1`: {`conference.live.all(p, p.hold)`},
		`conference.live.exists(p, p.hold && conference.live.all(q, q.muted || p.muted) && size(conference.live) == 2 && participant.live)`: {
			`conference.live`, `size(conference.live) == 2`,
		},
		`participant.label in ["a", "b"]`: nil,
	} {
		c, faults := Compile(text)
		if faults != nil {
			t.Fatal(text, faults)
		}
		var got []string
		for name := range maps.Keys(c.sharing.parts) {
			got = append(got, name[len(sharedMark):])
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s shares %q, want %q", text, got, want)
		}
	}
}
