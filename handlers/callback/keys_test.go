package callback_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gavel/handlers/callback"
	"gavel/internal/twilio"
)

const (
	sharedKey    = "webhooks_sharedkey_01k9zx3f5v7q2m4n6p8r0s1t2u"
	sharedSecret = "b3BlbnNlc2FtZW9wZW5zZXNhbWU="
)

// keyed is a door whose account has a token and a shared key, as in the middle of a migration.
func keyed(t testing.TB) *world {
	t.Helper()
	return newWorld(t, func(cfg *callback.Config) {
		var err error
		cfg.Accounts, err = twilio.NewAccounts([]twilio.Account{{
			Sid: account, Tokens: twilio.KeyRing{Current: token},
			SharedKeys: []twilio.SharedKey{{ID: sharedKey, Secret: sharedSecret}, {ID: "unused", Secret: "unused"}},
		}})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// signed is a join, or an empty batch of Event Streams, with a signature made by sign.
func signed(t testing.TB, path string, sign func(url string, form string) string) *http.Request {
	t.Helper()
	body, contentType := join().Encode(), "application/x-www-form-urlencoded"
	if path == callback.EventsPath {
		sum := sha256.Sum256([]byte("[]"))
		body, contentType, path = "[]", "application/json", path+"?bodySHA256="+hex.EncodeToString(sum[:])
	}
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	r.Header.Set(twilio.SignatureHeader, sign(public+path, body))
	return r
}

func bySHA1(t testing.TB, secret string) func(url, form string) string {
	return func(url, form string) string {
		if form == "[]" {
			return twilio.Sign(secret, url, nil)
		}
		return twilio.Sign(secret, url, params(t, form))
	}
}

func bySHA256(t testing.TB, secret string) func(url, form string) string {
	return func(url, form string) string {
		if form == "[]" {
			return twilio.SignSHA256(secret, url, nil)
		}
		return twilio.SignSHA256(secret, url, params(t, form))
	}
}

// TestOldAndNewSignaturesArriveAtOneURL: while a rule at Twilio splits the traffic, callbacks
// signed with the token and with the shared key are both accepted, and the operator sees how
// many of each still arrive.
func TestOldAndNewSignaturesArriveAtOneURL(t *testing.T) {
	t.Parallel()
	for _, path := range []string{callback.ConferencePath, callback.EventsPath} {
		w := keyed(t)
		for _, key := range []string{"current", sharedKey, "unused"} {
			if !strings.Contains(w.exposition(t), `value:"`+key+`"`) {
				t.Errorf("before the first callback the key %s is not shown", key)
			}
		}
		for range 2 {
			wantStatus(t, w.send(signed(t, path, bySHA1(t, token))), http.StatusNoContent)
			wantStatus(t, w.send(signed(t, path, bySHA256(t, sharedSecret))), http.StatusNoContent)
		}
		wantStatus(t, w.send(signed(t, path, bySHA1(t, sharedSecret))), http.StatusNoContent)
		for key, want := range map[string]float64{"current": 2, sharedKey: 3, "unused": 0} {
			if got := w.counted(t, "gavel_key_matched_total", key); got != want {
				t.Errorf("%s: key %s matched %v times, want %v", path, key, got, want)
			}
		}
		wantStatus(t, w.send(signed(t, path, bySHA256(t, token))), http.StatusForbidden)
	}
}

// TestTheSettingsHeaderDecidesNothing: any sender can set it. A genuine callback is accepted
// whatever it holds, a wrong signature is refused, and the refusal's text shows what it states.
func TestTheSettingsHeaderDecidesNothing(t *testing.T) {
	t.Parallel()
	const unknown, known = "name a shared key that Gavel does not have", "name a configured shared key"
	for header, refusal := range map[string]string{
		"key=webhooks_sharedkey_01k,algorithm=HMAC_SHA256":            unknown,
		" key=k , algorithm = hmac_sha256 ":                           unknown,
		"algorithm=HMAC_SHA1,key=k":                                   unknown,
		"key=k":                                                       unknown,
		"key=" + sharedKey + ",algorithm=HMAC_SHA256":                 known,
		"algorithm=HMAC_SHA512":                                       "name an algorithm other than",
		"algorithm=HMAC_SHA256,algorithm=HMAC_SHA512,key=" + "unused": known,
		"": "",
	} {
		w := keyed(t)
		for _, sign := range []func(url, form string) string{bySHA1(t, token), bySHA256(t, sharedSecret)} {
			r := signed(t, callback.ConferencePath, sign)
			r.Header.Set(twilio.SettingsHeader, header)
			wantStatus(t, w.send(r), http.StatusNoContent)
		}
		for _, path := range []string{callback.ConferencePath, callback.EventsPath} {
			r := signed(t, path, bySHA256(t, "another secret"))
			r.Header.Set(twilio.SettingsHeader, header)
			wantStatus(t, w.send(r), http.StatusForbidden)
		}
		if log := w.log.String(); !strings.Contains(log, refusal) || strings.Contains(log, "01k,") || (refusal == "") == strings.Contains(log, "fault=") {
			t.Errorf("%q: the log is\n%s", header, log)
		}
		if text := w.exposition(t); strings.Contains(text, "01k\"") {
			t.Errorf("%q: the header became a label", header)
		}
	}
}

// TestTheEntryKeepsTheRegionWhoseKeySigned: so that calls about its conference go there.
func TestTheEntryKeepsTheRegionWhoseKeySigned(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(cfg *callback.Config) {
		var err error
		cfg.Accounts, err = twilio.NewAccounts([]twilio.Account{{
			Sid: account, Tokens: twilio.KeyRing{Current: token, Next: "next"},
			Regions: []twilio.Region{{Name: "ie1", API: "https://api.dublin.ie1.twilio.com", Tokens: []twilio.Token{
				{Name: "ie1-current", Secret: "dublin"}, {Name: "ie1-previous", Secret: "dublin before"},
			}}},
		}})
		if err != nil {
			t.Fatal(err)
		}
	})
	for secret, want := range map[string]string{token: "", "next": "", "dublin": "ie1", "dublin before": "ie1"} {
		wantStatus(t, w.send(signed(t, callback.ConferencePath, bySHA1(t, secret))), http.StatusNoContent)
		wantStatus(t, w.stream(t, secret, "", encode(t, []any{streamItem(join())})), http.StatusNoContent)
		entries := w.journal.drain()
		if len(entries) != 2 || entries[0].Region != want || entries[1].Region != want {
			t.Errorf("by %s the journal has %+v, want two entries of region %q", secret, entries, want)
		}
	}
}

// TestAKeyThatComesWithAReloadIsCounted: SIGHUP replaces the accounts of a running door.
func TestAKeyThatComesWithAReloadIsCounted(t *testing.T) {
	t.Parallel()
	var accounts *twilio.Accounts
	w := newWorld(t, func(cfg *callback.Config) { accounts = cfg.Accounts })
	wantStatus(t, w.send(signed(t, callback.ConferencePath, bySHA256(t, sharedSecret))), http.StatusForbidden)
	err := accounts.Replace([]twilio.Account{{
		Sid: account, Tokens: twilio.KeyRing{Current: token}, SharedKeys: []twilio.SharedKey{{ID: sharedKey, Secret: sharedSecret}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, w.send(signed(t, callback.ConferencePath, bySHA256(t, sharedSecret))), http.StatusNoContent)
	w.door.ShowKeys()
	wantStatus(t, w.send(signed(t, callback.ConferencePath, bySHA256(t, sharedSecret))), http.StatusNoContent)
	if got := w.counted(t, "gavel_key_matched_total", sharedKey); got != 2 {
		t.Errorf("the new key matched %v times, want 2", got)
	}
}
