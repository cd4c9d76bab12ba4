package brakes_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"gavel/internal/brakes"
	"gavel/rules"
)

func TestARuleActsUpToItsLimitPerMinute(t *testing.T) {
	t.Parallel()
	at := noon()
	b := brakes.New(bucket(t), at.now)
	many(t, b, 2, ask("end", "a", 3, 0))
	at.pass(10 * time.Second)
	many(t, b, 1, ask("end", "b", 3, 0))

	v := expect(t, b, brakes.Wait, ask("end", "c", 3, 0))
	if want := noon().at.Truncate(time.Second).Add(61 * time.Second); !v.Until.Equal(want) {
		t.Errorf("must wait until %s, want %s", v.Until, want)
	}
	expect(t, b, brakes.Admitted, ask("kick", "k", 3, 0)) // another rule is not limited
	at.pass(v.Until.Sub(at.now()) - time.Millisecond)
	expect(t, b, brakes.Wait, ask("end", "c", 3, 0))
	at.pass(time.Millisecond)
	many(t, b, 2, ask("end", "d", 3, 0))
	expect(t, b, brakes.Wait, ask("end", "c", 3, 0))
}

func TestAnAccountHasACeilingOverAllItsRules(t *testing.T) {
	t.Parallel()
	at := noon()
	b := brakes.New(bucket(t), at.now)
	under := func(rule, id, accountSid string) brakes.Request {
		return brakes.Request{Rule: rule, AccountSid: accountSid, ID: id, Limits: rules.Limits{TripAfter: 4}, Ceiling: rules.Ceiling{PerMinute: 3}}
	}
	many(t, b, 2, under("end", "a", account))
	many(t, b, 1, under("kick", "b", account))
	for i := range 20 {
		expect(t, b, brakes.Wait, under("end", fmt.Sprint("storm-", i), account))
	}
	many(t, b, 1, under("end", "c", other))
	// Requests that waited for the ceiling were not counted for the rule: it has
	// acted three times, and trips at the fourth.
	at.pass(61 * time.Second)
	expect(t, b, brakes.Admitted, under("end", "storm-0", account))
	expect(t, b, brakes.Tripped, under("end", "storm-1", account))
}

func TestARepeatedRequestIsNotCountedAgain(t *testing.T) {
	t.Parallel()
	at, shared := noon(), bucket(t)
	here, there := brakes.New(shared, at.now), brakes.New(shared, at.now)
	expect(t, here, brakes.Admitted, ask("end", "a", 1, 2))
	for _, b := range []*brakes.Brakes{here, there} {
		if v := expect(t, b, brakes.Admitted, ask("end", "a", 1, 2)); !v.Repeat {
			t.Error("the request was counted again")
		}
		expect(t, b, brakes.Wait, ask("end", "b", 1, 2))
	}
	at.pass(61 * time.Second)
	expect(t, there, brakes.Admitted, ask("end", "b", 1, 2)) // the second one trips
	expect(t, here, brakes.Tripped, ask("end", "c", 1, 2))
	expect(t, here, brakes.Admitted, ask("end", "a", 1, 2)) // an admitted request stays admitted
}

