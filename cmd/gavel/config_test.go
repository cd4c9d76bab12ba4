package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gavel/app"
	"gavel/handlers/callback"
	"gavel/internal/bus"
	"gavel/internal/twilio"
	"gavel/internal/webhook"
)

const (
	testAccount = "AC25e16e9a716a4a8617a7c83f58e30482"
	testToken   = "12345abcdef67890fedcba0987654321"
)

// environment makes a lookup of the variables alone: the environment of the
// test does not show through.
func environment(variables map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := variables[name]
		return value, ok
	}
}

// settle reads the settings that `gavel serve ARGS` would start with.
func settle(t *testing.T, args []string, variables map[string]string) (app.Options, error) {
	t.Helper()
	root := &cli{terminal: terminal{
		in: strings.NewReader(""), out: t.Output(), err: t.Output(), lookup: environment(variables),
	}}
	parser, err := root.parser(func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(append([]string{"serve"}, args...)); err != nil {
		return app.Options{}, err
	}
	return root.Serve.config(root.file, root.terminal.lookup)
}

var oneAccount = map[string]string{"TWILIO_ACCOUNT_SID": testAccount, "TWILIO_AUTH_TOKEN": testToken}

func with(variables map[string]string, name, value string) map[string]string {
	more := maps.Clone(variables)
	more[name] = value
	return more
}

func TestAnAccountInTheEnvironmentIsEnough(t *testing.T) {
	t.Parallel()
	got, err := settle(t, nil, oneAccount)
	if err != nil {
		t.Fatal(err)
	}
	want := app.Options{
		Listen:    "127.0.0.1:8080",
		DataDir:   "./gavel-data",
		NATS:      bus.Config{URL: app.Embedded, Listen: "127.0.0.1:4222"},
		Redis:     app.Redis{URL: app.Embedded},
		Keep:      30 * day,
		Roles:     app.AllRoles,
		TwilioAPI: "https://api.twilio.com",
		Accounts:  []twilio.Account{{Sid: testAccount, Tokens: twilio.KeyRing{Current: testToken}}},

		FetchEnded: true,
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(callback.SpeechPolicy{}), cmp.Comparer(sameAccount)); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

func sameAccount(a, b twilio.Account) bool {
	return fmt.Sprint(a.Sid, a.CallbackQueries, a.APIKey.Sid) == fmt.Sprint(b.Sid, b.CallbackQueries, b.APIKey.Sid) &&
		a.Tokens == b.Tokens && a.APIKey == b.APIKey
}

func TestAFileSaysEverything(t *testing.T) {
	t.Parallel()
	got, err := settle(t, []string{"--config", "testdata/config/complete.yaml"}, map[string]string{"GAVEL_TEST_TOKEN": testToken})
	if err != nil {
		t.Fatal(err)
	}
	want := app.Options{
		Listen:      "127.0.0.1:8081",
		AdminListen: "127.0.0.1:8082",
		PublicURL:   "https://gavel.example.com",
		DataDir:     "/var/lib/gavel",
		NATS: bus.Config{
			URL:             "nats://one:4222,nats://two:4222",
			Listen:          "127.0.0.1:4222",
			Sync:            "always",
			Credentials:     "/etc/gavel/nats.creds",
			TLS:             bus.TLS{CA: "ca.pem", Cert: "cert.pem", Key: "key.pem"},
			Replicas:        3,
			Lanes:           8,
			JournalMaxBytes: 1 << 30,
		},
		Redis: app.Redis{
			URL:      "redis+cluster://one:6379,two:6379",
			TLS:      app.TLS{CA: "redis-ca.pem"},
			Username: "gavel",
			Password: "from-a-file",
		},
		Keep:      90 * day,
		Roles:     app.Roles{app.Door, app.Project, app.Serve},
		Rules:     "/etc/gavel/rules",
		TwilioAPI: "http://127.0.0.1:9999",
		Speech:    callback.SampleSpeech(10),
		Accounts: []twilio.Account{{
			Sid:             testAccount,
			Tokens:          twilio.KeyRing{Current: testToken, Next: "00123456789012345678901234567890"},
			APIKey:          twilio.APIKey{Sid: "SK25e16e9a716a4a8617a7c83f58e30482", Secret: "from-a-file"},
			CallbackQueries: []string{"queue=sales", "queue=support"},
		}},
		Webhooks: webhook.Settings{
			Secrets: []twilio.Secret{"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz", "whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4"},
			Allow:   []string{"pager.internal", "10.1.0.0/16"},
			HTTP:    true,
		},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(callback.SpeechPolicy{}), cmp.Comparer(sameAccount)); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

// TestKeysOfAllKindsAreRead: an account of shared keys alone, and one with a list of tokens and
// two more regions.
// Some editors put a byte order mark before a text. A proxy may require a user name
// from Twilio, which Twilio does not sign and Gavel does not show.
func TestSettingsMayBeginWithAByteOrderMark(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "gavel.yaml")
	text := "\ufeffpublic_url: https://user:canary@hooks.example.com/\naccounts: [{sid: " + testAccount + ", auth_tokens: {current: token}}]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := settle(t, []string{"--config", file}, nil)
	if err != nil || got.PublicURL != "https://user:canary@hooks.example.com" {
		t.Errorf("got %q, %v", got.PublicURL, err)
	}
}

func TestKeysOfAllKindsAreRead(t *testing.T) {
	t.Parallel()
	got, err := settle(t, []string{"--config", "testdata/config/keys.yaml"}, map[string]string{"GAVEL_TEST_TOKEN": testToken})
	if err != nil {
		t.Fatal(err)
	}
	apiKey := twilio.APIKey{Sid: "SK25e16e9a716a4a8617a7c83f58e30482", Secret: "from-a-file"}
	want := []twilio.Account{
		{Sid: testAccount, SharedKeys: []twilio.SharedKey{
			{ID: "webhooks_sharedkey_01k", Secret: testToken}, {ID: "webhooks_sharedkey_02k", Secret: "from-a-file"},
		}},
		{
			Sid:        "AC0123456789abcdef0123456789abcdef",
			Tokens:     twilio.KeyRing{Current: "home"},
			MoreTokens: []twilio.Token{{Name: "blue", Secret: "old"}, {Name: "token-3", Secret: "from-a-file"}},
			Regions: []twilio.Region{
				{Name: "ie1", API: "https://api.dublin.ie1.twilio.com", APIKey: apiKey, Tokens: []twilio.Token{
					{Name: "ie1-current", Secret: "dublin"}, {Name: "ie1-previous", Secret: "dublin-before"},
				}},
				{Name: "au1", API: "https://api.sydney.au1.twilio.com", Tokens: []twilio.Token{
					{Name: "au1-current", Secret: "sydney"}, {Name: "au1-token-2", Secret: "sydney-next"},
				}},
			},
		},
	}
	revealed := cmp.Transformer("reveal", twilio.Secret.Reveal)
	if diff := cmp.Diff(want, got.Accounts, cmpopts.IgnoreUnexported(twilio.Account{}), revealed); diff != "" {
		t.Errorf("accounts (-want +got):\n%s", diff)
	}
}

func TestTheDeploymentsFileIsRead(t *testing.T) {
	t.Parallel()
	_, err := settle(t, []string{
		"--config", "../../deployments/gavel.yaml", "--nats", "nats://nats:4222", "--redis", "redis://redis:6379",
	}, oneAccount)
	if err != nil {
		t.Error(err)
	}
}

func TestFlagsBeatEnvironmentBeatsFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "gavel.yaml")
	if err := os.WriteFile(file, []byte("listen: 127.0.0.1:1\nkeep: 1d\nroles: door\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	variables := with(with(oneAccount, "GAVEL_LISTEN", "127.0.0.1:2"), "GAVEL_KEEP", "2d")
	variables = with(variables, "GAVEL_CONFIG", file)
	got, err := settle(t, []string{"--listen", "127.0.0.1:3"}, variables)
	if err != nil {
		t.Fatal(err)
	}
	if got.Listen != "127.0.0.1:3" || got.Keep != 2*day || got.Roles.String() != "door" {
		t.Errorf("listen %s, keep %s, roles %s; want the flag's, the environment's, the file's", got.Listen, got.Keep, got.Roles)
	}
}

func TestAPasswordOfDigitsStaysAsItIsWritten(t *testing.T) {
	t.Parallel()
	file, err := parseSettings("gavel.yaml", []byte("redis: {password: 0123}\naccounts: [{sid: AC1, auth_tokens: [0x1F]}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if file.Redis.Password != "0123" {
		t.Errorf("the password is %q", file.Redis.Password)
	}
	if got := file.accounts(&secrets{file: file})[0].Tokens.All(); len(got) != 1 || got[0].Secret != "0x1F" {
		t.Errorf("there are %d tokens, or the one is rewritten", len(got))
	}
}

func TestKeepDependsOnWhereRedisIs(t *testing.T) {
	t.Parallel()
	got, err := settle(t, []string{"--redis", "redis://127.0.0.1:6379"}, oneAccount)
	if err != nil || got.Keep != 13*month {
		t.Errorf("keep = %s, %v; want 13 months", got.Keep, err)
	}
}

// Each file in testdata/config except two has the error that its name describes.
func TestBadSettingsAreNamed(t *testing.T) {
	t.Parallel()
	file := func(name string) string { return "testdata/config/" + name + ".yaml" }
	for name, want := range map[string]string{
		"unknown-key":               file("unknown-key") + `:2: unknown key "listn"; did you mean "listen"?`,
		"unknown-key-of-an-account": file("unknown-key-of-an-account") + `:5: unknown key "curent"; did you mean "current"?`,
		"unknown-key-of-speech":     file("unknown-key-of-speech") + `:2: unknown key "smple"`,
		"unknown-speech":            file("unknown-speech") + `: door.speech must be keep, drop or {sample: N}`,
		"speech-sample-of-nothing":  file("speech-sample-of-nothing") + `: door.speech.sample must be 1 or more`,
		"key-twice":                 file("key-twice") + `:3: key "listen" is given twice`,
		"number-for-text":           file("number-for-text") + `:2: nats.replicas: the value must be int`,
		"text-for-list":             file("text-for-list") + `:3: accounts[0].callback_queries: the value must be sequence`,
		"six-faults": strings.Join([]string{
			file("six-faults") + `:1: unknown key "listn"; did you mean "listen"?`,
			file("six-faults") + `:2: keep: the value must be string`,
			file("six-faults") + `:5: unknown key "auth_token"; did you mean "auth_tokens"?`,
			file("six-faults") + `:6: unknown key "apy"; did you mean "api"?`,
			file("six-faults") + `:8: nats.replicas: the value must be int`,
			file("six-faults") + `:9: webhooks.http: the value must be bool`,
		}, "\n"),
		"no-yaml":                 file("no-yaml") + `:1: is not valid YAML`,
		"sync-twice":              file("sync-twice") + `: sync and nats.sync are the same setting; keep one`,
		"token-and-token-file":    settingsFault(file("token-and-token-file") + `:3: accounts[0].auth_tokens.current: set both as a value and as a file`),
		"token-of-unset-variable": settingsFault(file("token-of-unset-variable") + `:3: accounts[0].auth_tokens.current: the environment has no GAVEL_TEST_UNSET`),
		"token-file-missing":      settingsFault(file("token-file-missing") + `:3: accounts[0].auth_tokens.current_file: open testdata/config/no-such-file: no such file or directory`),
		"shared-key-twice":        settingsFault(file("shared-key-twice") + `:5: accounts[0].shared_keys[1].id: is the ID of an earlier key; remove one of them`),
		"shared-key-empty": settingsFault(file("shared-key-empty")+`:5: accounts[0].shared_keys[0].secret: is empty; set secret or secret_file`,
			file("shared-key-empty")+`:7: accounts[0].shared_keys[1].secret: is empty; set secret or secret_file`,
			file("shared-key-empty")+`:9: accounts[0].shared_keys[2].secret_file: testdata/config/empty.txt is empty`),
		"shared-key-and-file": settingsFault(file("shared-key-and-file") + `:6: accounts[0].shared_keys[0].secret: set both as a value and as a file`),
		"shared-key-file-missing": settingsFault(
			file("shared-key-file-missing")+`:3: accounts[0].auth_tokens[1].token_file: open testdata/config/no-such-file: no such file or directory`,
			file("shared-key-file-missing")+`:6: accounts[0].shared_keys[0].secret_file: open testdata/config/no-such-file: no such file or directory`,
			file("shared-key-file-missing")+`:11: accounts[0].regions[0].api_key.secret_file: open testdata/config/no-such-file: no such file or directory`),
		"unknown-key-of-a-shared-key": file("unknown-key-of-a-shared-key") + `:5: unknown key "secrte"; did you mean "secret"?`,
		"unknown-key-of-a-token":      file("unknown-key-of-a-token") + `:5: unknown key "toekn"; did you mean "token"?`,
		"account-sid-malformed":       settingsFault(file("account-sid-malformed") + `:2: accounts[0]: sid is not AC and 32 hex digits`),
		"account-twice":               settingsFault(file("account-twice") + `:4: accounts[1]: duplicate sid`),
		"api-key-without-secret":      settingsFault(file("api-key-without-secret") + `:2: accounts[0]: API key's secret is missing`),
		"webhook-secret-malformed": settingsFault(`webhooks.secret: number 2 is not whsec_ and base64 of 24 to 64 bytes`,
			`webhooks.allow: number 2 is neither a host, an address nor a range like 10.1.0.0/16`),
		"webhook-secret-of-unset-variable": settingsFault(file("webhook-secret-of-unset-variable")+`:1: webhooks.secret[0]: the environment has no GAVEL_TEST_UNSET`,
			`webhooks.secret: number 1 is not whsec_ and base64 of 24 to 64 bytes`),
		"webhook-secret-of-many-kinds":  file("webhook-secret-of-many-kinds") + `:2: webhooks.secret: the value must be sequence`,
		"embedded-with-credentials":     settingsFault(`nats: credentials, tls and replicas are for an external server; set --nats`, `redis: username, password and tls are for an external server; set --redis`),
		"embedded-without-door":         settingsFault(`--roles: the embedded NATS gets its events from this process's door; add door, or set --nats`),
		"embedded-redis-without-reader": settingsFault(`--roles: the embedded Redis is filled by project and read by serve in one process; name both or neither, or set --redis`),
		"everything-wrong": settingsFault(
			`--keep: "for ever" is not an age; write 30d, 13 months or 72h`,
			`--roles: "cook" is not one of door,project,act,serve,deliver`,
			`--listen: "nowhere" is not HOST:PORT`,
			`--admin-listen: "nowhere" is not HOST:PORT`,
			`--admin-listen: is the same address as --listen`,
			`--public-url: must not have a user, a query or a fragment`,
			`--twilio-api: is not http://HOST or https://HOST`,
			`--nats: is neither embedded nor a URL that begins with nats://, tls://, ws://, wss://`,
			`--sync: must be always or interval`,
			`nats.replicas: 7 is not 1 to 5`,
			`nats.lanes: 100 is not 1 to 64`,
			`nats.journal_max_bytes: 5 is less than 67108864`,
			`nats.tls: cert and key must be set together`,
			`--redis: is neither embedded nor a URL that begins with redis://, rediss://, unix://, redis+sentinel://, redis+cluster://, rediss+sentinel://, rediss+cluster://`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			variables := oneAccount
			_, err := settle(t, []string{"--config", file(name)}, variables)
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if strings.Contains(err.Error(), "secret-token") {
				t.Error("the error contains a secret")
			}
			if usage := (usageError{}); !errors.As(err, &usage) {
				t.Error("the error is not a usage error")
			}
		})
	}
}

func settingsFault(faults ...string) string { return "settings:\n" + strings.Join(faults, "\n") }

func TestAccountsMustBeWhole(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		variables map[string]string
		want      string
	}{
		{nil, settingsFault(errNoAccount.Error())},
		{map[string]string{"TWILIO_ACCOUNT_SID": testAccount}, settingsFault("TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN: one is set without the other")},
	} {
		if _, err := settle(t, nil, c.variables); err == nil || err.Error() != c.want {
			t.Errorf("with %v: %v, want %s", c.variables, err, c.want)
		}
	}
	if _, err := settle(t, []string{"--roles", "project,serve", "--nats", "nats://127.0.0.1:4222"}, nil); err != nil {
		t.Errorf("without the door role no account is needed: %v", err)
	}
}

func TestSettingsPrintWithoutSecrets(t *testing.T) {
	t.Parallel()
	got, err := settle(t, nil, oneAccount)
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if said := fmt.Sprintf(format, got); strings.Contains(said, testToken) || strings.Contains(said, fmt.Sprintf("%x", testToken)) {
			t.Errorf("%s prints the token", format)
		}
	}
}

