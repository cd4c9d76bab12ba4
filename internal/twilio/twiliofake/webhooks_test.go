package twiliofake_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"gavel/internal/twilio/twiliofake"
)

const webhooksAccount, webhooksToken = "AC25e16e9a716a4a8617a7c83f58e30482", "token"

// asked makes a request of the Webhooks API; without a body it is a GET.
func asked(t *testing.T, fake *twiliofake.Twilio, kind, body, idempotency string) (status int, answer map[string]any) {
	t.Helper()
	method := http.MethodPost
	if body == "" {
		method = http.MethodGet
	}
	r := httptest.NewRequest(method, "/v1/Webhooks/"+kind, strings.NewReader(body))
	r.SetBasicAuth(webhooksAccount, webhooksToken)
	if idempotency != "" {
		r.Header.Set("Idempotency-Key", idempotency)
	}
	w := httptest.NewRecorder()
	fake.Handler().ServeHTTP(w, r)
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatalf("%s: %d %s", kind, w.Code, w.Body)
	}
	return w.Code, answer
}

// TestAMigrationSignsBothWaysOnOneURL: of 100 requests at 30 percent, 30 are signed by the shared
// key, with the header that names it, and 70 by the token as ever.
func TestAMigrationSignsBothWaysOnOneURL(t *testing.T) {
	t.Parallel()
	const secret, key = "secret", "webhooks_sharedkey_01k9zx3f5v7q2m4n6p8r0s1t2u"
	for _, algorithm := range []string{"HMAC_SHA256", "HMAC_SHA1"} {
		var mu sync.Mutex
		counts, enough := map[string]int{}, make(chan struct{})
		receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_ = r.ParseForm()
			address, got := "http://"+r.Host+r.URL.Path, r.Header.Get("X-Twilio-Signature")
			settings := r.Header.Get("X-Twilio-Webhooks-Signature-Settings")
			mu.Lock()
			defer mu.Unlock()
			switch {
			case settings == "" && got == twiliofake.Signature(webhooksToken, address, r.PostForm):
				counts["token"]++
			case settings == "key="+key+",algorithm="+algorithm && got == twiliofake.SharedSignature(secret, algorithm, address, r.PostForm):
				counts["shared key"]++
			default:
				counts["neither"]++
			}
			if counts["token"]+counts["shared key"]+counts["neither"] == 200 {
				close(enough)
			}
		}))
		t.Cleanup(receiver.Close)
		fake := twiliofake.New(twiliofake.Config{
			AccountSid: webhooksAccount, AuthToken: webhooksToken, SharedAlgorithm: algorithm,
			SharedKey: twiliofake.SharedKey{ID: key, Secret: secret}, SharedPercent: 30,
			Status: twiliofake.Subscription{URL: receiver.URL + "/callback"}, Rate: 60, Clock: twiliofake.FastForward(opening),
		})
		ctx, cancel := context.WithCancel(t.Context())
		var ended sync.WaitGroup
		ended.Go(func() { _ = fake.Run(ctx) })
		<-enough
		cancel()
		ended.Wait()
		all := counts["token"] + counts["shared key"]
		if part := 100 * counts["shared key"]; counts["neither"] > 0 || all < 50 || part < 25*all || part > 35*all {
			t.Errorf("%s: %v, want 30 percent by the shared key", algorithm, counts)
		}
	}
}

// TestTheWebhooksAPIHasTwiliosLimits: those that Twilio documents for rules, settings and keys.
func TestTheWebhooksAPIHasTwiliosLimits(t *testing.T) {
	t.Parallel()
	fake := twiliofake.New(twiliofake.Config{AccountSid: webhooksAccount, AuthToken: webhooksToken})
	_, settings := asked(t, fake, "Settings?type=SYSTEM", "", "")
	system, _ := settings["settings"].([]any)[0].(map[string]any)["id"].(string)
	shares := func(percent string) string {
		return `"settings": [{"settingId": "` + system + `", "percentage": ` + percent + `}]`
	}
	for name, c := range map[string]struct {
		kind, body, key string
		status, code    int
	}{
		"an exact match":                 {"Rules", `{"matchType": "EXACT_MATCH", "value": "https://a/b", ` + shares("100") + `}`, "", 202, 0},
		"an exact match that ends in /":  {"Rules", `{"matchType": "EXACT_MATCH", "value": "https://a/b/", ` + shares("100") + `}`, "", 400, 59000},
		"a prefix":                       {"Rules", `{"matchType": "PREFIX_MATCH", "prefix": "https://a/b/", ` + shares("100") + `}`, "01890a5d-ac96-774b-bcce-b302099a8057", 202, 0},
		"a prefix that does not":         {"Rules", `{"matchType": "PREFIX_MATCH", "prefix": "https://a/b", ` + shares("100") + `}`, "", 400, 59000},
		"a wildcard":                     {"Rules", `{"matchType": "PREFIX_MATCH", "prefix": "https://*.a/", ` + shares("100") + `}`, "", 400, 59000},
		"percentages of 99":              {"Rules", `{"matchType": "DEFAULT", ` + shares("99") + `}`, "", 400, 59000},
		"an idempotency key of a UUIDv4": {"SharedKeys", `{"friendlyName": "x"}`, "01890a5d-ac96-474b-bcce-b302099a8057", 400, 59000},
		"a key that does not exist":      {"Settings", `{"signature": {"type": "SHARED_KEY", "sharedKeyId": "x", "algorithm": "HMAC_SHA256"}}`, "", 400, 59000},
		"a timeout over 60 s":            {"Settings", `{"connection": {"totalTimeoutMs": 60001}}`, "", 400, 59000},
	} {
		status, answer := asked(t, fake, c.kind, c.body, c.key)
		if code, _ := answer["code"].(float64); status != c.status || int(code) != c.code {
			t.Errorf("%s: %d %v, want %d and code %d", name, status, answer, c.status, c.code)
		}
	}
	for n := range 51 {
		status, answer := asked(t, fake, "SharedKeys", `{"friendlyName": "x"}`, "")
		if code, _ := answer["code"].(float64); (n < 50) != (status == http.StatusCreated) || n == 50 && int(code) != 59200 {
			t.Errorf("key %d: %d %v", n+1, status, answer)
		}
	}
}