func TestARuleThatActsTooOftenTripsUntilItIsReset(t *testing.T) {
	t.Parallel()
	at, shared := noon(), bucket(t)
	here, there := brakes.New(shared, at.now), brakes.New(shared, at.now)
	many(t, here, 2, ask("end", "a", 0, 3))
	at.pass(59 * time.Minute)
	expect(t, there, brakes.Admitted, ask("end", "b", 0, 3))
	for _, b := range []*brakes.Brakes{here, there} {
		expect(t, b, brakes.Tripped, ask("end", "c", 0, 3))
	}
	since := at.now()
	at.pass(24 * time.Hour)
	expect(t, here, brakes.Tripped, ask("end", "c", 0, 3))

	trips, err := there.Tripped(t.Context())
	if diff := cmp.Diff(map[string]brakes.Trip{"end": {Since: since, Admissions: 3}}, trips); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if err := there.Reset(t.Context(), "end", "the storm is over", "SK1"); err != nil {
		t.Fatal(err)
	}
	many(t, here, 2, ask("end", "d", 0, 3)) // also in the process that had cached the trip
	if err := here.Reset(t.Context(), "end", "again", "SK1"); !errors.Is(err, brakes.ErrNotTripped) {
		t.Errorf("reset twice: %v", err)
	}
	for _, reason := range []string{"", strings.Repeat("x", 257)} {
		if err := here.Reset(t.Context(), "end", reason, "SK1"); !errors.Is(err, brakes.ErrNoReason) {
			t.Errorf("reset for %q: %v", reason, err)
		}
	}
	states, err := here.State(t.Context())
	want := map[string]brakes.State{"end": {LastMinute: 2, LastHour: 2, Past: []brakes.Change{
		{Rule: "end", What: brakes.WasTripped, At: since},
		{Rule: "end", What: brakes.WasReset, At: at.now(), Reason: "the storm is over", By: "SK1"},
	}}}
	if diff := cmp.Diff(want, states); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestAResetRestartsTheHourButNotTheMinute(t *testing.T) {
	t.Parallel()
	b := brakes.New(bucket(t), noon().now)
	many(t, b, 3, ask("end", "a", 4, 3))
	if err := b.Reset(t.Context(), "end", "looked at it", "SK1"); err != nil {
		t.Fatal(err)
	}
	many(t, b, 1, ask("end", "b", 4, 3))
	expect(t, b, brakes.Wait, ask("end", "c", 4, 3))
}

func TestALimitThatWasLoweredTripsAtTheNextAction(t *testing.T) {
	t.Parallel()
	b := brakes.New(bucket(t), noon().now)
	many(t, b, 5, ask("end", "a", 0, 10))
	expect(t, b, brakes.Tripped, ask("end", "b", 0, 5))
	expect(t, b, brakes.Tripped, ask("end", "b", 0, 10))
}

func TestOnlyTheLastTripsAndResetsAreKept(t *testing.T) {
	t.Parallel()
	at := noon()
	b := brakes.New(bucket(t), at.now)
	for i := range 12 {
		at.pass(time.Second)
		expect(t, b, brakes.Admitted, ask("end", fmt.Sprint(i), 0, 1))
		if err := b.Reset(t.Context(), "end", fmt.Sprint("reset ", i), "SK1"); err != nil {
			t.Fatal(err)
		}
	}
	states, err := b.State(t.Context())
	if past := states["end"].Past; err != nil || len(past) != 20 || past[1].Reason != "reset 2" || past[19].Reason != "reset 11" {
		t.Errorf("%v: %d kept: %+v", err, len(past), past)
	}
}

// A request without a limit needs no write.
func TestARequestWithoutLimitsIsAdmittedWithoutTheBucket(t *testing.T) {
	t.Parallel()
	bad := &weather{}
	bad.down.Store(true)
	many(t, brakes.New(bad, noon().now), 3, ask("page", "a", 0, 0))
}

func TestManyAtOnceAreCountedOnceEach(t *testing.T) {
	t.Parallel()
	shared := &weather{Bucket: bucket(t)}
	processes := []*brakes.Brakes{brakes.New(shared, noon().now), brakes.New(shared, noon().now)}
	var admitted atomic.Int64
	var wait sync.WaitGroup
	for i := range 600 {
		wait.Go(func() {
			v, err := processes[i%2].Admit(t.Context(), ask("end", fmt.Sprint(i/3), 70, 0)) // each id three times, here and there
			if err != nil {
				t.Error(err)
			}
			if v.Answer == brakes.Admitted && !v.Repeat {
				admitted.Add(1)
			}
		})
	}
	wait.Wait()
	if n := admitted.Load(); n != 70 {
		t.Errorf("%d requests were admitted", n)
	}
	if n := shared.updates.Load(); n > 70 {
		t.Errorf("%d writes: no requests shared a write", n)
	}
}

// A write without an answer is stored all the same: it is not repeated.
func TestALostAnswerCountsNothingTwice(t *testing.T) {
	t.Parallel()
	shared := &weather{Bucket: bucket(t)}
	b := brakes.New(shared, noon().now)
	for i := range 2 {
		shared.mute.Store(1)
		expect(t, b, brakes.Admitted, ask("end", fmt.Sprint(i), 2, 3))
	}
	expect(t, b, brakes.Wait, ask("end", "2", 2, 3))
	for i := range 2 {
		shared.mute.Store(1)
		expect(t, b, brakes.Admitted, ask("kick", fmt.Sprint("kick-", i), 0, 2))
	}
	shared.mute.Store(1)
	if err := b.Reset(t.Context(), "kick", "looked at it", "SK1"); err != nil {
		t.Errorf("reset: %v", err)
	}
}

func TestNoAnswerIsNoAdmission(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bad := &weather{}
		bad.down.Store(true)
		b := brakes.New(bad, time.Now)
		began := time.Now()
		v, err := b.Admit(t.Context(), ask("end", "a", 1, 0))
		if v.Answer == brakes.Admitted || !errors.Is(err, brakes.ErrNoAnswer) || !errors.Is(err, errDown) {
			t.Errorf("%+v, %v", v, err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("the error took %s", took)
		}
		if _, err := b.Tripped(t.Context()); !errors.Is(err, errDown) {
			t.Errorf("tripped: %v", err)
		}
		if err := b.Reset(t.Context(), "end", "x", "SK1"); !errors.Is(err, brakes.ErrNoAnswer) {
			t.Errorf("reset: %v", err)
		}
	})
}

