package twilio_test

import (
	"strings"
	"sync"
	"testing"

	"gavel/internal/twilio"
)

func TestAccountsAreFoundInEitherLetterCase(t *testing.T) {
	t.Parallel()
	all, err := twilio.NewAccounts([]twilio.Account{{Sid: strings.ToUpper(account), Tokens: twilio.KeyRing{Current: token}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, sid := range []string{account, strings.ToUpper(account), "ac" + account[2:]} {
		if a, ok := all.Lookup(sid); !ok || a.Sid != account {
			t.Errorf("%s is not found", sid)
		}
	}
	for _, sid := range []string{"", "AC", "AC0123456789abcdef0123456789abcdef", leg} {
		if _, ok := all.Lookup(sid); ok {
			t.Errorf("%q is found", sid)
		}
	}
}

func TestAllFaultsAreReportedWithoutASecret(t *testing.T) {
	t.Parallel()
	const canary = "canary-token"
	_, err := twilio.NewAccounts([]twilio.Account{
		{Sid: "AC1", Tokens: twilio.KeyRing{Current: " " + canary}},
		{Sid: account, Tokens: twilio.KeyRing{Next: canary}, APIKey: twilio.APIKey{Sid: "AC1", Secret: canary}},
		{
			Sid: account, Tokens: twilio.KeyRing{Current: canary}, APIKey: twilio.APIKey{Sid: "SK0123456789abcdef0123456789abcdef"},
			CallbackQueries: []string{"", "?a=1", "a=%zz", "AccountSid=1", "bodySHA256=1", "a=1", "a b"},
		},
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"account 1: sid is not AC and 32 hex digits", "auth token has space around it",
		"account 2: current auth token is missing", "API key's sid is not SK",
		"account 3: duplicate sid", "API key's secret is missing",
		"callback query 1 is empty", "callback query 2 holds a question mark", "callback query 3 form: has a bad escape",
		"callback query 4 holds Twilio's own AccountSid", "callback query 5 holds Twilio's own bodySHA256",
		"callback query 7 holds a question mark, a hash or a space",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("fault %q is missing in:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), "callback query 6") {
		t.Errorf("the error contains too much:\n%v", err)
	}
	if _, err := twilio.NewAccounts(nil); err == nil {
		t.Error("an empty list of accounts is accepted")
	}
}

// TestReplace rotates a token while other goroutines verify; run with -race.
func TestReplace(t *testing.T) {
	t.Parallel()
	ring := func(current, previous twilio.Secret) []twilio.Account {
		return []twilio.Account{{Sid: account, Tokens: twilio.KeyRing{Current: current, Previous: previous}}}
	}
	all, err := twilio.NewAccounts(ring("old", ""))
	if err != nil {
		t.Fatal(err)
	}
	sig := signature(t, twilio.Sign("old", hookURL, callback()))
	u := urls(t, hookBase, hookPath)
	verifies := func() (twilio.KeyName, bool) {
		a, _ := all.Lookup(account)
		m, ok := a.Verify(sig, u, "", callback())
		return m.Key, ok
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				if _, ok := verifies(); !ok {
					t.Error("refused during the rotation")
				}
			}
		})
	}
	if err := all.Replace(ring("new", "old")); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if key, ok := verifies(); !ok || key != twilio.Previous {
		t.Errorf("after the rotation: %q, %v", key, ok)
	}
	if err := all.Replace(ring("", "")); err == nil {
		t.Error("an account without a token is accepted")
	}
	if _, ok := verifies(); !ok {
		t.Error("a failed Replace removed the old accounts")
	}
}

func TestPublicURL(t *testing.T) {
	t.Parallel()
	u, err := twilio.NewURLs("https://hooks.example.com:8443/gavel/", hookPath)
	if err != nil || u.String() != "https://hooks.example.com:8443/gavel/twilio/conference" {
		t.Errorf("got %v, %v", u, err)
	}
	const withUser = "https://user:canary@hooks.example.com/gavel" // for a proxy; Twilio signs without it
	if u, err := twilio.NewURLs(withUser, hookPath); err != nil || u.String() != "https://hooks.example.com/gavel/twilio/conference" {
		t.Errorf("got %v, %v", u, err)
	}
	if plain, shown := twilio.WithoutUser(withUser); plain != "https://hooks.example.com/gavel" || shown != "https://user:xxxxx@hooks.example.com/gavel" {
		t.Errorf("got %s, shown as %s", plain, shown)
	}
	for _, bad := range []string{
		"", "hooks.example.com", "ftp://hooks.example.com", "https://", "https://:443", "/gavel",
		"https://hooks.example.com?a=1", "https://hooks.example.com?",
		"https://hooks.example.com#rc=2", "https://hooks.example.com#", "https://canary:port", "https://[::1",
	} {
		if _, err := twilio.NewURLs(bad, hookPath); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}
