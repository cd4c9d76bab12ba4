package webhook_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"gavel/internal/twilio"
	"gavel/internal/webhook"
)

// Real here: HTTP over the loopback interface, and the look-up of names, which a small DNS server
// on it answers where a test needs false addresses. Time is the test's.

const (
	firstSecret  twilio.Secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
	secondSecret twilio.Secret = "whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4"
)

// now is the clock of these tests.
var now = time.Date(2026, 11, 2, 10, 2, 1, 0, time.UTC)

// received is one call of a webhook.
type received struct {
	*http.Request
	body []byte
}

// receiver answers as configured, and records the requests.
func receiver(t *testing.T, answer http.HandlerFunc) (address string, calls <-chan received) {
	t.Helper()
	came := make(chan received, 16)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		select {
		case came <- received{r, body}:
		default:
			t.Error("called too often")
		}
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, came
}

func answers(status int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
	}
}

// insider lets the tests' own receivers be called.
func insider(secrets ...twilio.Secret) webhook.Settings {
	return webhook.Settings{Secrets: secrets, Allow: []string{"127.0.0.1"}}
}

func client(t *testing.T, s webhook.Settings) *webhook.Client {
	t.Helper()
	return clientBy(t, s, nil)
}

func clientBy(t *testing.T, s webhook.Settings, resolver *net.Resolver) *webhook.Client {
	t.Helper()
	w, err := webhook.New(s, func() time.Time { return now }, resolver)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

const message = `{"room":"support-7 <&>"}`

func request(url string) webhook.Request {
	return webhook.Request{URL: url, ID: "ee6bbd8a4d01a25c87b222e747bcb7aa", ContentType: "application/json", Body: []byte(message)}
}

func TestAWebhookIsSignedByEverySecret(t *testing.T) {
	t.Parallel()
	address, calls := receiver(t, answers(http.StatusNoContent))
	w := client(t, insider(firstSecret, secondSecret))
	got, err := w.Call(t.Context(), request(address+"/held?room=7"))
	if want := (webhook.Answer{Status: 204}); err != nil || got != want {
		t.Fatalf("ended %+v, %v", got, err)
	}
	call := <-calls
	if diff := cmp.Diff(message, string(call.body)); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	header := func(name string) string { return call.Header.Get(name) }
	if call.Method != http.MethodPost || call.RequestURI != "/held?room=7" || header("Webhook-Id") != "ee6bbd8a4d01a25c87b222e747bcb7aa" ||
		header("webhook-timestamp") != fmt.Sprint(now.Unix()) || header("Content-Type") != "application/json" {
		t.Errorf("called with %s %s %v", call.Method, call.RequestURI, call.Header)
	}
	signed := strings.Fields(header("Webhook-Signature"))
	if want := []string{signature(firstSecret, call), signature(secondSecret, call)}; !cmp.Equal(signed, want) {
		t.Errorf("signed by %v, want %v", signed, want)
	}
	// What receivers use, with either secret.
	for _, secret := range []twilio.Secret{firstSecret, secondSecret} {
		verifier, err := standardwebhooks.NewWebhook(secret.Reveal())
		if err != nil || verifier.VerifyIgnoringTimestamp(call.body, call.Header) != nil {
			t.Errorf("%v: not verified", err)
		}
	}
}

// signature is what the specification says (Standard Webhooks, "Signature
// scheme"), written a second time.
func signature(secret twilio.Secret, call received) string {
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret.Reveal(), "whsec_"))
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", call.Header.Get("Webhook-Id"), call.Header.Get("Webhook-Timestamp"), call.body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func TestARequestMayHaveASecretOfItsOwn(t *testing.T) {
	t.Parallel()
	address, calls := receiver(t, answers(http.StatusOK))
	path := filepath.Join(t.TempDir(), "secret")
	write := func(secret string) {
		if err := os.WriteFile(path, []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w := client(t, insider(firstSecret))
	own := request(address)
	own.SecretFile = path
	write(secondSecret.Reveal() + "\n")
	if got, err := w.Call(t.Context(), own); err != nil || got.Status != http.StatusOK {
		t.Fatalf("ended %+v, %v", got, err)
	}
	call := <-calls
	if got := call.Header.Get("Webhook-Signature"); got != signature(secondSecret, call) {
		t.Errorf("signed by %s", got)
	}
	// A missing or wrong file may be mended, so the error is not final. It quotes
	// nothing of the file.
	write("canary")
	for _, spoil := range []func(){func() {}, func() { _ = os.Remove(path) }} {
		spoil()
		got, err := w.Call(t.Context(), own)
		if err == nil || errors.Is(err, webhook.ErrAddress) || strings.Contains(err.Error(), "canary") {
			t.Errorf("ended %+v, %v", got, err)
		}
	}
}

func TestAnAnswerSaysWhenToTryAgain(t *testing.T) {
	t.Parallel()
	w := client(t, insider(firstSecret))
	for _, c := range []struct {
		status     int
		header     []string
		retryAfter time.Duration
		temporary  bool
	}{
		{status: 200},
		{status: 202},
		{status: 299},
		{status: 301, header: []string{"Location", "/elsewhere"}},
		{status: 307, header: []string{"Location", "http://127.0.0.1:1/"}},
		{status: 400},
		{status: 404},
		{status: 410},
		{status: 408, temporary: true},
		{status: 425, temporary: true},
		{status: 429, header: []string{"Retry-After", "120"}, retryAfter: 2 * time.Minute, temporary: true},
		{status: 429, header: []string{"Retry-After", "soon"}, temporary: true},
		{status: 429, header: []string{"Retry-After", "-5"}, temporary: true},
		{status: 429, header: []string{"Retry-After", "99999999"}, retryAfter: 24 * time.Hour, temporary: true},
		{status: 500, temporary: true},
		{status: 503, header: []string{"Retry-After", now.Add(time.Minute).Format(http.TimeFormat)}, retryAfter: time.Minute, temporary: true},
		{status: 503, header: []string{"Retry-After", now.Add(-time.Minute).Format(http.TimeFormat)}, temporary: true},
		{status: 599, temporary: true},
	} {
		t.Run(fmt.Sprint(c.status, c.header), func(t *testing.T) {
			t.Parallel()
			address, calls := receiver(t, answers(c.status, c.header...))
			got, err := w.Call(t.Context(), request(address))
			if want := (webhook.Answer{Status: c.status, RetryAfter: c.retryAfter}); err != nil || got != want || got.Temporary() != c.temporary {
				t.Errorf("ended %+v, %v; want %+v", got, err, want)
			}
			if len(calls) != 1 {
				t.Errorf("called %d times", len(calls))
			}
		})
	}
}

func TestAReceiverThatCannotBeReachedIsAnError(t *testing.T) {
	t.Parallel()
	w := client(t, insider(firstSecret))
	dropped, _ := receiver(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	nobody := httptest.NewServer(nil)
	nobody.Close()
	const number = "+4915112345678"
	for name, address := range map[string]string{"aborted": dropped, "not there": nobody.URL} {
		got, err := w.Call(t.Context(), request(address+"/"+number))
		if err == nil || errors.Is(err, webhook.ErrAddress) {
			t.Errorf("%s: ended %+v, %v", name, got, err)
		} else if strings.Contains(err.Error(), number) {
			t.Errorf("%s: the error contains the address: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Call(ctx, request(dropped)); !errors.Is(err, context.Canceled) {
		t.Errorf("at the end: %v", err)
	}
}

// TestALongAnswerIsNotReadToItsEnd has a receiver that never stops talking.
func TestALongAnswerIsNotReadToItsEnd(t *testing.T) {
	t.Parallel()
	address, _ := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 32<<10)); err != nil {
				return
			}
		}
	})
	got, err := client(t, insider(firstSecret)).Call(t.Context(), request(address))
	if err != nil || got.Status != http.StatusOK {
		t.Errorf("ended %+v, %v", got, err)
	}
}
