package twilio_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gavel/events"
	"gavel/internal/twilio"
)

// Signatures by HMAC_SHA256 of the vectors with the same names, made with npm twilio 6.3.1
// (getExpectedTwilioSignature); the token's text is the secret.
var bySHA256 = map[string]string{
	"V1 query":                  "9lpAGMaTBriAOk9pxC0R4k6sX+xH4WrgfJlVVJ0b9H4=",
	"V2a port kept":             "h2skn3oXAskFgzQlJRSMXZjGBYvApbKhG4kTYHIcz00=",
	"V2b port dropped":          "twMN//dUQA8UZ67nxdz1slnPRB7VYk6bpIYFTuf07HQ=",
	"V3 unicode":                "LzYTSwX+xQ5xXklTofqCEKWSYl9A0eOP7xxe3AGVKeQ=",
	"V4 duplicates":             "GJtF2qZ6oDwwho7jJZefbUakMWD2pZfzhSEPPGbfmaI=",
	"V5 empty values":           "ed59n4kHBld4Jk2Jy+FwnT6OYFKatjeah8VhWWubUFU=",
	"V5b keys that begin alike": "viOJZVSZgWegt7yHBPn/8CkjHeyybsf+RO0sA9DYu6I=",
	"V6 JSON":                   "W0HNcxerulvHcuv58GBAd3vI6pTHnsjzBd8tjmK1IKI=",
	"V7 GET":                    "cwRBpT1TWw+qztsw7hMTk7PBD8vOkZ05KeouWGfA4ac=",
}

const sharedKey = "webhooks_sharedkey_01k9zx3f5v7q2m4n6p8r0s1t2u"

// having returns an account with these keys.
func having(t testing.TB, a twilio.Account) *twilio.Account {
	t.Helper()
	a.Sid = account
	all, err := twilio.NewAccounts([]twilio.Account{a})
	if err != nil {
		t.Fatal(err)
	}
	return all.All()[0]
}

// split returns the public URL, the path and the query of a URL.
func split(url string) (public, path, query string) {
	whole, query, _ := strings.Cut(url, "?")
	slash := strings.Index(whole, "://") + len("://")
	slash += strings.Index(whole[slash:], "/")
	return whole[:slash], whole[slash:], query
}

// TestASharedKeySignsWithEitherAlgorithm: a receiver learns which one only from the
// signature's length, because the header that names it is not signed.
func TestASharedKeySignsWithEitherAlgorithm(t *testing.T) {
	t.Parallel()
	checked := 0
	for _, v := range computed {
		long, ok := bySHA256[v.name]
		if !ok {
			continue
		}
		checked++
		if got := twilio.SignSHA256(v.token, v.url, v.params); got != long {
			t.Errorf("%s: signed %s, want %s", v.name, got, long)
		}
		a := having(t, twilio.Account{SharedKeys: []twilio.SharedKey{{ID: "other", Secret: "other"}, {ID: sharedKey, Secret: token}}})
		public, path, query := split(v.url)
		for _, header := range []string{long, v.signature} {
			m, ok := a.Verify(signature(t, header), urls(t, public, path), query, v.params)
			if !ok || m.Key != sharedKey {
				t.Errorf("%s: %s matched %+v, %v", v.name, header, m, ok)
			}
		}
	}
	if checked != len(bySHA256) {
		t.Errorf("%d vectors were checked, want %d", checked, len(bySHA256))
	}
}

// TestATokenDoesNotSignWithSHA256: Twilio signs with an auth token by HMAC-SHA1 only.
func TestATokenDoesNotSignWithSHA256(t *testing.T) {
	t.Parallel()
	a := having(t, twilio.Account{
		Tokens:     twilio.KeyRing{Current: token},
		SharedKeys: []twilio.SharedKey{{ID: sharedKey, Secret: "another secret"}},
	})
	sig := signature(t, twilio.SignSHA256(token, hookURL, callback()))
	if m, ok := a.Verify(sig, urls(t, hookBase, hookPath), "", callback()); ok {
		t.Errorf("matched %+v", m)
	}
}

