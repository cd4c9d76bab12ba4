package keys_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"gavel/internal/keys"
)

// The keys are real; the bucket is a fake in memory (jetstream_test.go uses
// JetStream's), and time is virtual where it matters.

const (
	account = "AC0123456789abcdef0123456789abcdef"
	foreign = "ACffffffffffffffffffffffffffffffff"

	subaccount = "AC00000000000000000000000000000002"
	twilioKey  = "SK00000000000000000000000000000003"
)

// logins are the tokens of an account that is rotating them and has a subaccount, and the key of the
// subaccount at Twilio.
func logins(user string) (secrets, accounts []string) {
	switch user {
	case account:
		return []string{"token1now", "token2next", ""}, []string{account, subaccount}
	case twilioKey:
		return []string{"secret of the key"}, []string{subaccount}
	}
	return nil, nil
}

func TestTheAccountsKeyAtTwilioOpensThatAccount(t *testing.T) {
	t.Parallel()
	k := open(t, newFakeBucket())
	who, ok := k.Authenticate(t.Context(), strings.ToUpper(twilioKey), "secret of the key")
	want := keys.Identity{KeySid: twilioKey, Name: "Twilio API key", Role: keys.Operator, Accounts: []string{subaccount}}
	if diff := cmp.Diff(want, who); !ok || diff != "" {
		t.Errorf("%v (-want +got):\n%s", ok, diff)
	}
	for _, secret := range []string{"", "token1now", "secret of another"} {
		if opens(k, twilioKey, secret) {
			t.Errorf("opened with %q", secret)
		}
	}
}

