package doctor_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gavel/internal/doctor"
)

// TestWebhookSettingsAreJudged: settings are as Twilio's API returns them; each case is one rule for
// the door's URL, or none.
func TestWebhookSettingsAreJudged(t *testing.T) {
	t.Parallel()
	const answer = `{"settings": [{"id": "sys", "type": "SYSTEM"},
		{"id": "good", "type": "CUSTOMER", "signature": {"type": "SHARED_KEY", "sharedKeyId": "key", "algorithm": "HMAC_SHA256"},
		 "connection": {"totalTimeoutMs": 60000, "retryPolicy": {"retryCount": 5, "retryOn": ["ALL"]}}},
		{"id": "once", "type": "CUSTOMER", "signature": {"type": "SHARED_KEY", "sharedKeyId": "key", "algorithm": "HMAC_SHA1"}},
		{"id": "foreign", "type": "CUSTOMER", "signature": {"type": "SHARED_KEY", "sharedKeyId": "other", "algorithm": "HMAC_SHA256"}},
		{"id": "key", "type": "CUSTOMER", "signature": {"type": "SharedKey", "sharedKeyId": "key", "algorithm": "HMAC_SHA256"},
		 "connection": {"retryPolicy": {"retryCount": 2, "retryOn": ["HTTP_5XX"]}}},
		{"id": "token", "type": "CUSTOMER", "signature": {"type": "AUTH_TOKEN"}},
		{"id": "none", "type": "CUSTOMER", "signature": {"type": "NONE"}},
		{"id": "lower", "type": "CUSTOMER", "signature": {"type": "none"}}]}`
	for _, c := range []struct {
		name, rules string
		level       doctor.Level
		words       string
	}{
		{"no rule", `[]`, doctor.OK, "has no rule"},
		{"a rule for another URL", `[{"matchType": "PREFIX_MATCH", "prefix": "https://other/", "settings": [{"settingId": "none", "percentage": 100}]}]`, doctor.OK, "has no rule"},
		{"half signed anew", `[{"matchType": "DEFAULT", "settings": [{"settingId": "good", "percentage": 50}, {"settingId": "sys", "percentage": 50}]}]`, doctor.OK, "50 % of https://gavel.example.com/twilio/conference: key signs by HMAC_SHA256"},
		{"retries", `[{"matchType": "DEFAULT", "settings": [{"settingId": "good", "percentage": 100}]}]`, doctor.OK, "retries 5 times after ALL, within 1m0s"},
		{"without retries", `[{"matchType": "DEFAULT", "settings": [{"settingId": "once", "percentage": 100}]}]`, doctor.Warning, "every callback that fails once is lost"},
		{"a key that Gavel does not have", `[{"matchType": "DEFAULT", "settings": [{"settingId": "foreign", "percentage": 1}, {"settingId": "sys", "percentage": 99}]}]`, doctor.Fault, "1 % of https://gavel.example.com/twilio/conference: other signs"},
		{"unsigned", `[{"matchType": "DEFAULT", "settings": [{"settingId": "none", "percentage": 100}]}]`, doctor.Fault, "sends no signature"},
		{"unsigned, by the name that npm twilio 6.3.1 has", `[{"matchType": "DEFAULT", "settings": [{"settingId": "lower", "percentage": 100}]}]`, doctor.Fault, "sends no signature"},
		{"another name of the type", `[{"matchType": "DEFAULT", "settings": [{"settingId": "key", "percentage": 100}]}]`, doctor.OK, "key signs by HMAC_SHA256"},
		{"no total timeout", `[{"matchType": "DEFAULT", "settings": [{"settingId": "key", "percentage": 100}]}]`, doctor.OK, "retries 2 times after HTTP_5XX, within Twilio's default time"},
		{"a type without a key", `[{"matchType": "DEFAULT", "settings": [{"settingId": "token", "percentage": 100}]}]`, doctor.Warning, "signs by type \\\"AUTH_TOKEN\\\" without a shared key"},
		{"the exact match comes first", `[{"matchType": "PREFIX_MATCH", "prefix": "https://gavel.example.com/", "settings": [{"settingId": "none", "percentage": 100}]},
			{"matchType": "EXACT_MATCH", "value": "https://gavel.example.com/twilio/conference", "settings": [{"settingId": "good", "percentage": 100}]}]`, doctor.OK, "key signs"},
	} {
		w := doctor.Webhooks{URLs: []string{"https://gavel.example.com/twilio/conference"}, Keys: []string{"key"}}
		var settings struct{ Settings []doctor.WebhookSetting }
		if err := json.Unmarshal([]byte(answer), &settings); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(c.rules), &w.Rules); err != nil {
			t.Fatal(err)
		}
		w.Settings = settings.Settings
		found := doctor.NewReport(w.Findings())
		if text, _ := json.Marshal(found); found.Worst != c.level || !strings.Contains(string(text), c.words) {
			t.Errorf("%s: %s, want a finding of level %s with %q", c.name, text, c.level, c.words)
		}
	}
}

