package act_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
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

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"gavel/events"
	"gavel/handlers/act"
	"gavel/internal/twilio"
	"gavel/rules"
)

// Real here: HTTP over the loopback interface, and the look-up of names, which
// a small DNS server on it answers where a test wants lies. Time is the test's.

const (
	firstSecret  twilio.Secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
	secondSecret twilio.Secret = "whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4"
)

// asOf is when the decisions were taken, toldAt when they are told.
var (
	asOf   = time.Date(2026, 11, 2, 10, 2, 0, 0, time.UTC)
	toldAt = asOf.Add(time.Second)
)

// held is a decision to tell somebody.
func held(do rules.StepKind, params map[string]string) rules.Decision {
	return rules.Decision{
		ID: "ee6bbd8a4d01a25c87b222e747bcb7aa", Rule: "held-too-long", Version: "v",
		AccountSid: "AC0123456789abcdef0123456789abcdef", ConferenceSid: "CF0123456789abcdef0123456789abcdef",
		Subject: "CA0123456789abcdef0123456789abcdef", Occasion: "o", Attempt: 1, Step: 1, Do: do, AsOf: asOf, Verdict: rules.Act,
		Params: params, Data: map[string]string{"room": "support-7 <&>", "seconds": "300"},
	}
}

const heldMessage = `{"specversion":"1.0","id":"ee6bbd8a4d01a25c87b222e747bcb7aa","type":"gavel.rule.v1",` +
	`"source":"/accounts/AC0123456789abcdef0123456789abcdef/conferences/CF0123456789abcdef0123456789abcdef",` +
	`"subject":"held-too-long","time":"2026-11-02T10:02:00Z","datacontenttype":"application/json","data":{` +
	`"rule":"held-too-long","account_sid":"AC0123456789abcdef0123456789abcdef","conference_sid":"CF0123456789abcdef0123456789abcdef",` +
	`"call_sid":"CA0123456789abcdef0123456789abcdef","as_of":"2026-11-02T10:02:00Z","late":false,` +
	`"data":{"room":"support-7 <&>","seconds":"300"}}}`

// received is one call of a webhook.
type received struct {
	*http.Request
	body []byte
}

// receiver answers as it is told to, and keeps what came.
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
func insider(secrets ...twilio.Secret) act.WebhookSettings {
	return act.WebhookSettings{Secrets: secrets, Allow: []string{"127.0.0.1"}}
}

func webhooks(t *testing.T, s act.WebhookSettings) *act.Webhooks {
	t.Helper()
	return webhooksBy(t, s, nil)
}

