package twilio_test

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/twilio/twilio-go/client"
	"pgregory.net/rapid"

	"gavel/events"
	"gavel/internal/twilio"
)

func TestSignAgreesWithEveryVector(t *testing.T) {
	t.Parallel()
	for _, v := range slices.Concat(published, computed) {
		if got := twilio.Sign(v.token, v.url, v.params); got != v.signature {
			t.Errorf("%s: got %s, want %s", v.name, got, v.signature)
		}
	}
}

func TestSignLeavesOutWhatTwilioDoesNotSign(t *testing.T) {
	t.Parallel()
	want := twilio.Sign(token, hookURL+"?mail=a@b", callback())
	for _, url := range []string{
		hookURL + "?mail=a@b#rc=5&rp=all",
		"https://user:p@ss@hooks.example.com/twilio/conference?mail=a@b#rc=5",
	} {
		if got := twilio.Sign(token, url, callback()); got != want {
			t.Errorf("%s: got %s, want %s", url, got, want)
		}
	}
}

// accounts returns one account with these tokens.
func accounts(t testing.TB, ring twilio.KeyRing) *twilio.Account {
	t.Helper()
	all, err := twilio.NewAccounts([]twilio.Account{{Sid: account, Tokens: ring}})
	if err != nil {
		t.Fatal(err)
	}
	return all.All()[0]
}

