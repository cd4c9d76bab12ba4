package act_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"gavel/events"
	"gavel/handlers/act"
	"gavel/internal/twilio/twiliofake"
	"gavel/projections"
	"gavel/rules"
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

// store has one decision without an alarm, and a picture that fails or is filled at first.
type store struct {
	decided events.Decided
	reads   []error // of the picture, in order; then it has the record
	began   time.Time
	set     []time.Duration // when the alarm was set, since the start
}

func (s *store) Since(_ context.Context, _ time.Time, _ []string, fn func(events.Decided, bool) error) error {
	return fn(s.decided, true)
}

func (s *store) Conference(context.Context, events.Key) (stored projections.Stored, err error) {
	if len(s.reads) > 0 {
		err, s.reads = s.reads[0], s.reads[1:]
		return stored, err
	}
	return projections.Stored{Conference: &projections.Conference{}}, nil
}

func (s *store) Waits(context.Context, events.Key, string) (bool, error) { return len(s.set) > 0, nil }

func (s *store) Later(context.Context, events.Key, string, time.Time, []byte) error {
	s.set = append(s.set, time.Since(s.began))
	return nil
}

func TestASearchThatFailsDelaysALostAlarmByAMinute(t *testing.T) {
	t.Parallel()
	away := errors.New("the picture is away")
	for name, c := range map[string]struct {
		reads []error
		want  time.Duration
	}{
		"none fails":            {nil, 2 * time.Minute},
		"the first fails":       {[]error{away}, 3 * time.Minute},
		"two fail":              {[]error{away, away}, 4 * time.Minute},
		"the second fails":      {[]error{nil, away}, 3 * time.Minute},
		"the picture is filled": {[]error{projections.ErrFilling}, 3 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				data, err := json.Marshal(rules.Decision{Verdict: rules.Act})
				if err != nil {
					t.Fatal(err)
				}
				key := events.Key{AccountSid: "AC1", ConferenceSid: "CF1"}
				s := &store{decided: events.Decided{ID: "d", Key: key, Data: data}, began: time.Now()}
				for _, read := range c.reads {
					s.reads = append(s.reads, read)
				}
				ctx, stop := context.WithTimeout(t.Context(), time.Hour)
				defer stop()
				lost := act.Lost{Decisions: s, Alarms: s, Records: s, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
				if err := lost.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
				if want := []time.Duration{c.want}; !slices.Equal(s.set, want) {
					t.Errorf("set after %v, want %v", s.set, want)
				}
			})
		})
	}
}
