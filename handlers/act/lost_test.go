package act_test

import (
	"log/slog"
	"testing"

	"gavel/handlers/act"
	"gavel/internal/twilio/twiliofake"
)

// The performer of this world has its alarms elsewhere, so GAVEL_LATER lacks that of a decision that
// waits, as after damage.
func TestADecisionWhoseAlarmIsLostGetsAnother(t *testing.T) {
	t.Parallel()
	w, r := stoppedOrphan(t)
	lost := act.Lost{Decisions: w.bus.Actions(), Alarms: w.bus.Timers(), Records: w.store, Now: w.clock.Now, Log: slog.New(slog.DiscardHandler)}
	var suspects map[string]bool
	search := func() int {
		t.Helper()
		var err error
		suspects, err = lost.Search(t.Context(), suspects)
		w.must(err)
		return len(suspects)
	}
	// The acknowledgement of the decision may still be on its way.
	w.await("the first search", func() bool { return search() == 1 })
	var id string
	for id = range suspects {
		if waits, err := w.bus.Timers().Waits(t.Context(), r.record().Key(), id); waits || err != nil {
			t.Errorf("after one search it waits: %v, %v", waits, err)
		}
	}
	if n := search(); n != 0 {
		t.Errorf("%d suspects after the second search", n)
	}
	if waits, err := w.bus.Timers().Waits(t.Context(), r.record().Key(), id); !waits || err != nil {
		t.Errorf("after two searches it waits: %v, %v", waits, err)
	}
	w.resume()
	r.ends("end done")
	if n := search() + search(); n != 0 {
		t.Errorf("%d suspects with an outcome", n)
	}
	if got := w.fake.Tally(twiliofake.EndConference).Asked; got != 1 {
		t.Errorf("%d requests", got)
	}
}