func webhooksBy(t *testing.T, s act.WebhookSettings, resolver *net.Resolver) *act.Webhooks {
	t.Helper()
	w, err := act.NewWebhooks(act.WebhookConfig{Settings: s, Now: func() time.Time { return toldAt }, Resolver: resolver})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func webhook(url string) rules.Decision {
	return held(rules.StepWebhook, map[string]string{"url": url})
}

func TestAWebhookIsSignedByEverySecret(t *testing.T) {
	t.Parallel()
	address, calls := receiver(t, answers(http.StatusNoContent))
	w := webhooks(t, insider(firstSecret, secondSecret))
	got, err := w.Tell(t.Context(), webhook(address+"/held?room=7"))
	if want := (events.Outcome{Result: events.Done, Status: 204, At: toldAt}); err != nil || got != want {
		t.Fatalf("ended %+v, %v", got, err)
	}
	call := <-calls
	if diff := cmp.Diff(heldMessage, string(call.body)); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	header := func(name string) string { return call.Header.Get(name) }
	if call.Method != http.MethodPost || call.RequestURI != "/held?room=7" || header("Webhook-Id") != "ee6bbd8a4d01a25c87b222e747bcb7aa" ||
		header("webhook-timestamp") != fmt.Sprint(toldAt.Unix()) || header("Content-Type") != "application/cloudevents+json; charset=utf-8" {
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
// scheme"), written anew.
func signature(secret twilio.Secret, call received) string {
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret.Reveal(), "whsec_"))
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", call.Header.Get("Webhook-Id"), call.Header.Get("Webhook-Timestamp"), call.body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func TestAStepMayHaveASecretOfItsOwn(t *testing.T) {
	t.Parallel()
	address, calls := receiver(t, answers(http.StatusOK))
	path := filepath.Join(t.TempDir(), "secret")
	write := func(secret string) {
		if err := os.WriteFile(path, []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w := webhooks(t, insider(firstSecret))
	d := held(rules.StepWebhook, map[string]string{"url": address, "secret_file": path})
	write(secondSecret.Reveal() + "\n")
	if got, err := w.Tell(t.Context(), d); err != nil || got.Result != events.Done {
		t.Fatalf("ended %+v, %v", got, err)
	}
	call := <-calls
	if got := call.Header.Get("Webhook-Signature"); got != signature(secondSecret, call) {
		t.Errorf("signed by %s", got)
	}
	// A file that is lost or wrong may come right again. What is in it is not told.
	write("canary")
	for _, spoil := range []func(){func() {}, func() { _ = os.Remove(path) }} {
		spoil()
		got, err := w.Tell(t.Context(), d)
		var later *act.NotNow
		if !errors.As(err, &later) || strings.Contains(err.Error(), "canary") {
			t.Errorf("ended %+v, %v", got, err)
		}
	}
}

func TestWhatAnswersMean(t *testing.T) {
	t.Parallel()
	w := webhooks(t, insider(firstSecret))
	for _, c := range []struct {
		status int
		header []string
		want   events.Outcome
		after  time.Duration // of what is to be tried again
	}{
		{status: 200, want: events.Outcome{Result: events.Done, Status: 200}},
		{status: 202, want: events.Outcome{Result: events.Done, Status: 202}},
		{status: 299, want: events.Outcome{Result: events.Done, Status: 299}},
		{status: 301, header: []string{"Location", "/elsewhere"}, want: events.Outcome{Result: events.Failed, Status: 301}},
		{status: 307, header: []string{"Location", "http://127.0.0.1:1/"}, want: events.Outcome{Result: events.Failed, Status: 307}},
		{status: 400, want: events.Outcome{Result: events.Failed, Status: 400}},
		{status: 404, want: events.Outcome{Result: events.Failed, Status: 404}},
		{status: 410, want: events.Outcome{Result: events.Failed, Status: 410, Why: "gone"}},
		{status: 408},
		{status: 425},
		{status: 429, header: []string{"Retry-After", "120"}, after: 2 * time.Minute},
		{status: 429, header: []string{"Retry-After", "soon"}},
		{status: 429, header: []string{"Retry-After", "-5"}},
		{status: 429, header: []string{"Retry-After", "99999999"}, after: 24 * time.Hour},
		{status: 500},
		{status: 503, header: []string{"Retry-After", toldAt.Add(time.Minute).Format(http.TimeFormat)}, after: time.Minute},
		{status: 503, header: []string{"Retry-After", toldAt.Add(-time.Minute).Format(http.TimeFormat)}},
		{status: 599},
	} {
		t.Run(fmt.Sprint(c.status, c.header), func(t *testing.T) {
			t.Parallel()
			address, calls := receiver(t, answers(c.status, c.header...))
			got, err := w.Tell(t.Context(), webhook(address))
			if c.want.Result != "" {
				c.want.At = toldAt
				if err != nil || got != c.want {
					t.Errorf("ended %+v, %v; want %+v", got, err, c.want)
				}
			} else {
				var later *act.NotNow
				if !errors.As(err, &later) || later.After != c.after {
					t.Errorf("ended %+v, %#v; want another try after %s", got, err, c.after)
				}
			}
			if len(calls) != 1 {
				t.Errorf("called %d times", len(calls))
			}
		})
	}
}

func TestWhoDoesNotAnswerIsToldAgain(t *testing.T) {
	t.Parallel()
	w := webhooks(t, insider(firstSecret))
	dropped, _ := receiver(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	nobody := httptest.NewServer(nil)
	nobody.Close()
	const number = "+4915112345678"
	for name, address := range map[string]string{"aborted": dropped, "not there": nobody.URL} {
		got, err := w.Tell(t.Context(), webhook(address+"/"+number))
		var later *act.NotNow
		if !errors.As(err, &later) || later.After != 0 {
			t.Errorf("%s: ended %+v, %v", name, got, err)
		} else if strings.Contains(err.Error(), number) {
			t.Errorf("%s: the error tells the address: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Tell(ctx, webhook(dropped)); !errors.Is(err, context.Canceled) {
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
	got, err := webhooks(t, insider(firstSecret)).Tell(t.Context(), webhook(address))
	if err != nil || got.Result != events.Done {
		t.Errorf("ended %+v, %v", got, err)
	}
}

func TestAMessageIsACloudEvent(t *testing.T) {
	t.Parallel()
	var e cloudevents.Event
	if err := json.Unmarshal([]byte(heldMessage), &e); err != nil {
		t.Fatal(err)
	}
	if err := e.Validate(); err != nil {
		t.Error(err)
	}
}

func TestAMessageSaysThatItIsLate(t *testing.T) {
	t.Parallel()
	address, calls := receiver(t, answers(http.StatusOK))
	w := webhooks(t, insider(firstSecret))
	late := webhook(address)
	late.Late = true
	old := webhook(address)
	old.AsOf = toldAt.Add(-rules.MaxAge - time.Second)
	counted := webhook(address)
	counted.ConferenceSid, counted.Subject, counted.Data = "", "", nil
	for _, c := range []struct {
		d    rules.Decision
		want string
	}{
		{late, `"late":true`},
		{old, `"late":true`},
		{counted, `"source":"/accounts/AC0123456789abcdef0123456789abcdef",`},
		{counted, `"data":{"rule":"held-too-long","account_sid":"AC0123456789abcdef0123456789abcdef","as_of":"2026-11-02T10:02:00Z","late":false}}`},
	} {
		if _, err := w.Tell(t.Context(), c.d); err != nil {
			t.Fatal(err)
		}
		if call := <-calls; !strings.Contains(string(call.body), c.want) {
			t.Errorf("told %s, want %s in it", call.body, c.want)
		}
	}
}

// TestTheDocumentsShowTheMessage holds docs/rules.md to what is sent.
func TestTheDocumentsShowTheMessage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	_, shown, _ := strings.Cut(string(text), "### What the message looks like")
	_, shown, _ = strings.Cut(shown, "```json\n")
	shown, _, _ = strings.Cut(shown, "```")
	var got, want any
	if err := errors.Join(json.Unmarshal([]byte(shown), &got), json.Unmarshal([]byte(strings.ReplaceAll(heldMessage, " <&>", "")), &want)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/rules.md (-sent +shown):\n%s", diff)
	}
}