func urls(t testing.TB, public, path string) twilio.URLs {
	t.Helper()
	u, err := twilio.NewURLs(public, path)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func signature(t testing.TB, header string) twilio.Signature {
	t.Helper()
	sig, ok := twilio.ParseSignature(header)
	if !ok {
		t.Fatalf("%q is not a signature", header)
	}
	return sig
}

func TestVerifyAcceptsEveryVector(t *testing.T) {
	t.Parallel()
	for _, v := range slices.Concat(published, computed) {
		a := accounts(t, twilio.KeyRing{Current: twilio.Secret(v.token)})
		whole, query, _ := strings.Cut(v.url, "?")
		slash := strings.Index(whole[len("https://"):], "/") + len("https://")
		u := urls(t, whole[:slash], whole[slash:])
		if key, ok := a.Verify(signature(t, v.signature), u, query, v.params); !ok || key.Key != twilio.Current {
			t.Errorf("%s: got %q, %v", v.name, key, ok)
		}
	}
}

// TestPorts: Twilio may sign the URL with its port, without it, or with the default one.
func TestPorts(t *testing.T) {
	t.Parallel()
	a := accounts(t, twilio.KeyRing{Current: token})
	for _, c := range []struct {
		public, signed string
		want           bool
	}{
		{"https://hooks.example.com", "https://hooks.example.com", true},
		{"https://hooks.example.com", "https://hooks.example.com:443", true},
		{"https://hooks.example.com:443", "https://hooks.example.com:443", true},
		{"https://hooks.example.com:443", "https://hooks.example.com", true},
		{"https://hooks.example.com:8443", "https://hooks.example.com:8443", true},
		{"https://hooks.example.com:8443", "https://hooks.example.com", true},
		{"https://hooks.example.com:8443", "https://hooks.example.com:443", false},
		{"https://hooks.example.com", "https://hooks.example.com:8443", false},
		{"https://hooks.example.com", "https://hooks.example.com:80", false},
		{"http://hooks.example.com", "http://hooks.example.com:80", true},
		{"http://hooks.example.com", "https://hooks.example.com", false},
		{"https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443", true},
		{"https://[2001:db8::1]:8443", "https://[2001:db8::1]", true},
		{"https://[2001:db8::1]", "https://[2001:db8::1]:443", true},
		{"https://hooks.example.com/gavel", "https://hooks.example.com/gavel", true},
		{"https://hooks.example.com/gavel/", "https://hooks.example.com/gavel", true},
		{"https://hooks.example.com/gavel", "https://hooks.example.com", false},
	} {
		sig := signature(t, twilio.Sign(token, c.signed+hookPath, callback()))
		if _, ok := a.Verify(sig, urls(t, c.public, hookPath), "", callback()); ok != c.want {
			t.Errorf("public URL %s, signed %s: got %v", c.public, c.signed, ok)
		}
	}
}

func TestEveryKeyOfTheRingIsTried(t *testing.T) {
	t.Parallel()
	ring := twilio.KeyRing{Current: "one", Next: "two", Previous: "three"}
	a := accounts(t, ring)
	for name, tok := range map[twilio.KeyName]string{
		twilio.Current: "one", twilio.Next: "two", twilio.Previous: "three",
	} {
		sig := signature(t, twilio.Sign(tok, hookURL, callback()))
		if key, ok := a.Verify(sig, urls(t, hookBase, hookPath), "", callback()); !ok || key.Key != name {
			t.Errorf("%s: got %q, %v", name, key, ok)
		}
	}
}

// TestEmptyKeyVerifiesNothing: an unset place in the ring must not become an
// empty key, with which any sender can sign.
func TestEmptyKeyVerifiesNothing(t *testing.T) {
	t.Parallel()
	a := accounts(t, twilio.KeyRing{Current: token})
	sig := signature(t, twilio.Sign("", hookURL, callback()))
	if _, ok := a.Verify(sig, urls(t, hookBase, hookPath), "", callback()); ok {
		t.Error("a signature by the empty key was accepted")
	}
	var unprepared twilio.Account
	if _, ok := unprepared.Verify(sig, urls(t, hookBase, hookPath), "", callback()); ok {
		t.Error("an account without keys accepted a signature")
	}
}

func TestSignatureHasOneSpelling(t *testing.T) {
	t.Parallel()
	const good = "93nhseM4ImiRmjoicYx6XaumduE="
	if _, ok := twilio.ParseSignature(good); !ok {
		t.Fatal("a good signature is refused")
	}
	for _, bad := range []string{
		"", "=", good[:27], good + "=", good[:27] + "A", "93nhseM4ImiRmjoicYx6XaumduF=",
		"93nhseM4ImiRmjoicYx6Xaumdu-=", " " + good[:27], good[:13] + "\n" + good[13:27],
	} {
		if _, ok := twilio.ParseSignature(bad); ok {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestVerifyJSONFindsTheAccount(t *testing.T) {
	t.Parallel()
	const other = "AC0123456789abcdef0123456789abcdef"
	all, err := twilio.NewAccounts([]twilio.Account{
		{Sid: other, Tokens: twilio.KeyRing{Current: "other"}},
		{Sid: account, Tokens: twilio.KeyRing{Current: "new", Previous: token}},
	})
	if err != nil {
		t.Fatal(err)
	}
	body := `{"specversion":"1.0","type":"com.twilio.voice.insights.conference-summary.complete","note":"naïve ☎"}`
	_, query, _ := strings.Cut(computed[8].url, "?")
	before, sum, ok := twilio.BodyHash(query)
	if !ok || before != "" || sum != sha256.Sum256([]byte(body)) {
		t.Fatalf("body hash of V6: %q, %v", before, ok)
	}
	matched := all.VerifyJSON(signature(t, computed[8].signature), urls(t, hookBase, "/twilio/events"), query)
	if len(matched) != 1 || matched[0].Account.Sid != account || matched[0].Key != twilio.Previous {
		t.Errorf("got %v", matched)
	}
}

func TestBodyHash(t *testing.T) {
	t.Parallel()
	digits := strings.Repeat("0a", 32)
	for query, want := range map[string]string{
		"bodySHA256=" + digits:                       "",
		"queue=sales&bodySHA256=" + digits:           "queue=sales",
		"a=1&bodySHA256=" + digits + "&b=2":          "-",
		"bodySHA256=" + digits[:63]:                  "-",
		"bodySHA256=" + digits[:63] + "g":            "-",
		"bodysha256=" + digits:                       "-",
		"":                                           "-",
		"bodySHA256=" + digits + "&bodySHA256=" + "": "-",
	} {
		before, _, ok := twilio.BodyHash(query)
		if ok != (want != "-") || ok && before != want {
			t.Errorf("%q: got %q, %v", query, before, ok)
		}
	}
}

// official is twilio-go's validator, the reference where it is correct.
func official(tok, url string, params events.Params, sig string) bool {
	values := map[string]string{}
	for _, p := range params {
		values[p.Name] = p.Value
	}
	validator := client.NewRequestValidator(tok)
	return validator.Validate(url, values, sig)
}

// TestOfficialValidatorAgrees: Twilio's own Go validator accepts what Sign
// makes of any parameters without repeated names.
func TestOfficialValidatorAgrees(t *testing.T) {
	t.Parallel()
	a := accounts(t, twilio.KeyRing{Current: token})
	u := urls(t, hookBase, hookPath)
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.MapOf(rapid.StringMatching(`[A-Za-z_][A-Za-z0-9_]{0,12}`), rapid.String()).Draw(t, "params")
		var params events.Params
		for name, value := range values {
			params = append(params, events.Param{Name: name, Value: value})
		}
		header := twilio.Sign(token, hookURL, params)
		if !official(token, hookURL, params, header) {
			t.Fatal("twilio-go refuses what Sign made")
		}
		sig, _ := twilio.ParseSignature(header)
		if _, ok := a.Verify(sig, u, "", params); !ok {
			t.Fatal("Verify refuses what Sign made")
		}
		raw, _ := base64.StdEncoding.DecodeString(header)
		raw[rapid.IntRange(0, len(raw)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		sig, _ = twilio.ParseSignature(base64.StdEncoding.EncodeToString(raw))
		if _, ok := a.Verify(sig, u, "", params); ok {
			t.Fatal("a signature with one bit changed is accepted")
		}
	})
}

func FuzzParseSignature(f *testing.F) {
	f.Add("93nhseM4ImiRmjoicYx6XaumduE=")
	f.Add("93nhseM4ImiRmjoicYx6XaumduF=")
	f.Fuzz(func(t *testing.T, header string) {
		sig, ok := twilio.ParseSignature(header)
		if !ok {
			return
		}
		for _, other := range []string{strings.ToLower(header), strings.ToUpper(header), header + " "} {
			if again, ok := twilio.ParseSignature(other); ok && other != header && again == sig {
				t.Fatalf("%q and %q are one signature", header, other)
			}
		}
	})
}

func FuzzBodyHash(f *testing.F) {
	f.Add("queue=sales&bodySHA256=" + strings.Repeat("0a", 32))
	f.Fuzz(func(t *testing.T, query string) {
		before, _, ok := twilio.BodyHash(query)
		if ok && !strings.HasPrefix(query, before) {
			t.Fatalf("%q is not in front of %q", before, query)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	a := accounts(b, twilio.KeyRing{Current: token})
	u := urls(b, hookBase, hookPath)
	params := computed[4].params
	sig := signature(b, twilio.Sign(token, hookURL, params))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := a.Verify(sig, u, "", params); !ok {
			b.Fatal("refused")
		}
	}
}
