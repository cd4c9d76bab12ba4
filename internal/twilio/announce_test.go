package twilio_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"gavel/events"
	"gavel/internal/twilio"
)

const decision = "0123456789abcdef0123456789abcdef"

var (
	room = events.Key{AccountSid: account, ConferenceSid: "CF0123456789abcdef0123456789abcdef"}
	noon = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
)

// announcing returns accounts with one account that has these tokens.
func announcing(t testing.TB, ring twilio.KeyRing) *twilio.Accounts {
	t.Helper()
	all, err := twilio.NewAccounts([]twilio.Account{{Sid: account, Tokens: ring}})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// address makes an announcement's address and parses it.
func address(t testing.TB, all *twilio.Accounts, until time.Time) *url.URL {
	t.Helper()
	made, err := all.AnnounceURL("https://hooks.example.com/gavel/", room, decision, until)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(made)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = strings.TrimPrefix(u.Path, "/gavel") // as a proxy does
	return u
}

func TestAnAnnouncementsAddressLeadsToItsDecision(t *testing.T) {
	t.Parallel()
	all := announcing(t, twilio.KeyRing{Current: token})
	u := address(t, all, noon.Add(time.Minute))
	query := u.Query()
	query.Set("CallSid", leg) // as in a GET from Twilio
	key, id, err := all.CheckAnnounce(u.Path, query, noon)
	if err != nil || key != room || id != decision {
		t.Errorf("got %v, %s, %v", key, id, err)
	}
	key, id, ok := twilio.AnnounceID("https://hooks.example.com/gavel" + u.RequestURI())
	if !ok || key != room || id != decision {
		t.Errorf("its end names %v, %s, %v", key, id, ok)
	}
}

// TestTheAddressIsAsDocumented computes the code from the documented steps.
func TestTheAddressIsAsDocumented(t *testing.T) {
	t.Parallel()
	sign := func(key []byte, text string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	mac := sign(sign([]byte(token), "gavel announcement v1"), account+"\n"+room.ConferenceSid+"\n"+decision+"\n1793620860")
	want := "https://hooks.example.com/twilio/announce/" + account + "/" + room.ConferenceSid + "/" + decision +
		"?exp=1793620860&mac=" + hex.EncodeToString(mac)
	got, err := announcing(t, twilio.KeyRing{Current: token}).
		AnnounceURL("https://hooks.example.com", room, decision, time.Unix(1793620860, 999))
	if err != nil || got != want {
		t.Errorf("got %s, %v\nwant %s", got, err, want)
	}
}

func TestAnAddressSurvivesARotationUntilItExpires(t *testing.T) {
	t.Parallel()
	u := address(t, announcing(t, twilio.KeyRing{Current: "old"}), noon)
	for name, ring := range map[string]twilio.KeyRing{
		"current": {Current: "old"}, "next": {Current: "new", Next: "old"}, "previous": {Current: "new", Previous: "old"},
	} {
		if _, _, err := announcing(t, ring).CheckAnnounce(u.Path, u.Query(), noon.Add(-time.Nanosecond)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	key, id, err := announcing(t, twilio.KeyRing{Current: "old"}).CheckAnnounce(u.Path, u.Query(), noon)
	if !errors.Is(err, twilio.ErrExpired) || key != room || id != decision {
		t.Errorf("at its end: %v, %s, %v", key, id, err)
	}
	_, _, err = announcing(t, twilio.KeyRing{Current: "new"}).CheckAnnounce(u.Path, u.Query(), noon.Add(-time.Hour))
	if !errors.Is(err, twilio.ErrForged) {
		t.Errorf("without its key: %v", err)
	}
}

func TestAForgedAddressIsRefused(t *testing.T) {
	t.Parallel()
	all := announcing(t, twilio.KeyRing{Current: token})
	u := address(t, all, noon)
	right := u.Query().Get("mac")
	for name, forge := range map[string]func(q url.Values) string{
		"another id":         func(url.Values) string { return u.Path[:len(u.Path)-1] + "0" },
		"another conference": func(url.Values) string { return strings.Replace(u.Path, "/CF0", "/CF1", 1) },
		"a later end":        func(q url.Values) string { q.Set("exp", "9999999999"); return u.Path },
		"another spelling":   func(q url.Values) string { q.Set("exp", "0"+q.Get("exp")); return u.Path },
		"two ends":           func(q url.Values) string { q.Add("exp", "9999999999"); return u.Path },
		"no end":             func(q url.Values) string { q.Del("exp"); return u.Path },
		"no code":            func(q url.Values) string { q.Del("mac"); return u.Path },
		"an empty code":      func(q url.Values) string { q.Set("mac", ""); return u.Path },
		"half a code":        func(q url.Values) string { q.Set("mac", right[:32]); return u.Path },
		"two codes":          func(q url.Values) string { q.Add("mac", right); return u.Path },
		"not hexadecimal":    func(q url.Values) string { q.Set("mac", "x"+right[1:]); return u.Path },
	} {
		query := u.Query()
		path := forge(query)
		if _, _, err := all.CheckAnnounce(path, query, noon.Add(-time.Hour)); !errors.Is(err, twilio.ErrForged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnAddressHasOneSpelling(t *testing.T) {
	t.Parallel()
	all := announcing(t, twilio.KeyRing{Current: token})
	u := address(t, all, noon)
	for _, path := range []string{
		"", "/", "/twilio/announce", "/twilio/announce/", "/twilio/conference", "/gavel" + u.Path, u.Path + "/", u.Path + "/x",
		strings.ToUpper(u.Path), strings.Replace(u.Path, account, strings.ToUpper(account), 1),
		strings.Replace(u.Path, "/CF", "/CA", 1), strings.Replace(u.Path, account, "AC"+strings.Repeat("9", 32), 1),
		strings.TrimSuffix(u.Path, decision), u.Path + "-", u.Path + "\n", u.Path + strings.Repeat("0", 64),
	} {
		if _, _, err := all.CheckAnnounce(path, u.Query(), noon.Add(-time.Hour)); !errors.Is(err, twilio.ErrNoAnnouncement) {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func TestInvalidIdsHaveNoAddress(t *testing.T) {
	t.Parallel()
	all := announcing(t, twilio.KeyRing{Current: token})
	foreign := events.Key{AccountSid: "AC" + strings.Repeat("9", 32), ConferenceSid: room.ConferenceSid}
	if _, err := all.AnnounceURL("https://h", foreign, decision, noon); !errors.Is(err, twilio.ErrNoCredentials) {
		t.Errorf("of a foreign account: %v", err)
	}
	for _, bad := range []struct {
		key events.Key
		id  string
	}{{room, ""}, {room, "a/b"}, {events.Key{AccountSid: account}, decision}} {
		if _, err := all.AnnounceURL("https://h", bad.key, bad.id, noon); !errors.Is(err, twilio.ErrNoAnnouncement) {
			t.Errorf("%v, %q: %v", bad.key, bad.id, err)
		}
	}
}

func TestOnlyAnAnnouncementsAddressNamesADecision(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"", "https://some.example/file.mp3", "https://h/twilio/announce/", ":", "https://h/twilio/announce/AC1/CF1/x", "%zz",
	} {
		if key, id, ok := twilio.AnnounceID(address); ok {
			t.Errorf("%q counts as an address of %v, %s", address, key, id)
		}
	}
}

// FuzzAnnounce searches for an address that is accepted and was not made.
func FuzzAnnounce(f *testing.F) {
	all := announcing(f, twilio.KeyRing{Current: token})
	u := address(f, all, noon)
	f.Add(u.Path, u.RawQuery)
	f.Add("/twilio/announce/AC/CF/1", "exp=1&mac=00")
	f.Fuzz(func(t *testing.T, path, raw string) {
		query, _ := url.ParseQuery(raw)
		key, id, err := all.CheckAnnounce(path, query, noon.Add(-time.Hour))
		if err != nil {
			return
		}
		if key != room || id != decision || query.Get("exp") != u.Query().Get("exp") {
			t.Errorf("%q?%q is accepted for %v, %s", path, raw, key, id)
		}
		if _, named, ok := twilio.AnnounceID("https://h" + path); !ok || named != id {
			t.Errorf("the end of %q names %s, %v", path, named, ok)
		}
	})
}
