package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gavel/handlers/api"
	"gavel/rules"
	"gavel/rules/schema"
	"gavel/views"
)

const wholeRule = `rules:
  - name: end-orphaned
    when: size(conference.live) == 1
    for: 2m
    do: [{end: {}}]
`

func TestRulesCheckPrintsFaultsAsACompilerDoes(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write(t, filepath.Join(folder, "whole.yaml"), wholeRule)
	if got := gavelSays(t, nil, "rules", "check", filepath.Join(folder, "whole.yaml")); got.code != exitOK || got.err != "" {
		t.Errorf("a whole file: %+v", got)
	}
	broken := filepath.Join(folder, "broken.yaml")
	write(t, broken, "rules:\n  - name: broken\n    when: size(conference.lives) == 1\n    mode: on\n    do: [{end: {}}]\n")
	want := said{code: exitFailure, err: broken + ":3:26: rule broken: undefined field 'lives'\n" +
		broken + ":4:11: rule broken: the value must be one of off, shadow, live\n" +
		"gavel: rules check: 2 faults found\n"}
	for _, path := range []string{broken, folder} {
		if diff := cmp.Diff(want, gavelSays(t, nil, "rules", "check", path), cmp.AllowUnexported(said{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}

func TestRulesCheckWarnsOfAKickThatSkipsParticipants(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "kick.yaml")
	kick := func(rest string) string {
		return "rules:\n  - name: out\n    when: size(conference.live) > 9\n    do:\n      - kick: {target: participant.hold" + rest + "}\n"
	}
	write(t, path, kick(""))
	want := path + ":5:9: rule out: warning: skips participants whose leaving ends the conference; " +
		"write ends_conference: true to remove them too, or false if that is meant\n"
	if got := gavelSays(t, nil, "rules", "check", path); got.code != exitOK || got.err != want {
		t.Errorf("a kick: %+v", got)
	}
	write(t, path, kick(", ends_conference: false"))
	if got := gavelSays(t, nil, "rules", "check", path); got.code != exitOK || got.err != "" {
		t.Errorf("a kick that is meant: %+v", got)
	}
}

func TestRulesCheckWithoutFiles(t *testing.T) {
	t.Parallel()
	if got := gavelSays(t, nil, "rules", "check"); got.code != exitUsage {
		t.Errorf("without a path: %+v", got)
	}
	if got := gavelSays(t, nil, "rules", "check", t.TempDir()); got.code != exitFailure {
		t.Errorf("an empty folder: %+v", got)
	}
}

func TestRulesCheckPrintsTheSchema(t *testing.T) {
	t.Parallel()
	if got := gavelSays(t, nil, "rules", "check", "--schema"); got.code != exitOK || got.out != string(schema.JSON()) {
		t.Errorf("the schema: %+v", got)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A set is checked with the settings that serve would have, and serve refuses it with the same words.
func TestRulesCheckRefusesWhatServeRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ settings, step, fault string }{
		"a webhook without a secret":       {"", `webhook: {url: "https://hooks.example.com/"}`, "has no secret"},
		"a webhook with a secret":          {"webhooks: {secret: whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3}\n", `webhook: {url: "https://hooks.example.com/"}`, ""},
		"an announcement that is hidden":   {"", `announce: {say: "Still there?"}`, "Twilio cannot reach this machine"},
		"an announcement that is reached":  {"public_url: https://gavel.example.com\n", `announce: {say: "Still there?"}`, ""},
		"an announcement for the stand-in": {"twilio_api: http://127.0.0.1:8081\n", `announce: {say: "Still there?"}`, ""},
		"a call of the own network":        {"webhooks: {secret: whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3}\n", `webhook: {url: "https://127.0.0.1/"}`, "inside the own network"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			file, settings := filepath.Join(folder, "rules.yaml"), filepath.Join(folder, "gavel.yaml")
			write(t, file, "rules:\n  - name: tells\n    when: size(conference.live) == 1\n    do: [{"+c.step+"}]\n")
			write(t, settings, "rules: "+file+"\n"+c.settings)
			if got := gavelSays(t, oneAccount, "rules", "check", file); got.code != exitOK {
				t.Errorf("without the settings: %+v", got)
			}
			got := gavelSays(t, oneAccount, "rules", "check", "--config", settings)
			if c.fault == "" && got.code != exitOK || c.fault != "" && (got.code != exitFailure || !strings.Contains(got.err, c.fault) || !strings.HasPrefix(got.err, file+":4:")) {
				t.Fatalf("rules check: %+v", got)
			}
			if c.fault == "" {
				return
			}
			served := gavelSays(t, oneAccount, "serve", "--config", settings, "--listen", "127.0.0.1:0", "--nats-listen", "off", "--data-dir", filepath.Join(folder, "data"))
			if served.code != exitFailure || !strings.Contains(served.err, c.fault) {
				t.Errorf("serve: %+v", served)
			}
		})
	}
	if got := gavelSays(t, nil, "rules", "check", "--config", "no-such.yaml", "x.yaml"); got.code != exitUsage || !strings.Contains(got.err, "no-such.yaml") {
		t.Errorf("without the file: %+v", got)
	}
}

// What a rule in shadow would have done is seen by every command that shows rules at work.
func TestAShadowRuleIsSeenEverywhere(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "rules.yaml")
	write(t, file, `rules:
  - name: end-at-once
    when: size(conference.live) == 1
    do: [{publish: {subject: calls.alone}}, {end: {}}]
`)
	h := openHere(t, t.TempDir(), "--rules", file)
	h.sends("--name", "support-103", "--event", "participant-join")
	eventually(t, func() string { return h.lacks("support-103") })
	var decisions []views.Decision
	eventually(t, func() string {
		if h.asksJSON(&decisions, "decisions", "--verdict", "would", "--rule", "end-at-once", "--conference", "support-103", "--since", "1h"); len(decisions) < 2 {
			return "the decisions in shadow"
		}
		return ""
	})
	if d := decisions[0]; len(decisions) != 2 || d.Do != rules.StepEnd || d.FriendlyName != "support-103" {
		t.Errorf("the decisions are %+v", decisions)
	}
	if got := h.asks("decisions"); !strings.Contains(got.out, "would") || !strings.Contains(got.out, "support-103") {
		t.Errorf("decisions: %+v", got)
	}
	if got := h.asks("conferences", "timeline", "support-103"); !strings.Contains(got.out, "would end") || !strings.Contains(got.out, "rule end-at-once") {
		t.Errorf("timeline: %+v", got)
	}
	var status api.RuleStatus
	h.asksJSON(&status, "rules", "status")
	if r := status.Rules; len(r) != 1 || r[0].Would != 2 || r[0].LastFired == nil || status.Backlog == nil || status.Refused != nil {
		t.Errorf("the status is %+v", status)
	}
	if got := h.asks("decisions", "--verdict", "act"); got.out != "no decisions\n" {
		t.Errorf("decisions to be performed: %+v", got)
	}
	write(t, file, "rules:\n  - name: end-at-once\n    when: size(conference.lives) == 1\n    do: [{end: {}}]\n")
	eventually(t, func() string {
		if got := h.asks("rules", "status"); !strings.Contains(got.out, "the rules in force stay") || !strings.Contains(got.out, "undefined field 'lives'") {
			return "the faults of the changed file: " + got.out
		}
		return ""
	})
}
