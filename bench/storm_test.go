package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"gavel/rules"
)

// TestMain lets this binary run the modes of a measurement, as the bench's own binary does.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && modes[os.Args[1]] != nil {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestASmallStormDrains(t *testing.T) {
	t.Parallel()
	shop, err := openWorkshop(t.Context(), settings{rounds: 1, seconds: 1, stormConferences: 1000})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := shop.close(); err != nil {
			t.Error(err)
		}
	})
	lines, err := storm{}.measure(t.Context(), shop, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) != 1 || !strings.Contains(lines[0].aside, "none refused") {
		t.Errorf("got %+v, want one line about a storm", lines)
	}
}

func TestAStormWithWrongCountsIsAnError(t *testing.T) {
	t.Parallel()
	w := stormWorld{count: 4}
	if e, want := w.expected(), (stormExpected{decisions: 3, done: 2, lapsed: 1}); e != want {
		t.Fatalf("expected %+v, want %+v", e, want)
	}
	err := w.expected().check(measured{}, standInTally{Ends: 3, EndedAt: map[int]int64{0: 1, 1: 1}})
	for _, fault := range []string{
		"decisions: 0, not 3", "outcomes done: 0, not 2", "outcomes lapsed: 0, not 1",
		"requests to end one: 3, not 2", "conference 0 had company and was ended",
	} {
		if err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("got %v, want an error that says %q", err, fault)
		}
	}
}

func TestAStormFallsDueWithinOneSecond(t *testing.T) {
	t.Parallel()
	const count = 100
	began := time.Now()
	for n := range count {
		due := stormDue(n, count, began)
		if due.Before(began) || !due.Before(began.Add(time.Second)) {
			t.Errorf("conference %d is due %s after the first", n, due.Sub(began))
		}
		if want := map[stormFate]int{companyReported: 3, companyUnreported: 2, stillAlone: 2}[stormKind(n)]; len(stormEntries(n, count, began)) != want {
			t.Errorf("the callbacks of conference %d do not match its fate", n)
		}
	}
}

func TestTheBenchHasTwentyRules(t *testing.T) {
	t.Parallel()
	set, err := twentyRules()
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Rules) != 20 {
		t.Errorf("there are %d rules, not 20", len(set.Rules))
	}
	for _, r := range set.Rules {
		if r.Mode != rules.Live {
			t.Errorf("rule %s is %s", r.Name, r.Mode)
		}
	}
}
