package condition_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gavel/events"
	"gavel/rules/condition"
)

func TestConditionsReadTheRecord(t *testing.T) {
	t.Parallel()
	vars := sample(t)
	for text, want := range map[string]bool{
		`conference.status == "in-progress" && size(conference.live) == 1`:  true,
		`conference.friendly_name.startsWith("vip-")`:                       false,
		`conference.live.all(p, p.label == "customer")`:                     true,
		`live(conference, "cust*").exists(p, held_for(p) > duration("1m"))`: false,
		`alone_for(conference) >= duration("30s")`:                          true,
		`alone_for(conference) > duration("30s")`:                           false,
		`duration("30s") <= alone_for(conference)`:                          true,
	} {
		if got, err := compile(t, text).Holds(vars); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}

// A missing field is empty and never an error: a rule must not fail because a label was not set.
func TestMissingFieldsAreEmpty(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`conference.friendly_name == "" && !has(conference.friendly_name)`,
		`conference.status == "" && size(conference.live) == 0`,
		`participant.label == "" && !has(participant.label) && !participant.hold`,
		`event.kind == "" && event.sequence_number == -1 && event.param("CallSid") == ""`,
		`before.sid == "" && !has(before.ended) && !has(before.started)`,
		`!has(participant.joined) && !has(participant.left) && !has(conference.created)`,
		`alone_for(conference) <= duration("0s") && held_for(participant) <= duration("0s")`,
		`waiting_for_moderator(conference) <= duration("0s") && duration(conference) <= duration("0s")`,
	} {
		if holds, err := compile(t, text).Holds(condition.Vars{}); err != nil || !holds {
			t.Errorf("%s: %v, %v", text, holds, err)
		}
	}
}

// The participant has been alone for 29 s: the comparison flips at 30 s, and
// the one with > a nanosecond later.
func TestHoldsUntilReturnsTheNextFlip(t *testing.T) {
	t.Parallel()
	var never time.Time
	vars := sample(t)
	vars.Now = at(t, "10:02:59")
	for text, want := range map[string]time.Time{
		`alone_for(conference) >= duration("30s")`:                                           at(t, "10:03:00"),
		`alone_for(conference) < duration("30s")`:                                            at(t, "10:03:00"),
		`alone_for(conference) > duration("30s")`:                                            at(t, "10:03:00").Add(1),
		`duration("30s") < alone_for(conference)`:                                            at(t, "10:03:00").Add(1),
		`duration("30s") >= alone_for(conference)`:                                           at(t, "10:03:00").Add(1),
		`alone_for(conference) > duration("29s")`:                                            at(t, "10:02:59").Add(1),
		`alone_for(conference) >= duration("29s")`:                                           never,
		`conference.live.exists(p, held_for(p) >= duration("2m"))`:                           at(t, "10:04:00"),
		`size(conference.live) == 1`:                                                         never,
		`waiting_for_moderator(conference) > duration("1m")`:                                 never,
		`waiting_for_moderator(conference, "agent-*") >= duration("1m")`:                     at(t, "10:03:30"),
		`duration(conference) >= duration("4h")`:                                             at(t, "14:00:00"),
		`duration(conference) >= duration("1h") || alone_for(conference) >= duration("40s")`: at(t, "10:03:10"),
		`duration(conference) >= duration("1h") && alone_for(conference) >= duration("40s")`: at(t, "11:00:00"),
		`size(conference.live) == 2 && alone_for(conference) >= duration("40s")`:             never,
		`duration(conference) >= duration("1m") && duration(conference) < duration("2h")`:    at(t, "12:00:00"),
	} {
		if _, flip, err := compile(t, text).HoldsUntil(vars); err != nil || !flip.Equal(want) {
			t.Errorf("%s flips at %v, want %v; %v", text, flip, want, err)
		}
	}
}

// What one condition read does not affect the next one, whatever its participant.
func TestOneReadingServesManyConditions(t *testing.T) {
	t.Parallel()
	vars := sample(t)
	shared := condition.Read(vars)
	for _, text := range []string{
		`size(conference.live) == 1 && conference.live.exists(p, p.call_sid == participant.call_sid)`,
		`alone_for(conference) >= duration("5h")`,
		`held_for(participant) >= duration("5h")`,
		`participant.live && conference.live.all(p, held_for(p) < duration("5h"))`,
	} {
		c := compile(t, text)
		for _, p := range vars.Conference.Participants {
			alone := vars
			alone.Participant = p
			want, wantFlip, _ := c.HoldsUntil(alone)
			if got, flip, err := shared.HoldsUntil(c, p); err != nil || got != want || !flip.Equal(wantFlip) {
				t.Errorf("%s for %s is %v until %v, and in a reading of its own %v until %v; %v", text, p.CallSid, got, flip, want, wantFlip, err)
			}
		}
	}
}