// TestAMigrationKeepsEveryKeyValid: during a migration old and new signatures arrive at
// one URL, in any order, and whichever matched last is tried first.
func TestAMigrationKeepsEveryKeyValid(t *testing.T) {
	t.Parallel()
	a := having(t, twilio.Account{
		Tokens:     twilio.KeyRing{Current: "one", Next: "two", Previous: "three"},
		MoreTokens: []twilio.Token{{Name: "token-4", Secret: "four"}},
		SharedKeys: []twilio.SharedKey{{ID: "key-5", Secret: "five"}, {ID: "key-6", Secret: "six"}},
		Regions: []twilio.Region{
			{Name: "ie1", API: "https://api.dublin.ie1.twilio.com", Tokens: []twilio.Token{{Name: "ie1-current", Secret: "seven"}}},
		},
	})
	u := urls(t, hookBase, hookPath)
	signed := map[twilio.Match][]string{
		{Key: "current"}:                    {twilio.Sign("one", hookURL, callback())},
		{Key: "next"}:                       {twilio.Sign("two", hookURL, callback())},
		{Key: "previous"}:                   {twilio.Sign("three", hookURL, callback())},
		{Key: "token-4"}:                    {twilio.Sign("four", hookURL, callback())},
		{Key: "key-5"}:                      {twilio.Sign("five", hookURL, callback()), twilio.SignSHA256("five", hookURL, callback())},
		{Key: "key-6"}:                      {twilio.Sign("six", hookURL, callback()), twilio.SignSHA256("six", hookURL, callback())},
		{Key: "ie1-current", Region: "ie1"}: {twilio.Sign("seven", hookURL, callback())},
	}
	for range 3 {
		for want, headers := range signed {
			for _, header := range headers {
				if m, ok := a.Verify(signature(t, header), u, "", callback()); !ok || m != want {
					t.Errorf("got %+v, %v; want %+v", m, ok, want)
				}
			}
		}
	}
	for _, header := range []string{twilio.Sign("eight", hookURL, callback()), twilio.SignSHA256("one", hookURL, callback())} {
		if m, ok := a.Verify(signature(t, header), u, "", callback()); ok {
			t.Errorf("a key that is not configured matched %+v", m)
		}
	}
}

// TestAnApostropheInTheQueryHasTwoSpellings: what Twilio signed and what arrives may differ
// in how an apostrophe is written; the official validator accepts both.
func TestAnApostropheInTheQueryHasTwoSpellings(t *testing.T) {
	t.Parallel()
	a := having(t, twilio.Account{Tokens: twilio.KeyRing{Current: token}})
	u := urls(t, hookBase, hookPath)
	for _, c := range []struct {
		signed, arrives string
		want            bool
	}{
		{"team=o'brien", "team=o%27brien", true},
		{"team=o%27brien", "team=o'brien", true},
		{"team=o'b%27n", "team=o%27b'n", false}, // nothing writes one query in two ways
		{"team=o'b%27n", "team=o'b%27n", true},
		{"team=o'b'n", "team=o'b%27n", true},
		{"team=o%27b%27n", "team=o'b%27n", true},
		{"team=o'brien", "team=obrien", false},
		{"team=o'brien", "team=o%2527brien", false},
	} {
		sig := signature(t, twilio.Sign(token, hookURL+"?"+c.signed, callback()))
		if _, ok := a.Verify(sig, u, c.arrives, callback()); ok != c.want {
			t.Errorf("signed %s, arrives as %s: accepted %v", c.signed, c.arrives, ok)
		}
	}
}