func TestARequestEndsWithItsContext(t *testing.T) {
	t.Parallel()
	b := brakes.New(bucket(t), noon().now)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Admit(gone, ask("end", "a", 1, 0)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	expect(t, b, brakes.Admitted, ask("end", "b", 1, 0))
}

func TestALedgerThatCannotBeReadAdmitsNothing(t *testing.T) {
	t.Parallel()
	shared := bucket(t)
	b := brakes.New(shared, noon().now)
	overwrite(t, shared, "admissions", `{"rules":7}`)
	if v, err := b.Admit(t.Context(), ask("end", "a", 1, 0)); err == nil || v.Answer == brakes.Admitted {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestMetricsCountAdmissionsAndRefusals(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	b := brakes.New(bucket(t), noon().now, brakes.WithMetrics(brakes.NewMetrics(registry)))
	expect(t, b, brakes.Admitted, ask("end", "a", 1, 0))
	expect(t, b, brakes.Admitted, ask("end", "a", 1, 0))
	expect(t, b, brakes.Wait, ask("end", "b", 1, 0))
	expect(t, b, brakes.Admitted, ask("kick", "a-2", 0, 1))
	expect(t, b, brakes.Tripped, ask("kick", "b", 0, 1))
	if err := b.Stop(t.Context(), "enough", "SK1"); err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{
		"gavel_brake_admissions_total end admitted": 1, "gavel_brake_admissions_total end repeat": 1,
		"gavel_brake_admissions_total end wait": 1, "gavel_brake_admissions_total kick admitted": 1,
		"gavel_brake_admissions_total kick tripped": 1,
		"gavel_rule_tripped end":                    0, "gavel_rule_tripped kick": 1, "gavel_stopped": 1,
	}
	if diff := cmp.Diff(want, gathered(t, registry)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// gathered returns all values, by name and labels.
func gathered(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := family.GetName()
			for _, label := range m.GetLabel() {
				name += " " + label.GetValue()
			}
			values[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return values
}

// A rule announces to a caller who is alone and ends the call 30 s later. Per minute it may act on one
// conference.
func TestFurtherStepsOnAConferenceNeedNoRoom(t *testing.T) {
	t.Parallel()
	at := noon()
	b := brakes.New(bucket(t), at.now)
	step := func(conference, step string) brakes.Answer {
		t.Helper()
		r := ask("left-alone", conference+step, 1, 3)
		r.Subject = conference
		v, err := b.Admit(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		return v.Answer
	}
	var got []brakes.Answer
	for range 3 {
		got = append(got, step("CF1", "announce"), step("CF2", "announce"))
		at.pass(30 * time.Second)
		got = append(got, step("CF1", "end"))
		at.pass(31 * time.Second)
	}
	want := []brakes.Answer{
		brakes.Admitted, brakes.Wait, brakes.Admitted, // CF1 counts once
		brakes.Admitted, brakes.Admitted, brakes.Admitted, // what is repeated counts no more, and CF2 has room
		brakes.Admitted, brakes.Admitted, brakes.Admitted,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := step("CF3", "announce"); got != brakes.Admitted {
		t.Errorf("the third conference of the hour is %s", got)
	}
	if got := step("CF3", "end"); got != brakes.Tripped {
		t.Errorf("after the third conference of the hour a step is %s", got)
	}
}
