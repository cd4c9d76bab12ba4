package rulebook

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gavel/rules"
	"gavel/rules/schema"
)

// White box, because no check of rule files is new enough to refuse a file that can be written here:
// the book gets a parser with one more check.

// A set that an earlier build accepted stays in force although a new check finds something in it:
// it is judged, and the log and a metric warn of it. The same set as a proposal is refused.
func TestASetInForceThatANewCheckRefusesStaysInForceWithAWarning(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := newShelf()
		files := []rules.File{{Name: "a.yaml", Text: "rules:\n  - {name: old-fashioned, when: size(conference.live) == 1, do: [end: {}]}\n"}}
		old, err := rules.Parse(files...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := openShelf(t, shared).Propose(t.Context(), old, "here", Change); err != nil {
			t.Fatal(err)
		}

		var said bytes.Buffer
		metrics := prometheus.NewRegistry()
		upgraded, err := Open(t.Context(), shared, slog.New(slog.NewTextHandler(&said, nil)), WithMetrics(metrics))
		if err != nil {
			t.Fatal(err)
		}
		found := schema.Faults{{File: "a.yaml", Line: 2, Column: 5, Rule: "old-fashioned", Message: "is no longer allowed", Since: 3}}
		upgraded.parse = func(files ...rules.File) (*rules.Set, error) {
			set, err := rules.ParseAccepted(files...)
			set.Warnings = found
			return set, err
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		ended := make(chan struct{})
		go func() { defer close(ended); upgraded.Run(ctx) }()
		<-time.After(5 * readEvery) // virtual: several reads log once
		synctest.Wait()

		set, err := upgraded.Set(t.Context(), old.Version)
		if err != nil || len(set.Rules) != 1 || len(set.Warnings) != 1 {
			t.Errorf("the set in force: %+v, %v", set, err)
		}
		if load, some := upgraded.Active(); !some || load.Version != old.Version {
			t.Errorf("in force is %+v", load)
		}
		if n := warningsIn(t, metrics); n != 1 {
			t.Errorf("the metric is %v, want 1", n)
		}
		_, err = upgraded.Propose(t.Context(), &rules.Set{Version: "other", Files: files, Warnings: found}, "here", Change)
		if faults := (schema.Faults)(nil); !errors.As(err, &faults) {
			t.Errorf("as a proposal: %v", err)
		}
		if p, err := upgraded.Propose(t.Context(), set, "here", Change); err != nil || p.Taken || p.InForce.Version != old.Version {
			t.Errorf("the set in force, proposed again: %+v, %v", p, err)
		}

		putInForce(t, upgraded, "v2") // a set without warnings
		<-time.After(2 * readEvery)   // virtual
		synctest.Wait()
		if n := warningsIn(t, metrics); n != 0 {
			t.Errorf("the metric is %v for a set without warnings", n)
		}
		stop()
		<-ended
		for words, want := range map[string]int{"they stay in force": 1, "a.yaml:2:5: rule old-fashioned: is no longer allowed": 1} {
			if got := strings.Count(said.String(), words); got != want {
				t.Errorf("the log has %q %d times, want %d:\n%s", words, got, want, &said)
			}
		}
	})
}

// warningsIn returns the value of gavel_rules_warnings.
func warningsIn(t *testing.T, metrics prometheus.Gatherer) float64 {
	t.Helper()
	families, err := metrics.Gather()
	if err != nil || len(families) != 1 || families[0].GetName() != "gavel_rules_warnings" {
		t.Fatalf("the metrics are %v, %v", families, err)
	}
	return families[0].GetMetric()[0].GetGauge().GetValue()
}