// A caller that evaluates again at the first flip, and only then, misses no
// change: the test compares with an evaluation every second.
func TestTheFirstFlipIsNeverTooLate(t *testing.T) {
	t.Parallel()
	c := compile(t, `(alone_for(conference) >= duration("40s") && held_for(participant) < duration("3m"))
		|| (duration(conference) > duration("10m") && conference.live.exists(p, held_for(p) > duration("12m")))`)
	vars := sample(t)
	next, changes := time.Time{}, 0
	holds, _ := c.Holds(vars)
	for end := vars.Now.Add(20 * time.Minute); vars.Now.Before(end); vars.Now = vars.Now.Add(time.Second) {
		now, err := c.Holds(vars)
		if err != nil {
			t.Fatal(err)
		}
		if now != holds {
			changes++
			if next.IsZero() || next.After(vars.Now) {
				t.Errorf("changed to %v at %s, expected at %s", now, vars.Now, next)
			}
		}
		holds = now
		_, next, _ = c.HoldsUntil(vars)
	}
	if changes != 3 {
		t.Errorf("%d changes, want 3", changes)
	}
}

// The customer left at 10:02:40, and the next event of that leg is at 10:02:50: its join event was
// lost. Since when the customer has been back is unknown, so the time alone must not begin earlier.
func TestALostJoinDoesNotLengthenTheTimeAlone(t *testing.T) {
	t.Parallel()
	vars := sample(t)
	c := &call{t: t, record: vars.Conference, number: 6}
	c.event("10:02:40", events.ParticipantLeave, customer, "ParticipantLabel", "customer")
	c.event("10:02:50", events.ParticipantMute, customer, "ParticipantLabel", "customer")
	vars.Conference = c.record
	if holds, err := compile(t, `alone_for(conference) <= duration("10s")`).Holds(vars); err != nil || !holds {
		t.Errorf("alone for too long: %v", err)
	}
	if _, flip, err := compile(t, `alone_for(conference) >= duration("1m")`).HoldsUntil(vars); err != nil || !flip.Equal(at(t, "10:03:50")) {
		t.Errorf("flips at %v, %v", flip, err)
	}
}

func TestAnEndedConferenceHasNoFlip(t *testing.T) {
	t.Parallel()
	vars := sample(t)
	c := &call{t: t, record: vars.Conference, number: 6}
	c.event("10:02:40", events.ConferenceEnd, "", "ReasonConferenceEnded", "last-participant-left")
	vars.Conference, vars.Now = c.record, at(t, "11:00:00")
	for _, text := range []string{
		`duration(conference) <= duration("160s") && duration(conference) >= duration("160s")`,
		`alone_for(conference) <= duration("0s") && held_for(participant) <= duration("0s")`,
		`waiting_for_moderator(conference, "agent-*") <= duration("0s")`,
		`size(conference.live) == 0 && conference.reason_conference_ended == "last-participant-left"`,
	} {
		if holds, flip, err := compile(t, text).HoldsUntil(vars); err != nil || !holds || !flip.IsZero() {
			t.Errorf("%s: %v until %v, %v", text, holds, flip, err)
		}
	}
}