func open(t *testing.T, bucket keys.Bucket) *keys.Keys {
	t.Helper()
	k, err := keys.Open(t.Context(), bucket, logins, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func create(t *testing.T, k *keys.Keys, name string, accounts ...string) (sid, secret string) {
	t.Helper()
	key, secret, err := k.Create(t.Context(), name, keys.Viewer, accounts)
	if err != nil {
		t.Fatal(err)
	}
	return key.Sid, secret
}

func opens(k *keys.Keys, user, password string) bool {
	_, ok := k.Authenticate(context.Background(), user, password)
	return ok
}

func TestAKeyOpensWithItsSecretOnly(t *testing.T) {
	t.Parallel()
	k := open(t, newFakeBucket())
	sid, secret := create(t, k, "board", account)
	otherSid, otherSecret := create(t, k, "board", account)

	if !regexp.MustCompile(`^SK[0-9a-f]{32}$`).MatchString(sid) {
		t.Errorf("sid is %q", sid)
	}
	if !regexp.MustCompile(`^[A-Za-z0-9]{32}$`).MatchString(secret) || secret == otherSecret {
		t.Error("the secret is not 32 fresh alphanumerics")
	}
	want := keys.Identity{KeySid: sid, Name: "board", Role: keys.Viewer, Accounts: []string{account}}
	for _, user := range []string{sid, strings.ToUpper(sid)} {
		who, ok := k.Authenticate(t.Context(), user, secret)
		if diff := cmp.Diff(want, who); !ok || diff != "" {
			t.Errorf("as %s: %v (-want +got):\n%s", user, ok, diff)
		}
	}
	for _, password := range []string{"", otherSecret, secret[:31], secret + "0", strings.ToLower(secret)} {
		if opens(k, sid, password) {
			t.Error("opened with another secret")
		}
	}
	if opens(k, otherSid[:33], otherSecret) || opens(k, "SK"+strings.Repeat("0", 32), secret) || opens(k, "", "") {
		t.Error("opened without a key")
	}
}

func TestAnAccountOpensWithEachOfItsTokens(t *testing.T) {
	t.Parallel()
	k := open(t, newFakeBucket())
	for _, token := range []string{"token1now", "token2next"} {
		who, ok := k.Authenticate(t.Context(), strings.ToLower(account), token)
		if !ok || !who.May(account) || who.May(foreign) || who.All() || !who.Is(keys.Operator) || who.Is(keys.Admin) {
			t.Errorf("with %s: %v, %+v", token, ok, who)
		}
	}
	for _, token := range []string{"", "token1", "token3previous"} {
		if opens(k, account, token) {
			t.Errorf("opened with %q", token)
		}
	}
	if opens(k, foreign, "token1now") || opens(k, foreign, "") {
		t.Error("an account that is not configured was accepted")
	}
}

func TestAKeyWithoutAccountsAccessesAll(t *testing.T) {
	t.Parallel()
	k := open(t, newFakeBucket())
	sid, secret := create(t, k, "ops")
	who, _ := k.Authenticate(t.Context(), sid, secret)
	if !who.All() || !who.May(account) || !who.May(foreign) {
		t.Errorf("%+v", who)
	}
}

func TestTheBucketHoldsNoSecret(t *testing.T) {
	t.Parallel()
	bucket := newFakeBucket()
	sid, secret := create(t, open(t, bucket), "board")
	if value := bucket.values[sid]; len(value) == 0 || bytes.Contains(value, []byte(secret)) {
		t.Errorf("the bucket holds %s", value)
	}
}

func TestInvalidKeysAreRefused(t *testing.T) {
	t.Parallel()
	k := open(t, newFakeBucket())
	for name, c := range map[string]struct {
		name     string
		role     keys.Role
		accounts []string
	}{
		"no name":           {"", keys.Viewer, nil},
		"name is too long":  {strings.Repeat("é", 65), keys.Viewer, nil},
		"name is not UTF-8": {"\xff", keys.Viewer, nil},
		"not an account":    {"x", keys.Viewer, []string{"CF0123456789abcdef0123456789abcdef"}},
		"too many":          {"x", keys.Viewer, make([]string, 1001)},
		"no role":           {"x", "", nil},
		"no such role":      {"x", "owner", nil},
		"admin of a part":   {"x", keys.Admin, []string{account}},
		"role in capitals":  {"x", "Admin", nil},
		"role with a space": {"x", "viewer ", nil},
	} {
		if _, _, err := k.Create(t.Context(), c.name, c.role, c.accounts); !errors.Is(err, keys.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if all := k.List(); len(all) != 0 {
		t.Errorf("%d keys exist", len(all))
	}
}

func TestListIsOldestFirstWithoutDuplicateAccounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := open(t, newFakeBucket())
		first, _ := create(t, k, "first", account, strings.ToUpper(account))
		<-time.After(time.Second) // virtual: keys have their creation time in whole seconds
		second, _ := create(t, k, "second")
		want := []keys.Key{
			{Sid: first, Name: "first", Role: keys.Viewer, Accounts: []string{account}, Created: time.Now().Add(-time.Second).UTC()},
			{Sid: second, Name: "second", Role: keys.Viewer, Accounts: []string{}, Created: time.Now().UTC()},
		}
		if diff := cmp.Diff(want, k.List()); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

func TestARevokedKeyDoesNotOpen(t *testing.T) {
	t.Parallel()
	k := open(t, newFakeBucket())
	sid, secret := create(t, k, "lost laptop")
	if err := k.Revoke(t.Context(), strings.ToUpper(sid)); err != nil {
		t.Fatal(err)
	}
	if opens(k, sid, secret) {
		t.Error("still opens")
	}
	for _, gone := range []string{sid, "SK0", ""} {
		if err := k.Revoke(t.Context(), gone); !errors.Is(err, keys.ErrUnknown) {
			t.Errorf("revoking %q again: %v", gone, err)
		}
	}
}

// Two Gavels share a bucket, which one of them cannot reach for a while.
func TestAnotherGavelFollowsTheBucket(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bucket := newFakeBucket()
		here, there := open(t, bucket), open(t, bucket)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); there.Run(ctx) }()
		<-bucket.watched

		sid, secret := create(t, here, "board")
		kept, keptSecret := create(t, here, "kept")
		synctest.Wait()
		if !opens(there, sid, secret) {
			t.Error("a new key does not open elsewhere")
		}
		bucket.fail()
		synctest.Wait()
		if !opens(there, sid, secret) || !opens(there, kept, keptSecret) {
			t.Error("keys in memory do not open while the bucket is down")
		}
		<-time.After(10 * time.Second) // virtual
		bucket.mend()
		bucket.drop(sid)
		<-bucket.watched
		if opens(there, sid, secret) || !opens(there, kept, keptSecret) {
			t.Error("a key deleted during the outage still opens, or a kept key does not")
		}
		if err := here.Revoke(t.Context(), kept); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if opens(there, kept, keptSecret) {
			t.Error("a revoked key still opens elsewhere")
		}
		stop()
		<-done
	})
}

func TestAnInvalidValueOpensNothing(t *testing.T) {
	t.Parallel()
	bucket := newFakeBucket()
	sid, secret := create(t, open(t, bucket), "board")
	for _, value := range []string{
		"", "{", `{"sid":"` + sid + `","sha256":"00"}`, `{"sid":"` + sid + `","sha256":"zz"}`, strings.Replace(string(bucket.values[sid]), "viewer", "owner", 1),
	} {
		bucket.values[sid] = []byte(value)
		if k := open(t, bucket); opens(k, sid, secret) || opens(k, sid, "") || len(k.List()) > 0 {
			t.Errorf("%q opens", value)
		}
	}
}

func TestOpeningNeedsTheBucket(t *testing.T) {
	t.Parallel()
	bucket := newFakeBucket()
	bucket.fail()
	_, err := keys.Open(t.Context(), bucket, logins, slog.New(slog.DiscardHandler))
	if !errors.Is(err, errDown) {
		t.Errorf("got %v", err)
	}
}