func TestAges(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"30d": 30 * day, "1 day": day, "13 months": 13 * month, "1month": month, "72h": 72 * time.Hour, "90m": 90 * time.Minute,
	} {
		if got, err := parseAge(text); err != nil || got != want {
			t.Errorf("parseAge(%q) = %s, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0d", "d", "-3h", "13 moons", "99999999999999999999d", "5"} {
		if got, err := parseAge(text); err == nil {
			t.Errorf("parseAge(%q) = %s, want an error", text, got)
		}
	}
}

// Whatever the file holds, reading it ends with settings or an error, and an
// error never contains the values.
func FuzzParseSettings(f *testing.F) {
	samples, err := filepath.Glob("testdata/config/*.yaml")
	if err != nil || len(samples) == 0 {
		f.Fatalf("no samples: %v", err)
	}
	for _, sample := range samples {
		text, err := os.ReadFile(sample)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, text := range []string{"listen: !!str", "listn: !!str\n", "listen:\n", "nats: &a {url: x}\nredis: *a\n", "<<: {listen: x}\n", "- x\n", "x\n", "nats: [\n", "accounts: [null, ]\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := parseSettings("gavel.yaml", text)
		if err == nil {
			_, _ = serverFlags{Roles: "all"}.config(file, environment(nil))
			return
		}
		for line := range strings.SplitSeq(err.Error(), "\n") {
			if !strings.HasPrefix(line, "gavel.yaml") {
				t.Errorf("error is %q", err)
			}
		}
	})
}
