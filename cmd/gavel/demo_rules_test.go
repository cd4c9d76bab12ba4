package main

import (
	"testing"

	presets "gavel/examples/rules"
	"gavel/rules"
)

// The demo's rules are the presets in all but their mode and their times.
func TestTheDemoRunsThePresetsInHaste(t *testing.T) {
	t.Parallel()
	files, err := demoRules()
	if err != nil {
		t.Fatal(err)
	}
	hasty, err := rules.Parse(files...)
	if err != nil {
		t.Fatal(err)
	}
	calm, err := rules.Parse(presets.Files()...)
	if err != nil {
		t.Fatal(err)
	}
	if len(hasty.Rules) != len(calm.Rules) || len(calm.Rules) < 10 {
		t.Fatalf("%d rules in the demo, %d presets", len(hasty.Rules), len(calm.Rules))
	}
	for i, r := range hasty.Rules {
		if r.Mode != rules.Live {
			t.Errorf("%s is %s", r.Name, r.Mode)
		}
		if want := calm.Rules[i].For / demoHaste; r.For != want {
			t.Errorf("%s: for is %s, want %s", r.Name, r.For, want)
		}
		for n, step := range r.Do {
			if want := calm.Rules[i].Do[n].Wait; step.Wait > want || (step.Wait == 0) != (want == 0) {
				t.Errorf("%s: step %d waits %s of %s", r.Name, n+1, step.Wait, want)
			}
		}
	}
	text, err := hasten(`when: held_for(participant) >= duration("5m") && duration(conference) < duration("4h")`)
	if want := `when: held_for(participant) >= duration("15s") && duration(conference) < duration("12m0s")`; err != nil || text != want {
		t.Errorf("got %s, %v", text, err)
	}
}

func TestATimeThatIsNoneEndsTheHaste(t *testing.T) {
	t.Parallel()
	if text, err := hasten("for: 2x"); err == nil {
		t.Errorf("became %s", text)
	}
	for calm, want := range map[string]string{"wait: 30s": "wait: 2s", "wait: 5s": "wait: 1s", "for: 10m": "for: 30s"} {
		if got, _ := hasten(calm); got != want {
			t.Errorf("%s became %s", calm, got)
		}
	}
}