// Signatures in the tests of Twilio's official libraries (twilio-python and twilio-php
// RequestValidator tests, twilio-csharp, twilio-go 1.31.0), with the token 12345. url is what
// a receiver is configured with.
func TestSignaturesOfTheOfficialLibrariesAreAccepted(t *testing.T) {
	t.Parallel()
	usual := events.Params{
		p("CallSid", "CA1234567890ABCDE"), p("Caller", "+14158675309"), p("Digits", "1234"),
		p("From", "+14158675309"), p("To", "+18005551212"),
	}
	const query, bodyHash = "?foo=1&bar=2", "bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"
	inGo := append(usual[:5:5], p("ReasonConferenceEnded", "test"), p("Reason", "Participant"))
	for _, c := range []struct {
		name, url string
		params    events.Params
		signature string
		want      bool
	}{
		{"https", "https://mycompany.com/myapp.php" + query, usual, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", true},
		{"https removes the port", "https://mycompany.com:1234/myapp.php" + query, usual, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", true},
		{"http keeps the port", "http://mycompany.com:1234/myapp.php" + query, usual, "Zmvh+3yNM1Phv2jhDCwEM3q5ebU=", true},
		{"https adds the port", "https://mycompany.com/myapp.php" + query, usual, "kvajT1Ptam85bY51eRf/AJRuM3w=", true},
		{"http adds the port", "http://mycompany.com/myapp.php" + query, usual, "0ZXoZLH/DfblKGATFgpif+LLRf4=", true},
		{"mixed case", "https://MyCompany.com/myapp.php" + query, usual, "g9IN/x4Cft2g517EjYvEvM/W7LU=", true},
		{"mixed case with a port", "https://MyCompany.com:1234/myapp.php" + query, usual, "PCqOZm8cnu/L6+u5i5fuEd+Iac4=", true},
		{"repeated values", "https://mycompany.com/myapp.php" + query, events.Params{
			p("Sid", "CA123"), p("SidAccount", "AC123"), p("Digits", "5678"), p("Digits", "1234"), p("Digits", "1234"),
		}, "IK+Dwps556ElfBT0I3Rgjkr1wJU=", true},
		{"body", "https://mycompany.com/myapp.php" + query + "&" + bodyHash, nil, "a9nBmqA0ju/hNViExpshrM61xv4=", true},
		{"body alone", "https://mycompany.com/myapp.php?" + bodyHash, nil, "y77kIzt2vzLz71DgmJGsen2scGs=", true},
		{"names that begin alike", "https://mycompany.com/myapp.php" + query, inGo, "vOEb5UThFn24KEfnOFLQY2AE5FY=", true},
		{"names in the wrong order", "https://mycompany.com/myapp.php" + query, inGo, "95+Bu0JVPi0r/SsESZCVf0dWAjw=", false},
		{"another port", "http://mycompany.com:1234/myapp.php" + query, inGo, "n2xBNyzSW7rfYStDtOFiFMv7qNo=", true},
		{"short form", "https://mycompany.com/myapp.php" + query, events.Params{p("property", "value"), p("boolean", "true")}, "NBdBDr/T/lgjI+tlgpXjKZQZs/k=", true},
		{"incorrect", "https://mycompany.com/myapp.php" + query, usual, "NORSOYDt4T1cUTdK1PDd93/VVr8=", false},
	} {
		public, path, query := split(c.url)
		a := having(t, twilio.Account{Tokens: twilio.KeyRing{Current: "12345"}, SharedKeys: []twilio.SharedKey{{ID: "k", Secret: "k"}}})
		if _, ok := a.Verify(signature(t, c.signature), urls(t, public, path), query, c.params); ok != c.want {
			t.Errorf("%s: accepted %v", c.name, ok)
		}
	}
}

// TestAnAccountOfSharedKeysAloneIsWhole: it verifies, serves announcements and signs tests,
// and only calls to Twilio need a credential that it does not have.
func TestAnAccountOfSharedKeysAloneIsWhole(t *testing.T) {
	t.Parallel()
	all, err := twilio.NewAccounts([]twilio.Account{{Sid: account, SharedKeys: []twilio.SharedKey{{ID: sharedKey, Secret: "secret"}}}})
	if err != nil {
		t.Fatal(err)
	}
	a := all.All()[0]
	if m, ok := a.Verify(signature(t, a.Sign(hookURL, callback())), urls(t, hookBase, hookPath), "", callback()); !ok || m.Key != sharedKey {
		t.Errorf("its own signature matched %+v, %v", m, ok)
	}
	u := address(t, all, noon)
	if _, _, err := all.CheckAnnounce(u.Path, u.Query(), noon.Add(-1)); err != nil {
		t.Errorf("its announcement: %v", err)
	}
}

func TestKeysThatAnySenderHasAreRefused(t *testing.T) {
	t.Parallel()
	ring := twilio.KeyRing{Current: token}
	region := twilio.Region{Name: "ie1", API: "https://api.dublin.ie1.twilio.com", Tokens: []twilio.Token{{Name: "ie1-current", Secret: "x"}}}
	for want, a := range map[string]twilio.Account{
		"current auth token is missing":         {},
		"shared key 1: its secret is missing":   {Tokens: ring, SharedKeys: []twilio.SharedKey{{ID: sharedKey}}},
		"shared key 1: its name or ID is not":   {Tokens: ring, SharedKeys: []twilio.SharedKey{{ID: "a b", Secret: "x"}}},
		"auth token: its secret is missing":     {Tokens: ring, MoreTokens: []twilio.Token{{Name: "old"}}},
		"two keys are named k":                  {SharedKeys: []twilio.SharedKey{{ID: "k", Secret: "x"}, {ID: "k", Secret: "y"}}},
		"two keys are named next":               {Tokens: twilio.KeyRing{Current: "x", Next: "y"}, SharedKeys: []twilio.SharedKey{{ID: "next", Secret: "z"}}},
		"region 2: duplicate region":            {Tokens: ring, Regions: []twilio.Region{region, region}},
		"region 1: its name is not one of":      {Tokens: ring, Regions: []twilio.Region{{Name: "Ireland", API: region.API, Tokens: region.Tokens}}},
		"region 1: api is not https://HOST":     {Tokens: ring, Regions: []twilio.Region{{Name: "ie1", Tokens: region.Tokens}}},
		"region 1: it has no auth token":        {Tokens: ring, Regions: []twilio.Region{{Name: "ie1", API: region.API}}},
		"region 1: API key's secret is missing": {Tokens: ring, Regions: []twilio.Region{{Name: "ie1", API: region.API, Tokens: region.Tokens, APIKey: twilio.APIKey{Sid: "SK0123456789abcdef0123456789abcdef"}}}},
	} {
		a.Sid = account
		if _, err := twilio.NewAccounts([]twilio.Account{a}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestALongSignatureHasOneSpelling(t *testing.T) {
	t.Parallel()
	const good = "twMN//dUQA8UZ67nxdz1slnPRB7VYk6bpIYFTuf07HQ="
	if _, ok := twilio.ParseSignature(good); !ok {
		t.Fatal("a good signature is refused")
	}
	for _, bad := range []string{
		good[:43], good + "=", good[:43] + "A", "twMN//dUQA8UZ67nxdz1slnPRB7VYk6bpIYFTuf07HR=",
		"twMN__dUQA8UZ67nxdz1slnPRB7VYk6bpIYFTuf07HQ=", " " + good[:43], good[:20] + "\n" + good[20:43],
	} {
		if _, ok := twilio.ParseSignature(bad); ok {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// TestCallsGoToTheRegionThatTheyName: each region has its own host and credentials; a region that
// the settings no longer have is the home region, and shared keys alone cannot call.
func TestCallsGoToTheRegionThatTheyName(t *testing.T) {
	t.Parallel()
	var user, password string
	served := func(name string) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			user, password, _ = r.BasicAuth()
			w.Header().Set("Place", name)
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	key := twilio.APIKey{Sid: apiKey, Secret: "sydney's key"}
	c := newCaller(t, served("home"), nil, twilio.APIKey{})
	err := c.accounts.Replace([]twilio.Account{
		{Sid: account, Tokens: twilio.KeyRing{Current: token}, Regions: []twilio.Region{
			{Name: "ie1", API: served("dublin") + "/", Tokens: []twilio.Token{{Name: "ie1-current", Secret: "dublin's token"}, {Name: "ie1-previous", Secret: "x"}}},
			{Name: "au1", API: served("sydney"), Tokens: []twilio.Token{{Name: "au1-current", Secret: "sydney's token"}}, APIKey: key},
		}},
		{Sid: "AC0123456789abcdef0123456789abcdef", SharedKeys: []twilio.SharedKey{{ID: sharedKey, Secret: "secret"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for region, want := range map[string][3]string{
		"": {"home", account, token}, "us1": {"home", account, token},
		"ie1": {"dublin", account, "dublin's token"}, "au1": {"sydney", apiKey, "sydney's key"},
	} {
		call := ending
		call.Region = region
		answer, err := c.Call(t.Context(), call)
		if got := [3]string{answer.Header.Get("Place"), user, password}; err != nil || got != want {
			t.Errorf("region %q: %q, %v; want %q", region, got, err, want)
		}
	}
	call := ending
	call.AccountSid = "AC0123456789abcdef0123456789abcdef"
	if _, err := c.Call(t.Context(), call); !errors.Is(err, twilio.ErrNoCredentials) || c.CanCall(call.AccountSid) {
		t.Errorf("shared keys alone: %v, can call %v", err, c.CanCall(call.AccountSid))
	}
}
