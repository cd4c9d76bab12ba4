package brakes_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gavel/internal/brakes"
	"gavel/rules"
)

// model is the simplest implementation of the brakes: a list of what was
// admitted. An admission counts for a minute, or an hour, from the end of its
// second on.
type model struct {
	admitted []done
	tripped  map[string]time.Time // zero: not tripped
	reset    map[string]int       // number of the first admissions that do not count for the hour
}

type done struct {
	brakes.Request
	at time.Time
	// further: the subject counted for the rule within the minute before.
	further bool
}

func (m *model) count(now time.Time, window time.Duration, among []done, is func(done) bool) (n int) {
	for _, d := range among {
		if is(d) && now.Before(d.at.Truncate(time.Second).Add(time.Second+window)) {
			n++
		}
	}
	return n
}

func (m *model) admit(r brakes.Request, now time.Time) brakes.Answer {
	ofRule := func(d done) bool { return d.Rule == r.Rule && !d.further }
	ofAccount := func(d done) bool { return d.AccountSid == r.AccountSid }
	hour := func() int { return m.count(now, time.Hour, m.admitted[m.reset[r.Rule]:], ofRule) }
	ofOccasion := func(d done) bool { return ofRule(d) && d.Subject == r.Subject && r.Subject != "" }
	further := m.count(now, time.Minute, m.admitted, ofOccasion) > 0
	isRepeat := func(d done) bool { return d.ID == r.ID }
	switch {
	case m.count(now, 10*time.Minute, m.admitted, isRepeat) > 0:
		return brakes.Admitted
	case !m.tripped[r.Rule].IsZero():
		return brakes.Tripped
	case !further && m.count(now, time.Minute, m.admitted, ofRule) >= r.Limits.PerMinute,
		m.count(now, time.Minute, m.admitted, ofAccount) >= r.Ceiling.PerMinute:
		return brakes.Wait
	}
	m.admitted = append(m.admitted, done{r, now, further})
	if hour() >= r.Limits.TripAfter {
		m.tripped[r.Rule] = now
	}
	return brakes.Admitted
}

func (m *model) resetRule(name string) bool {
	was := !m.tripped[name].IsZero()
	if was {
		m.tripped[name], m.reset[name] = time.Time{}, len(m.admitted)
	}
	return was
}

// most returns the greatest number within any minute, to the nanosecond.
func (m *model) most(is func(done) bool) (most int) {
	for i, first := range m.admitted {
		n := 0
		for _, d := range m.admitted[i:] {
			if is(first) && is(d) && d.at.Sub(first.at) <= time.Minute {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// apart keeps the ledgers of many runs apart in one bucket.
type apart struct {
	brakes.Bucket
	prefix string
}

func (a apart) Read(ctx context.Context, key string) ([]byte, uint64, error) {
	return a.Bucket.Read(ctx, a.prefix+key)
}

func (a apart) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	return a.Bucket.Update(ctx, a.prefix+key, value, revision)
}

// Any requests of two processes to one bucket, in any order, get the model's
// answers, and no minute has more actions than its limit.
func TestBrakesAnswerAsASimpleModelDoes(t *testing.T) {
	t.Parallel()
	shared := bucket(t)
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		at := noon()
		bucket := apart{shared, fmt.Sprintf("run-%d.", runs)}
		processes := []*brakes.Brakes{brakes.New(bucket, at.now), brakes.New(bucket, at.now)}
		limits := rules.Limits{PerMinute: rapid.IntRange(1, 4).Draw(rt, "per_minute"), TripAfter: rapid.IntRange(1, 8).Draw(rt, "trip_after")}
		ceiling := rules.Ceiling{PerMinute: rapid.IntRange(1, 6).Draw(rt, "ceiling")}
		m := &model{tripped: map[string]time.Time{}, reset: map[string]int{}}
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			process := processes[rapid.IntRange(0, 1).Draw(rt, "process")]
			name := rapid.SampledFrom([]string{"end", "kick"}).Draw(rt, "rule")
			at.pass(rapid.SampledFrom([]time.Duration{0, 0, 300 * time.Millisecond, 7 * time.Second, 50 * time.Second, 15 * time.Minute}).Draw(rt, "pass"))
			if rapid.IntRange(0, 9).Draw(rt, "what") == 0 {
				if err := process.Reset(t.Context(), name, "because", "SK1"); (err == nil) != m.resetRule(name) {
					rt.Fatalf("reset of %s: %v", name, err)
				}
				continue
			}
			r := brakes.Request{
				Rule: name, AccountSid: account, ID: name + fmt.Sprint(rapid.IntRange(0, 30).Draw(rt, "id")),
				Subject: rapid.SampledFrom([]string{"", "CF1", "CF2", "CF3"}).Draw(rt, "subject"),
				Limits:  limits, Ceiling: ceiling,
			}
			got, err := process.Admit(t.Context(), r)
			if want := m.admit(r, at.now()); err != nil || got.Answer != want {
				rt.Fatalf("%s at %s: %+v, %v; want %s", r.ID, at.now(), got, err, want)
			}
			checkUntil(rt, got, at.now())
		}
		checkMinutes(rt, m, limits, ceiling)
	})
}

// checkUntil checks that no request must wait for longer than a limit lasts.
func checkUntil(rt *rapid.T, v brakes.Verdict, now time.Time) {
	if v.Answer == brakes.Wait && (!v.Until.After(now) || v.Until.Sub(now) > 61*time.Second) {
		rt.Fatalf("at %s: must wait until %s", now, v.Until)
	}
}

func checkMinutes(rt *rapid.T, m *model, limits rules.Limits, ceiling rules.Ceiling) {
	for _, name := range []string{"end", "kick"} {
		if n := m.most(func(d done) bool { return d.Rule == name && !d.further }); n > limits.PerMinute {
			rt.Fatalf("%s acted on %d subjects in a minute, the limit is %d", name, n, limits.PerMinute)
		}
	}
	if n := m.most(func(done) bool { return true }); n > ceiling.PerMinute {
		rt.Fatalf("%d actions in a minute, the ceiling is %d", n, ceiling.PerMinute)
	}
	if !slices.IsSortedFunc(m.admitted, func(a, b done) int { return a.at.Compare(b.at) }) {
		rt.Fatal("the model's admissions are out of order")
	}
}
