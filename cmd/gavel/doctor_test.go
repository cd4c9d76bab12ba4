package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gavel/internal/doctor"
	"gavel/internal/redistest"
	"gavel/internal/twilio/twiliofake"
)

// diagnosis is what `gavel doctor` said, and how it ended.
type diagnosis struct {
	t *testing.T
	doctor.Report
	text string
	code int
}

// diagnose runs the built binary with that environment and nothing else.
func diagnose(t *testing.T, variables map[string]string, args ...string) diagnosis {
	t.Helper()
	command := exec.Command(binary(t), append([]string{"doctor", "--output", "json"}, args...)...)
	command.Dir = t.TempDir()
	for name, value := range variables {
		command.Env = append(command.Env, name+"="+value)
	}
	out, err := command.Output()
	d := diagnosis{t: t, text: string(out)}
	if ended := (*exec.ExitError)(nil); errors.As(err, &ended) {
		d.code, d.text = ended.ExitCode(), d.text+string(ended.Stderr)
	} else if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &d.Report); err != nil {
		t.Fatalf("gavel doctor said %s: %v", d.text, err)
	}
	return d
}

// finds fails unless there is such a finding.
func (d diagnosis) finds(check doctor.Check, level doctor.Level, words string) {
	d.t.Helper()
	if !slices.ContainsFunc(d.Findings, func(f doctor.Finding) bool {
		return f.Check == check && f.Level == level && strings.Contains(f.Found, words)
	}) {
		d.t.Errorf("no %s of %s contains %q:\n%s", level, check, words, d.text)
	}
}

// ends fails unless the exit code is that.
func (d diagnosis) ends(code int) {
	d.t.Helper()
	if d.code != code {
		d.t.Errorf("exit code %d, want %d:\n%s", d.code, code, d.text)
	}
}

// diagnose looks at the house with the settings that it runs with.
func (h *house) diagnose(variables map[string]string, twilioAPI string, more ...string) diagnosis {
	h.t.Helper()
	return diagnose(h.t, variables, append([]string{
		"--listen", strings.TrimPrefix(h.public, "http://"), "--server", h.url, "--data-dir", h.dataDir,
		"--nats-listen", "off", "--twilio-api", twilioAPI,
	}, more...)...)
}

