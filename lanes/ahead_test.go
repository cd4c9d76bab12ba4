package lanes_test

import (
	"testing"
	"time"

	"gavel/events"
	"gavel/lanes"
	"gavel/rules"
)

// A host whose clock is an hour ahead stamps a wake-up, or receives a callback. The time when NATS
// stored the entry counts for rules then: a running `for` must not end because of a clock.
func TestAStampAheadOfTheJournalFiresNothing(t *testing.T) {
	t.Parallel()
	for _, ahead := range []struct {
		by     time.Duration
		counts time.Duration // from nine
	}{
		{0, time.Minute}, {1900 * time.Millisecond, time.Minute + 1900*time.Millisecond}, {time.Hour, time.Minute},
	} {
		for _, kind := range []events.Kind{events.Wake, events.ParticipantMute} {
			h := newHost(t, nil)
			set, err := rules.Parse(rules.File{Name: "rules.yaml", Text: `rules: [{name: alone, when: size(conference.live) == 1, for: 10m, do: [end: {}]}]`})
			h.must(err)
			h.sets[set.Version] = set
			var room lanes.Conference
			var read lanes.Reader
			sequence := uint64(0)
			step := func(after time.Duration, e events.Entry) (decided int) {
				sequence++
				read.Reset()
				read.Read(events.Group{Sequence: sequence, Stored: began.Add(after), Data: events.AppendEntry(nil, e)}, true)
				for i := range read.Entries {
					c := &room
					if read.Entries[i].Event.ConferenceSid == "" {
						c = nil
					}
					r, err := h.machine.Step(t.Context(), &read.Entries[i], c)
					h.must(err)
					decided += len(r.Decisions)
				}
				return decided
			}
			step(0, events.NewRulesLoaded(events.Load{ID: events.NewULID(), Version: set.Version, At: began}))
			step(0, h.callback(began, []string{"room", "participant-join", "anna"}))
			stamp := began.Add(time.Minute + ahead.by)
			e := events.NewWake(h.room("room"), stamp)
			if kind != events.Wake {
				e = h.callback(began.Add(time.Minute), []string{"room", string(kind), "anna"})
				e.ReceivedAt = stamp
			}
			if decided := step(time.Minute, e); decided > 0 {
				t.Errorf("%s, %s ahead: %d decisions after a minute of ten", kind, ahead.by, decided)
			}
			if want := began.Add(ahead.counts); !room.Rules.Now.Equal(want) {
				t.Errorf("%s, %s ahead: the conference's time is %s, want %s", kind, ahead.by, room.Rules.Now, want)
			}
			if counted := read.Stamps == 1; counted != (ahead.by == time.Hour) {
				t.Errorf("%s, %s ahead: counted is %t", kind, ahead.by, counted)
			}
		}
	}
}
