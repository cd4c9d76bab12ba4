package lanes_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gavel/events"
	"gavel/lanes"
	"gavel/rules"
)

// ruleSets are the compiled rule sets of this host, by version.
type ruleSets map[string]*rules.Set

func (r ruleSets) Set(_ context.Context, version string) (*rules.Set, error) {
	if set := r[version]; set != nil {
		return set, nil
	}
	return nil, errors.New("unknown version")
}

// The host reads the journal, calls Step for each entry, and does what Ready
// contains. Here it loads a rule, folds a join, and wakes the conference later.
func ExampleMachine_Step() {
	ctx, nine := context.Background(), time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	set, err := rules.Parse(rules.File{
		Name: "rules.yaml",
		Text: `rules: [{name: orphan, mode: live, when: size(conference.live) == 1, for: 2m, do: [end: {}]}]`,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	machine, err := lanes.New(ruleSets{set.Version: set}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	room := events.Key{AccountSid: "AC25e16e9a716a4a8617a7c83f58e30482", ConferenceSid: "CFe08c870b500f6e44a9ad184defd1f391"}
	join := events.Entry{
		Source: events.SourceCallback, ReceivedAt: nine,
		Form: "AccountSid=" + room.AccountSid + "&ConferenceSid=" + room.ConferenceSid +
			"&StatusCallbackEvent=participant-join&SequenceNumber=1&Timestamp=Mon%2C+02+Mar+2026+09%3A00%3A00+%2B0000" +
			"&FriendlyName=support-7&CallSid=CA25e16e9a716a4a1786a7c83f58e30482" +
			"&Muted=false&Hold=false&Coaching=false&StartConferenceOnEnter=true&EndConferenceOnExit=false",
	}
	load := events.NewRulesLoaded(events.Load{ID: events.NewULID(), Version: set.Version, At: nine})
	// The load is about the lane as a whole, without a conference.
	conferences := map[events.Key]*lanes.Conference{room: {}}
	for i, raw := range []events.Entry{load, join, events.NewWake(room, nine.Add(2*time.Minute))} {
		e := lanes.Entry{Raw: raw, At: events.Position{Sequence: uint64(i + 1)}}
		if e.Event, err = events.ParseStored(raw); err != nil {
			fmt.Println(err)
			return
		}
		conference := conferences[e.Event.Key()]
		ready, err := machine.Step(ctx, &e, conference)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(e.Event.Kind)
		if !ready.Alarm.IsZero() {
			fmt.Println("  wake it at", ready.Alarm.Format(time.TimeOnly))
		}
		for _, d := range ready.Decisions {
			fmt.Println("  decision of the rule", d.Rule+":", d.Do)
		}
	}
	// Output:
	// gavel-rules-loaded
	// participant-join
	//   wake it at 09:02:00
	// gavel-wake
	//   decision of the rule orphan: end
}