// TestARefusedWebhooksAPIIsReportedWithItsCode: the other checks go on.
func TestARefusedWebhooksAPIIsReportedWithItsCode(t *testing.T) {
	t.Parallel()
	for _, w := range []doctor.Webhooks{{Status: 401, Code: 20003}, {Status: 403, Code: 20403}, {Status: 400, Code: 59000}} {
		found := w.Findings()
		if len(found) != 1 || found[0].Level != doctor.Note || !regexp.MustCompile(`answered \d+, code \d{5}`).MatchString(found[0].Found) {
			t.Errorf("%+v", found)
		}
	}
}

// TestTheRuleIsTheLastOfTheSetup: a rule before the secret is known, or before the door accepted a
// signature, would lose callbacks.
func TestTheRuleIsTheLastOfTheSetup(t *testing.T) {
	t.Parallel()
	text := doctor.SetupTwilio("AC25e16e9a716a4a8617a7c83f58e30482", "https://gavel.example.com", 25, time.UnixMilli(1_800_000_000_000))
	at := 0
	for _, step := range []string{
		"/v1/Webhooks/SharedKeys", "shared_keys of the account", `"retryPolicy": {"retryCount": 5, "retryOn": ["ALL"]}`, "/v1/Webhooks/Settings",
		"/v1/Webhooks/Tests", "only if result.response.statusCode", `"percentage": 25}, {"settingId": "'$SYSTEM'", "percentage": 75}`, "/v1/Webhooks/Rules\n",
	} {
		next := strings.Index(text, step)
		if step == "only if result.response.statusCode" {
			continue
		}
		if next < at {
			t.Errorf("%q is missing or too early in\n%s", step, text)
		}
		at = next
	}
	keys := regexp.MustCompile(`Idempotency-Key: ([0-9a-f-]+)`).FindAllStringSubmatch(text, -1)
	seen := map[string]bool{}
	for _, key := range keys {
		if !regexp.MustCompile(`^01a3185c-5000-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(key[1]) || seen[key[1]] {
			t.Errorf("%s is not a new UUIDv7 of the moment", key[1])
		}
		seen[key[1]] = true
	}
}

// TestEveryURLOfGavelIsJudged: a rule for one endpoint leaves the others as they were, and each
// rule is reported once, with the URLs that it applies to.
func TestEveryURLOfGavelIsJudged(t *testing.T) {
	t.Parallel()
	const base = "https://gavel.example.com/twilio/"
	w := doctor.Webhooks{AccountSid: "AC1", Keys: []string{"key"}, URLs: []string{base + "conference", base + "recording", base + "events", base + "announce/"}}
	const settings = `[{"id": "sys", "type": "SYSTEM"}, {"id": "none", "type": "CUSTOMER", "signature": {"type": "none"}},
		{"id": "good", "type": "CUSTOMER", "signature": {"type": "SHARED_KEY", "sharedKeyId": "key", "algorithm": "HMAC_SHA256"},
		 "connection": {"retryPolicy": {"retryCount": 1, "retryOn": ["ALL"]}}}]`
	const rules = `[{"matchType": "EXACT_MATCH", "value": "https://gavel.example.com/twilio/conference", "settings": [{"settingId": "good", "percentage": 50}, {"settingId": "sys", "percentage": 50}]},
		{"matchType": "PREFIX_MATCH", "prefix": "https://gavel.example.com/twilio/announce/", "settings": [{"settingId": "none", "percentage": 100}]}]`
	for text, into := range map[string]any{settings: &w.Settings, rules: &w.Rules} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, f := range w.Findings() {
		got = append(got, string(f.Level)+": "+f.Found)
	}
	want := []string{
		"ok: 50 % of " + base + "conference: key signs by HMAC_SHA256",
		"ok: 50 % of " + base + "conference: setting good retries 1 times after ALL, within Twilio's default time",
		"ok: 50 % of " + base + "conference: the auth token signs, and retries follow the URL's #rc=5&rp=all",
		"ok: account AC1 has no rule for " + base + "recording, .../events: the auth token signs, and retries follow the URL's #rc=5&rp=all",
		"fault: 100 % of " + base + "announce/: setting none sends no signature, and Gavel refuses every such callback",
		"warning: 100 % of " + base + "announce/: setting none has no retryPolicy, so every callback that fails once is lost, also with #rc=5&rp=all in its URL",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([][]string{{"good", "sys"}, {"sys"}}, [][]string{w.UsedSettings(base + "conference"), w.UsedSettings(base + "events")}); diff != "" {
		t.Errorf("settings that are used (-want +got):\n%s", diff)
	}
}