// private is a data directory as serve makes it.
func private(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestTheDoctorBeforeTheFirstStart(t *testing.T) {
	t.Parallel()
	_, twilioAPI := standIn(t)
	d := diagnose(t, oneAccount, "--listen", "127.0.0.1:1", "--twilio-api", twilioAPI, "--public-url", "https://gavel.example.com")
	d.ends(exitOK)
	d.finds(doctor.CheckSettings, doctor.OK, "1 account")
	d.finds(doctor.CheckFiles, doctor.Note, "does not exist yet")
	d.finds(doctor.CheckCredentials, doctor.OK, "accepts the auth token")
	d.finds(doctor.CheckClock, doctor.OK, "Twilio")
	for _, check := range []doctor.Check{doctor.CheckNATS, doctor.CheckPublicURL, doctor.CheckSubscriptions, doctor.CheckTraps} {
		d.finds(check, doctor.Note, "no Gavel answers at http://127.0.0.1:1")
	}
}

func TestTheDoctorReportsAllFaultsOfTheSettings(t *testing.T) {
	t.Parallel()
	d := diagnose(t, map[string]string{"TWILIO_ACCOUNT_SID": testAccount, "TWILIO_AUTH_TOKEN": " " + testToken}, "--keep", "ever", "--roles", "cook")
	d.ends(exitFailure)
	d.finds(doctor.CheckSettings, doctor.Fault, "--keep")
	d.finds(doctor.CheckSettings, doctor.Fault, "--roles")
	d.finds(doctor.CheckSettings, doctor.Fault, "auth token has space around it")
	d.finds(doctor.CheckNATS, doctor.Note, "the settings must be correct first")
	if strings.Contains(d.text, testToken) {
		t.Error("a token is shown")
	}
}

// A call goes through a Gavel that is all right. The doctor sees what it asked
// for, and leaves nothing behind.
func TestTheDoctorOfAHealthyGavel(t *testing.T) {
	t.Parallel()
	_, twilioAPI := standIn(t)
	nats := freePort(t)
	h := openProcess(t, private(t), "--twilio-api", twilioAPI, "--nats-listen", nats)
	h.plays("all-right", "EndConferenceOnExit=true")
	before := h.counts()

	d := h.diagnose(oneAccount, twilioAPI, "--nats-listen", nats)
	d.ends(exitOK)
	d.finds(doctor.CheckFiles, doctor.OK, "2 files with secrets")
	d.finds(doctor.CheckNATS, doctor.OK, "stream GAVEL_JOURNAL")
	d.finds(doctor.CheckCredentials, doctor.OK, "accepts the auth token")
	d.finds(doctor.CheckClock, doctor.OK, "NATS and Twilio")
	d.finds(doctor.CheckPublicURL, doctor.OK, "accepts requests signed for account "+testAccount)
	d.finds(doctor.CheckSubscriptions, doctor.OK, "received: start end join leave;")
	d.finds(doctor.CheckTraps, doctor.OK, "none in 1 conference")
	if after := h.counts(); after != before {
		t.Errorf("the doctor left something behind: %s, before %s", after, before)
	}
}

// plays sends the callbacks of a call of two legs, where one leg has the parameters.
func (h *house) plays(name string, params ...string) {
	h.t.Helper()
	var agent []string
	for _, p := range params {
		agent = append(agent, "--param", p)
	}
	for _, args := range [][]string{
		{"--event", "participant-join", "--label", "customer", "--seq", "0"},
		append([]string{"--event", "participant-join", "--label", "agent", "--seq", "1"}, agent...),
		{"--event", "conference-start", "--seq", "2"},
		append([]string{"--event", "participant-leave", "--label", "agent", "--seq", "3"}, agent...),
		{"--event", "participant-leave", "--label", "customer", "--seq", "4"},
		{"--event", "conference-end", "--seq", "5", "--param", "ReasonConferenceEnded=last-participant-left"},
	} {
		if got := h.sends(append(args, "--name", name)...); got.code != exitOK {
			h.t.Fatalf("send %v: %+v", args, got)
		}
	}
	eventually(h.t, func() string {
		if got := h.asks("conferences", "get", name); !strings.Contains(got.out, "completed") {
			return "conference " + name + " did not end: " + got.out + got.err
		}
		return ""
	})
}

// counts are the metrics that grow with whatever is kept.
func (h *house) counts() string {
	h.t.Helper()
	_, metrics := h.get("/metrics")
	var kept []string
	for line := range strings.Lines(string(metrics)) {
		if strings.HasPrefix(line, "gavel_journal_entries_total") || strings.HasPrefix(line, "gavel_dead_letters_total") || strings.HasPrefix(line, "gavel_received_total") {
			kept = append(kept, strings.TrimSpace(line))
		}
	}
	return strings.Join(kept, ", ")
}

func TestTheDoctorFindsTrapsAndEventsThatAreNotSubscribed(t *testing.T) {
	t.Parallel()
	_, twilioAPI := standIn(t)
	h := openHere(t, private(t), "--twilio-api", twilioAPI)
	h.sends("--name", "room-of-ana", "--event", "participant-join", "--label", "customer", "--seq", "0", "--param", "StartConferenceOnEnter=false")
	h.sends("--name", "room-of-ana", "--event", "participant-hold", "--label", "ana +14155550123", "--seq", "1",
		"--param", "StartConferenceOnEnter=false", "--param", "Hold=true", "--param", "EndConferenceOnExit=true")
	h.sends("--name", "open", "--event", "participant-hold", "--label", "customer", "--seq", "0")
	h.sends("--name", "open", "--event", "participant-hold", "--label", "agent", "--seq", "1")
	eventually(t, func() string { return h.lacks("open") })

	d := h.diagnose(oneAccount, twilioAPI)
	d.ends(exitOK) // warnings are no faults
	d.finds(doctor.CheckSubscriptions, doctor.Warning, `"join" was not received for 1 of 2 conferences`)
	d.finds(doctor.CheckTraps, doctor.Warning, "in 1 conference of 2 no leg has endConferenceOnExit")
	d.finds(doctor.CheckTraps, doctor.Warning, "in 1 conference of 2 no leg has startConferenceOnEnter")
	d.finds(doctor.CheckTraps, doctor.Warning, "in 1 conference of 2 a leg with endConferenceOnExit is on hold")
	for _, hidden := range []string{"4155550123", "ana", testToken} {
		if strings.Contains(d.text, hidden) {
			t.Errorf("%q is shown in\n%s", hidden, d.text)
		}
	}
}

func TestTheDoctorOfABrokenInstallation(t *testing.T) {
	t.Parallel()
	stranger := twiliofake.New(twiliofake.Config{AccountSid: testAccount, AuthToken: "another-token"})
	api := httptest.NewServer(stranger.Handler())
	t.Cleanup(api.Close)
	redis := redistest.Start(t, "--maxmemory-policy", "allkeys-lru")
	dir := private(t)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	token := filepath.Join(t.TempDir(), "token")
	settings := filepath.Join(t.TempDir(), "gavel.yaml")
	for path, text := range map[string]string{
		token: testToken,
		settings: "accounts: [{sid: " + testAccount + ", auth_tokens: {current_file: " + token + "}}]\n" +
			"redis: {password: a-password}\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	redis.Do("CONFIG", "SET", "requirepass", "a-password")

	d := diagnose(t, nil, "--config", settings, "--data-dir", dir, "--twilio-api", api.URL, "--listen", "127.0.0.1:1",
		"--nats", "nats://user:a-password@127.0.0.1:1", "--redis", redis.URL())
	d.ends(exitFailure)
	d.finds(doctor.CheckSettings, doctor.Warning, "Twilio cannot call it")
	d.finds(doctor.CheckFiles, doctor.Fault, "other users may write to the data directory")
	d.finds(doctor.CheckFiles, doctor.Warning, "other users may read "+token)
	d.finds(doctor.CheckFiles, doctor.Warning, "other users may read "+settings)
	d.finds(doctor.CheckNATS, doctor.Fault, "cannot be reached")
	d.finds(doctor.CheckRedis, doctor.Warning, "allkeys-lru")
	d.finds(doctor.CheckCredentials, doctor.Fault, "refuses the auth token")
	for _, secret := range []string{testToken, "a-password"} {
		if strings.Contains(d.text, secret) {
			t.Errorf("%q is shown in\n%s", secret, d.text)
		}
	}
}

func TestTheDoctorKnocksAtThePublicURL(t *testing.T) {
	t.Parallel()
	_, twilioAPI := standIn(t)
	h := openHere(t, private(t), "--public-url", "https://gavel.example.com")
	gavel, err := url.Parse(h.public)
	if err != nil {
		t.Fatal(err)
	}
	pass := httputil.NewSingleHostReverseProxy(gavel)
	for name, c := range map[string]struct {
		proxy http.Handler
		words string
	}{
		// The running process expects signatures over another URL.
		"another public URL": {pass, "refuses requests signed for account"},
		"another site":       {http.NotFoundHandler(), "answers 404: something other than the door"},
		"a redirect":         {http.RedirectHandler("https://elsewhere.example.com", http.StatusMovedPermanently), "answers with a redirect"},
		"a catch-all":        {http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }), "something other than the door is there"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := httptest.NewServer(c.proxy)
			t.Cleanup(proxy.Close)
			d := h.diagnose(oneAccount, twilioAPI, "--public-url", proxy.URL)
			d.ends(exitFailure)
			d.finds(doctor.CheckPublicURL, doctor.Fault, c.words)
		})
	}
}

