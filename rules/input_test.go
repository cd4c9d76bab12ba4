package rules_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gavel/events"
	"gavel/rules"
)

var (
	inputKey  = events.Key{AccountSid: "AC00000000000000000000000000000001", ConferenceSid: "CF00000000000000000000000000000001"}
	inputULID = "01J00000000000000000000000"
)

// What Judge gets for each kind of journal entry; "" is nothing.
func TestWhatJudgeGetsForEachKindOfEntry(t *testing.T) {
	t.Parallel()
	action := func(actor events.Actor) events.Action {
		return events.Action{
			ID: inputULID, Do: events.DoEnd, AccountSid: inputKey.AccountSid, ConferenceSid: inputKey.ConferenceSid, Actor: actor, At: nine,
		}
	}
	kate, rule := events.Actor{Sid: inputKey.AccountSid}, events.Actor{Rule: "orphan"}
	done := events.Outcome{Result: events.Done, Status: 200, At: nine}
	for name, c := range map[string]struct {
		entry        events.Entry
		fresh, twice string // what Judge gets the first time, and for a duplicate
	}{
		"wake":               {events.NewWake(inputKey, nine), "wake", "wake"},
		"reread":             {events.NewReread(inputKey, nine), "reread", "reread"},
		"exempted":           {events.NewExempted(events.Exemption{ID: inputULID, Key: inputKey, Rule: "orphan", Until: nine.Add(time.Hour), Actor: kate, At: nine}), "exempt orphan", "exempt orphan"},
		"loaded":             {events.NewRulesLoaded(events.Load{ID: inputULID, Version: "abc", At: nine}), "", ""},
		"match":              {events.NewMatch(events.Match{ID: inputULID, AccountSid: inputKey.AccountSid, Rule: "orphan", Decision: "{}"}, nine), "", ""},
		"dropped speech":     {events.NewSpeechDropped(inputULID, inputKey, [][2]int64{{1, 2}}, nine), "", ""},
		"healed":             {events.NewHealed(events.Healed{ID: inputULID, Key: inputKey, Fact: events.ConferenceEnd, Behind: 1, At: nine}), "fact", ""},
		"a person's intent":  {events.NewIntent(action(kate)), "fact", ""},
		"a person's outcome": {events.NewOutcome(action(kate), done), "fact", ""},
		"a rule's intent":    {events.NewIntent(action(rule)), "", ""},
		"a rule's outcome":   {events.NewOutcome(action(rule), done), "outcome done", ""},
	} {
		e, err := events.ParseStored(c.entry)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff([]string{c.fresh, c.twice}, []string{inputKind(&e, true), inputKind(&e, false)}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func inputKind(e *events.Event, fresh bool) string {
	in, used := rules.InputOf(e, fresh)
	switch {
	case !used:
		return ""
	case in.ID != e.ID || !in.At.Equal(e.ReceivedAt):
		return "another entry"
	case in.Fact != nil:
		return "fact"
	case in.Outcome != nil:
		return "outcome " + string(in.Outcome.Result)
	case in.Exemption != nil:
		return "exempt " + in.Exemption.Rule
	case in.Reread:
		return "reread"
	}
	return "wake"
}

// Every state that DecodeState accepts keeps its meaning when it is encoded and decoded again.
func FuzzDecodeState(f *testing.F) {
	f.Add([]byte(`{"now":"2026-03-02T09:00:00Z","alarm":"2026-03-02T09:02:00Z","stretches":[{"rule":"orphan","occasion":"join-1","since":"2026-03-02T09:00:00Z","phase":"running","attempt":1,"of":1,"due":"2026-03-02T09:02:00Z"}]}`))
	f.Add([]byte(`{"exemptions":[{"until":"2026-03-02T09:00:00Z"}]}`))
	f.Add([]byte(`null`))
	f.Add([]byte(`{"flips":[{"rule":"x","due":"0001-01-01T00:00:00Z"}],"truncated":true}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		state, err := rules.DecodeState(raw)
		if err != nil {
			return
		}
		once, err := rules.EncodeState(state)
		if err != nil {
			return // a year that JSON cannot express
		}
		again, err := rules.DecodeState(once)
		if err != nil {
			t.Fatalf("cannot read %s: %v", once, err)
		}
		twice, err := rules.EncodeState(again)
		if diff := cmp.Diff(string(once), string(twice)); err != nil || diff != "" {
			t.Errorf("%v (-once +twice):\n%s", err, diff)
		}
		state.Deadlines()
	})
}