func TestOnlyTheFirstStartCreatesAKey(t *testing.T) {
	t.Parallel()
	bucket, path := newFakeBucket(), filepath.Join(t.TempDir(), "api-key")
	made, err := open(t, bucket).EnsureFirst(t.Context(), path)
	if err != nil || !made {
		t.Fatalf("made %v: %v", made, err)
	}
	sid, secret, err := keys.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v: %v", info.Mode(), err)
	}
	again := open(t, bucket)
	if made, err := again.EnsureFirst(t.Context(), path); made || err != nil {
		t.Errorf("a second start made %v: %v", made, err)
	}
	if who, ok := again.Authenticate(t.Context(), sid, secret); !ok || !who.All() || !who.Is(keys.Admin) {
		t.Errorf("the first key authenticates %v, %+v", ok, who)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A crash between writing the file and storing the key leaves a file without a key.
func TestAFileWithoutAStoredKeyIsReplaced(t *testing.T) {
	t.Parallel()
	bucket, path := newFakeBucket(), filepath.Join(t.TempDir(), "api-key")
	k := open(t, bucket)
	bucket.fail()
	if made, err := k.EnsureFirst(t.Context(), path); made || !errors.Is(err, errDown) {
		t.Fatalf("made %v: %v", made, err)
	}
	bucket.mend()
	if made, err := k.EnsureFirst(t.Context(), path); !made || err != nil {
		t.Fatalf("made %v: %v", made, err)
	}
	if sid, secret, err := keys.ReadFile(path); err != nil || !opens(k, sid, secret) {
		t.Errorf("the file does not open: %v", err)
	}
}

func TestEachRoleHasTheRightsOfTheOneBeforeIt(t *testing.T) {
	t.Parallel()
	k := open(t, newFakeBucket())
	all := []keys.Role{keys.Viewer, keys.Operator, keys.Admin}
	for i, role := range all {
		key, secret, err := k.Create(t.Context(), "x", role, nil)
		if err != nil {
			t.Fatal(err)
		}
		identity, _ := k.Authenticate(t.Context(), key.Sid, secret)
		for j, other := range all {
			if identity.Is(other) != (i >= j) {
				t.Errorf("a %s has the rights of a %s: %v", role, other, identity.Is(other))
			}
		}
	}
	if (keys.Identity{}).Is(keys.Viewer) {
		t.Error("an empty identity may read")
	}
}

// stripped removes the roles, as in a bucket written by a version without them.
func stripped(bucket *fakeBucket) *fakeBucket {
	for sid, value := range bucket.values {
		bucket.values[sid] = regexp.MustCompile(`"role":"[a-z]+",`).ReplaceAll(value, nil)
	}
	return bucket
}

func TestKeysWithoutARoleAreViewers(t *testing.T) {
	t.Parallel()
	bucket := newFakeBucket()
	made := open(t, bucket)
	sid, secret := create(t, made, "ops")
	k := open(t, stripped(bucket))
	if who, ok := k.Authenticate(t.Context(), sid, secret); !ok || who.Role != keys.Viewer {
		t.Errorf("%v, %+v", ok, who)
	}
}

func TestAFirstKeyWithoutARoleBecomesAnAdmin(t *testing.T) {
	t.Parallel()
	bucket, path := newFakeBucket(), filepath.Join(t.TempDir(), "api-key")
	made := open(t, bucket)
	if _, err := made.EnsureFirst(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	other, otherSecret := create(t, made, "board")
	k := open(t, stripped(bucket))
	if again, err := k.EnsureFirst(t.Context(), path); again || err != nil {
		t.Fatalf("made %v: %v", again, err)
	}
	sid, secret, err := keys.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if who, _ := open(t, bucket).Authenticate(t.Context(), sid, secret); who.Role != keys.Admin {
		t.Errorf("the first key is %+v", who)
	}
	// No other key is raised, even if its secret is put into the file.
	if err := os.WriteFile(path, []byte(other+":"+otherSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := k.EnsureFirst(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if who, _ := k.Authenticate(t.Context(), other, otherSecret); who.Role != keys.Viewer {
		t.Errorf("another key is %+v", who)
	}
}

func TestAKeyFileMustHoldAKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "api-key")
	if _, _, err := keys.ReadFile(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	for _, text := range []string{"", "secret", "SK0:secret", "SK" + strings.Repeat("0", 32) + ":"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := keys.ReadFile(path); !errors.Is(err, keys.ErrFile) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// A value in the bucket never opens by itself, whatever it holds.
func FuzzBucketValue(f *testing.F) {
	f.Add([]byte(`{"sid":"SK0","sha256":"00"}`))
	f.Add([]byte(`{"sha256":"0000000000000000000000000000000000000000000000000000000000000000","accounts":null}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		const sid = "SK00000000000000000000000000000000"
		bucket := newFakeBucket()
		bucket.values[sid] = value
		k := open(t, bucket)
		for _, secret := range []string{"", "0", sid} {
			if opens(k, sid, secret) {
				t.Errorf("%q opens with %q", value, secret)
			}
		}
	})
}