func TestTheDoctorGoesThroughAProxy(t *testing.T) {
	t.Parallel()
	_, twilioAPI := standIn(t)
	own := freePort(t)
	gavel := &url.URL{Scheme: "http", Host: own}
	proxy := httptest.NewServer(http.StripPrefix("/gavel", httputil.NewSingleHostReverseProxy(gavel)))
	t.Cleanup(proxy.Close)
	public := []string{"--public-url", proxy.URL + "/gavel", "--listen", own}
	h := openHere(t, private(t), public...)

	d := h.diagnose(oneAccount, twilioAPI, public...)
	d.ends(exitOK)
	d.finds(doctor.CheckPublicURL, doctor.OK, "accepts requests signed for account")

	// The process runs on with the token that was rotated away.
	rotated := maps.Clone(oneAccount)
	rotated["TWILIO_AUTH_TOKEN"] = "the-new-token"
	d = h.diagnose(rotated, twilioAPI, public...)
	d.ends(exitFailure)
	d.finds(doctor.CheckPublicURL, doctor.Fault, "refuses requests signed for account")
}

func TestAFileHoldsSecretsOrNamesThem(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"":                                                    false,
		"redis: {password: \"${PASSWORD}\"}":                  false,
		"redis: {password: a-password}":                       true,
		"redis: {password_file: /run/secret}":                 false,
		"redis: {url: \"redis://:p@redis\"}":                  true,
		"nats: {url: \"nats://one,nats://2\"}":                false,
		"accounts: [{auth_tokens: {current: \"x${TOKEN}\"}}]": true,
		"accounts: [{auth_tokens: {previous: \"${TOKEN}\"}}]": false,
		"accounts: [{api_key: {secret: s}}]":                  true,
	} {
		file, err := parseSettings("gavel.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := file.holdsSecrets(); got != want {
			t.Errorf("%q holds a secret: %v, want %v", text, got, want)
		}
	}
}

