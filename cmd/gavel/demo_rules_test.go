package main

import (
	"context"
	"strings"
	"testing"
	"time"

	presets "gavel/examples/rules"
	"gavel/internal/logtest"
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

// demoTime is in what time the demo has to have shown an orphan's end.
const demoTime = 90 * time.Second

// A caller who was left alone is spoken to, then the conference is ended, and
// the terminal shows which rule did it.
func TestTheDemoEndsWhoIsLeftAlone(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), demoTime)
	defer cancel()
	var out, errors logtest.Text
	ended := make(chan int, 1)
	go func() {
		args := []string{"demo", "--rate", "60", "--listen", "127.0.0.1:0", "--nats-listen", "off"}
		ended <- run(ctx, args, terminal{strings.NewReader(""), &out, &errors, environment(nil)})
	}()
	wants := []string{
		"the presets of examples/rules, live, with all times divided by 20",
		"rule alone-too-long asked Twilio to play an announcement",
		"announce by rule alone-too-long: Twilio did so",
		"rule alone-too-long asked Twilio to end it",
		"end by rule alone-too-long: Twilio did so",
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for len(wants) > 0 && ctx.Err() == nil {
		if strings.Contains(out.String(), wants[0]) {
			wants = wants[1:]
			continue
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	cancel()
	if code := <-ended; code != exitOK || len(wants) > 0 {
		t.Errorf("the demo ended with %d, not shown are %q in\n%s%s", code, wants, out.String(), errors.String())
	}
}