func TestFaultsHaveAMessageAndAPlace(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]condition.Fault{
		`conference.stat == "init"`:                                {1, 10, "undefined field 'stat'", 0},
		`confernce.live == 1`:                                      {1, 0, "undeclared reference to 'confernce' (did you mean 'conference'?)", 0},
		`size(conference.live)`:                                    {1, 0, "a condition must be true or false; this is of type int", 0},
		`size(conference.live) == "one"`:                           {1, 22, "found no matching overload for '==' applied to '(int, string)'", 0},
		`now > conference.created`:                                 {1, 0, "now is not allowed in a condition, because the moment of its next evaluation is unknown; write `for`, or compare one of alone_for, held_for, waiting_for_moderator, duration with a constant", 0},
		"true &&\n  alone_for(conference) > held_for(participant)": {2, 11, `alone_for must be compared with a constant by <, <=, > or >=, as in alone_for(conference) > duration("2m")`, 0},
		`alone_for(conference) == duration("2m")`:                  {1, 9, `alone_for must be compared with a constant by <, <=, > or >=, as in alone_for(conference) > duration("2m")`, 0},
		`duration("two minutes") > duration("1m")`:                 {1, 9, "invalid duration argument", 0},
		`conference.friendly_name.matches("[")`:                    {1, 33, "invalid matches argument", 0},
		`dyn(conference).live == 1`:                                {1, 3, "dyn is not allowed, because it hides what the condition reads", 0},
		`Conference{sid: "CF"} == conference`:                      {1, 10, "conferences and participants cannot be constructed", 0},
		`true &&`:                                                  {1, 7, "Syntax error: mismatched input '<EOF>'", 0},
	} {
		_, faults := condition.Compile(text)
		if len(faults) == 0 {
			t.Errorf("%s: no fault", text)
			continue
		}
		if diff := cmp.Diff(want, faults[0]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

// Two nested loops over all participants of a large conference are allowed.
// Three would delay all other conferences.
func TestATooExpensiveConditionIsRefusedAtLoad(t *testing.T) {
	t.Parallel()
	compile(t, `conference.live.exists(a, conference.live.exists(b, a.hold && b.muted))`)
	compile(t, `conference.live.exists(a, conference.live.exists(b, a.call_sid != b.call_sid))`)
	for _, text := range []string{
		`conference.live.exists(a, conference.live.exists(b, conference.live.exists(c, a.hold && b.muted && c.live)))`,
		`conference.live.exists(a, conference.live.exists(b, a.label == b.label))`,
		strings.Repeat(`conference.friendly_name == "x" || `, 200) + "true",
	} {
		if _, faults := condition.Compile(text); len(faults) != 1 {
			t.Errorf("%.60s: %v", text, faults)
		}
	}
}

func TestAnErrorNeverQuotesTheRecord(t *testing.T) {
	t.Parallel()
	vars := sample(t)
	_, err := compile(t, `int(conference.friendly_name) > 0`).Holds(vars)
	if !errors.Is(err, condition.ErrNoValue) || strings.Contains(err.Error(), "support") {
		t.Errorf("condition: %v", err)
	}
	x, faults := condition.CompileText(`${int(conference.friendly_name)}`)
	if faults != nil {
		t.Fatal(faults)
	}
	if _, err = x.Text(vars); !errors.Is(err, condition.ErrNoValue) || strings.Contains(err.Error(), "support") {
		t.Errorf("text: %v", err)
	}
}

func TestAnErrorHasItsCauseInWordsOfItsOwn(t *testing.T) {
	t.Parallel()
	vars := sample(t)
	for text, want := range map[string]string{
		`int(conference.friendly_name) > 0`:                               "a text cannot be converted",
		`timestamp(conference.friendly_name) < conference.created`:        "a text cannot be converted",
		`1 / size(conference.recordings.filter(r, r.status == "x")) == 1`: "it divides by zero",
		`conference.live[99].hold`:                                        "a list has no such item",
		`{"a": true}[conference.friendly_name]`:                           "a map has no such key",
	} {
		if _, err := compile(t, text).Holds(vars); !errors.Is(err, condition.ErrNoValue) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestUsesReportsTheVariablesOfACondition(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][3]bool{ // event, before, participant
		`conference.live.exists(p, p.hold)`:         {},
		`event.kind == "participant-leave"`:         {true, false, false},
		`size(before.live) > size(conference.live)`: {false, true, false},
		`participant.hold`:                          {false, false, true},
	} {
		c := compile(t, text)
		if got := [3]bool{c.Uses("event"), c.Uses("before"), c.Uses("participant")}; got != want {
			t.Errorf("%s reads %v", text, got)
		}
	}
}

func TestComparisonsWithEventKindLimitTheEvents(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]condition.Kinds{
		`event.kind == "participant-leave" && participant.hold`:                                    condition.KindsOf(events.ParticipantLeave),
		`"participant-leave" == event.kind`:                                                        condition.KindsOf(events.ParticipantLeave),
		`event.kind in ["participant-leave", "conference-end"]`:                                    condition.KindsOf(events.ParticipantLeave, events.ConferenceEnd),
		`event.kind == "participant-leave" || event.kind == "participant-wave"`:                    condition.KindsOf(events.ParticipantLeave, condition.Unknown),
		`event.kind == "participant-leave" || participant.hold`:                                    condition.Known,
		`event.kind != "participant-leave"`:                                                        condition.Known,
		`event.kind == "conference-start" && event.kind in ["conference-end"]`:                     {},
		`(event.kind == "conference-end" || event.kind == "conference-start") && participant.hold`: condition.KindsOf(events.ConferenceEnd, events.ConferenceStart),
	} {
		if diff := cmp.Diff(want, compile(t, text).HoldsAt); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestLikeMatchesStars(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"agent-*", "agent-ana", true},
		{"agent-*", "agent-", true},
		{"agent-*", "the agent-ana", false},
		{"*-ana", "agent-ana", true},
		{"a*a", "a", false},
		{"a*a", "aa", true},
		{"*", "", true},
		{"", "", true},
		{"", "x", false},
		{"a*b*c", "a1b2c", true},
		{"a*b*c", "acb", false},
		{"*b*b*", "abba", true},
		{"*b*b*b*", "abba", false},
		{"Agent-*", "agent-ana", false},
	} {
		if got := condition.Like(c.pattern, c.text); got != c.want {
			t.Errorf("%q like %q: %v", c.text, c.pattern, got)
		}
	}
}