func TestTheDoctorNeedsAKeyToReadConferences(t *testing.T) {
	t.Parallel()
	_, twilioAPI := standIn(t)
	h := openHere(t, private(t))
	d := h.diagnose(oneAccount, twilioAPI, "--data-dir", t.TempDir())
	d.ends(exitOK)
	d.finds(doctor.CheckTraps, doctor.Note, "name a key with --api-key")
}

func TestTheDoctorSpeaksToPeople(t *testing.T) {
	t.Parallel()
	_, twilioAPI := standIn(t)
	got := gavelSays(t, oneAccount, "doctor", "--listen", "127.0.0.1:1", "--twilio-api", twilioAPI)
	if got.code != exitOK || got.err != "" || !strings.HasSuffix(got.out, "\n0 faults, 1 warning\n") ||
		!strings.Contains(got.out, "-> set --public-url to the address that Twilio calls") {
		t.Errorf("doctor: %+v", got)
	}
}

// Input that is not a CloudEvent yields an error or a fact without flags.
func FuzzParseFact(f *testing.F) {
	f.Add([]byte(`{"type":"gavel.participant-join.v1","time":"2026-11-22T10:00:00Z","data":{"CallSid":"CA1","Hold":"true","EndConferenceOnExit":"true"}}`))
	f.Add([]byte(`{"data":[]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		fact, err := parseFact(text)
		if err != nil && (fact.Flags != nil || fact.Kind != "") {
			t.Errorf("%v, and %+v", err, fact)
		}
	})
}

// TestTheDoctorReadsTwiliosWebhookSettings: half of the callbacks are signed by a key that Gavel
// does not have, and without retries.
func TestTheDoctorReadsTwiliosWebhookSettings(t *testing.T) {
	t.Parallel()
	const apiKey = "SK25e16e9a716a4a8617a7c83f58e30482"
	fake := twiliofake.New(twiliofake.Config{
		AccountSid: testAccount, AuthToken: testToken, APIKeys: map[string]string{apiKey: "secret"},
		SharedKey: twiliofake.SharedKey{ID: "webhooks_sharedkey_01k", Secret: "shared"}, SharedPercent: 50,
	})
	server := httptest.NewServer(fake.Handler())
	t.Cleanup(server.Close)
	settings := func(secret, more string) string {
		path := filepath.Join(t.TempDir(), "gavel.yaml")
		text := "accounts:\n  - sid: " + testAccount + "\n    auth_tokens: [" + testToken + "]\n    api_key: {sid: " + apiKey + ", secret: " + secret + "}\n" + more
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	args := []string{"--server", "http://127.0.0.1:1", "--data-dir", private(t), "--twilio-api", server.URL, "--config"}
	d := diagnose(t, nil, append(args, settings("secret", ""))...)
	d.finds(doctor.CheckWebhooks, doctor.OK, "50 % of http://127.0.0.1:8080/twilio/conference, .../recording, .../events, .../announce/: the auth token signs")
	d.finds(doctor.CheckWebhooks, doctor.Fault, "webhooks_sharedkey_01k signs, which is not in shared_keys")
	d.finds(doctor.CheckWebhooks, doctor.Warning, "every callback that fails once is lost")

	d = diagnose(t, nil, append(args, settings("secret", "    shared_keys: [{id: webhooks_sharedkey_01k, secret: shared}]\n"), "--call")...)
	d.finds(doctor.CheckWebhooks, doctor.OK, "webhooks_sharedkey_01k signs by HMAC_SHA256")
	d.finds(doctor.CheckWebhooks, doctor.Fault, "Twilio itself called")

	d = diagnose(t, nil, append(args, settings("wrong", ""))...)
	d.finds(doctor.CheckWebhooks, doctor.Note, "answered 401, code 20003")
	d.finds(doctor.CheckSubscriptions, doctor.Note, "no Gavel answers")
}

// TestTwilioItselfCallsTheDoor: in a migration at 50 percent Twilio's own call is accepted with
// either signature.
func TestTwilioItselfCallsTheDoor(t *testing.T) {
	t.Parallel()
	const apiKey = "SK25e16e9a716a4a8617a7c83f58e30482"
	fake := twiliofake.New(twiliofake.Config{
		AccountSid: testAccount, AuthToken: testToken, APIKeys: map[string]string{apiKey: "secret"},
		SharedKey: twiliofake.SharedKey{ID: "webhooks_sharedkey_01k", Secret: "shared"}, SharedPercent: 50,
	})
	server := httptest.NewServer(fake.Handler())
	t.Cleanup(server.Close)
	path := filepath.Join(t.TempDir(), "gavel.yaml")
	text := "accounts:\n  - sid: " + testAccount + "\n    auth_tokens: [" + testToken + "]\n    api_key: {sid: " + apiKey + ", secret: secret}\n" +
		"    shared_keys: [{id: webhooks_sharedkey_01k, secret: shared}]\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	own := freePort(t)
	public := []string{"--config", path, "--public-url", "http://" + own, "--listen", own}
	h := openHere(t, private(t), public...)

	d := h.diagnose(nil, server.URL, append(public, "--call")...)
	d.ends(exitOK)
	for _, endpoint := range []string{"conference", "recording"} {
		for _, setting := range []int{1, 2} {
			d.finds(doctor.CheckWebhooks, doctor.OK, fmt.Sprintf("Twilio itself called http://%s/twilio/%s with setting webhooks_setting_%026d and got 204", own, endpoint, setting))
		}
	}
	d.finds(doctor.CheckWebhooks, doctor.OK, "webhooks_sharedkey_01k signs by HMAC_SHA256")
}
