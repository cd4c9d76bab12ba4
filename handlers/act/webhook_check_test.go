package act_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gavel/handlers/act"
	"gavel/internal/twilio"
	"gavel/internal/webhook"
	"gavel/rules"
	"gavel/rules/schema"
)

const aSecret twilio.Secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"

const webhookRules = `rules:
  - name: signed
    when: size(conference.live) == 1
    do:
      - webhook: {url: "https://pager.example/${conference.sid}", secret_file: "FILE"}
  - name: unsigned
    when: size(conference.live) == 1
    do:
      - publish: {subject: calls.alone}
      - webhook: {url: "https://pager.example/"}
  - name: plain
    when: size(conference.live) == 1
    do: [webhook: {url: "http://pager.example/", secret_file: "FILE"}]
  - name: inside
    when: size(conference.live) == 1
    do: [webhook: {url: "https://10.0.0.1:8443/${conference.sid}", secret_file: "FILE"}]
  - name: chosen
    when: size(conference.live) == 1
    do: [webhook: {url: "https://pager.example/", secret_file: "/etc/${conference.friendly_name}"}]
  - name: lost
    when: size(conference.live) == 1
    do: [webhook: {url: "https://pager.example/", secret_file: "FILE.lost"}]
  - name: no-secret
    when: size(conference.live) == 1
    do: [webhook: {url: "https://pager.example/", secret_file: "FILE.wrong"}]
  - name: later
    mode: "off"
    when: size(conference.live) == 1
    do: [webhook: {url: "http://10.0.0.1/"}]
`

// webhookSet are the rules above, with a file that holds a secret.
func webhookSet(t *testing.T) (set *rules.Set, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "secret")
	if err := errors.Join(os.WriteFile(file, []byte(aSecret.Reveal()), 0o600), os.WriteFile(file+".wrong", []byte("canary"), 0o600)); err != nil {
		t.Fatal(err)
	}
	set, err := rules.Parse(rules.File{Name: "rules.yaml", Text: strings.ReplaceAll(webhookRules, "FILE", file)})
	if err != nil {
		t.Fatal(err)
	}
	return set, file
}

func TestWebhooksThatCannotGoOutAreFaultsAtTheLoad(t *testing.T) {
	t.Parallel()
	set, file := webhookSet(t)
	fault := func(line int, rule, message string) schema.Fault {
		return schema.Fault{File: "rules.yaml", Line: line, Column: 1, Rule: rule, Message: message}
	}
	want := schema.Faults{
		fault(10, "unsigned", "the webhook has no secret: set webhooks.secret in gavel.yaml, or secret_file in the step"),
		fault(13, "plain", "the webhook's url is not https; `webhooks.http` or `webhooks.allow` lets others through"),
		fault(16, "inside", "the webhook's url is inside the own network; `webhooks.allow` lets it through"),
		fault(19, "chosen", "secret_file must be a constant: a caller must not choose a file"),
		fault(22, "lost", "secret_file: read secret: stat "+file+".lost: no such file or directory"),
		fault(25, "no-secret", "secret_file: read secret: "+file+".wrong is not whsec_ and base64 of 24 to 64 bytes"),
	}
	var faults schema.Faults
	if err := act.CheckWebhooks(set, webhook.Settings{}); !errors.As(err, &faults) {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, faults); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSettingsLetWebhooksThrough(t *testing.T) {
	t.Parallel()
	set, _ := webhookSet(t)
	var faults schema.Faults
	settings := webhook.Settings{Secrets: []twilio.Secret{aSecret}, Allow: []string{"10.0.0.0/8"}, HTTP: true}
	if err := act.CheckWebhooks(set, settings); !errors.As(err, &faults) || len(faults) != 3 {
		t.Errorf("got %v, want the three of secret_file", err)
	}
	none, err := rules.Parse(rules.File{Name: "rules.yaml", Text: `rules: [{name: a, when: "true", do: [webhook: {url: "https://a.example/"}]}]`})
	if err != nil {
		t.Fatal(err)
	}
	if err := act.CheckWebhooks(none, settings); err != nil {
		t.Errorf("got %v, want nothing", err)
	}
}
