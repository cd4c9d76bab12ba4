package act_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/go-cmp/cmp"

	"gavel/events"
	"gavel/handlers/act"
	"gavel/internal/webhook"
	"gavel/rules"
)

// asOf is when the decisions were made, toldAt when they are sent.
var (
	asOf   = time.Date(2026, 11, 2, 10, 2, 0, 0, time.UTC)
	toldAt = asOf.Add(time.Second)
)

// held is a decision to send a notification.
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

// receiver answers all webhooks alike, and keeps what was asked of it.
type receiver struct {
	answer webhook.Answer
	err    error
	calls  []webhook.Request
}

func (r *receiver) Call(_ context.Context, request webhook.Request) (webhook.Answer, error) {
	r.calls = append(r.calls, request)
	return r.answer, r.err
}

// webhooks are those of a receiver that answers like this, and the calls of it.
func webhooks(answer webhook.Answer, err error) (w *act.Webhooks, calls func() []webhook.Request) {
	r := &receiver{answer: answer, err: err}
	return act.NewWebhooks(r, func() time.Time { return toldAt }), func() []webhook.Request { return r.calls }
}

func webhookTo(url string) rules.Decision {
	return held(rules.StepWebhook, map[string]string{"url": url, "secret_file": "/run/secret"})
}

func TestAWebhookIsACallWithTheMessage(t *testing.T) {
	t.Parallel()
	w, calls := webhooks(webhook.Answer{Status: http.StatusNoContent}, nil)
	got, err := w.Notify(t.Context(), webhookTo("https://pager.example/held?room=7"))
	if want := (events.Outcome{Result: events.Done, Status: 204, At: toldAt}); err != nil || got != want {
		t.Fatalf("ended %+v, %v", got, err)
	}
	want := []webhook.Request{{
		URL: "https://pager.example/held?room=7", ID: "ee6bbd8a4d01a25c87b222e747bcb7aa",
		ContentType: "application/cloudevents+json; charset=utf-8", Body: []byte(heldMessage), SecretFile: "/run/secret",
	}}
	if diff := cmp.Diff(want, calls()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func TestAnAddressThatMustNotBeCalledFails(t *testing.T) {
	t.Parallel()
	w, _ := webhooks(webhook.Answer{}, fmt.Errorf("%w: it is inside", webhook.ErrAddress))
	got, err := w.Notify(t.Context(), webhookTo("https://10.0.0.1/"))
	if want := (events.Outcome{Result: events.Failed, Why: "address", At: toldAt}); err != nil || got != want {
		t.Errorf("ended %+v, %v", got, err)
	}
}

func TestAReceiverThatCannotBeReachedIsCalledAgain(t *testing.T) {
	t.Parallel()
	w, _ := webhooks(webhook.Answer{}, context.Canceled)
	got, err := w.Notify(t.Context(), webhookTo("https://pager.example/"))
	var later *act.NotNow
	if !errors.As(err, &later) || later.After != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("ended %+v, %v", got, err)
	}
}

func TestWhatAnswersMean(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status int
		want   events.Outcome
		after  time.Duration // of what is to be tried again
	}{
		{status: 200, want: events.Outcome{Result: events.Done, Status: 200}},
		{status: 202, want: events.Outcome{Result: events.Done, Status: 202}},
		{status: 299, want: events.Outcome{Result: events.Done, Status: 299}},
		{status: 301, want: events.Outcome{Result: events.Failed, Status: 301}},
		{status: 307, want: events.Outcome{Result: events.Failed, Status: 307}},
		{status: 400, want: events.Outcome{Result: events.Failed, Status: 400}},
		{status: 404, want: events.Outcome{Result: events.Failed, Status: 404}},
		{status: 410, want: events.Outcome{Result: events.Failed, Status: 410, Why: "gone"}},
		{status: 408},
		{status: 425},
		{status: 429, after: 2 * time.Minute},
		{status: 429},
		{status: 429, after: 24 * time.Hour},
		{status: 500},
		{status: 503, after: time.Minute},
		{status: 599},
	} {
		t.Run(fmt.Sprint(c.status, c.after), func(t *testing.T) {
			t.Parallel()
			w, calls := webhooks(webhook.Answer{Status: c.status, RetryAfter: c.after}, nil)
			got, err := w.Notify(t.Context(), webhookTo("https://pager.example/"))
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
			if len(calls()) != 1 {
				t.Errorf("called %d times", len(calls()))
			}
		})
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
	w, calls := webhooks(webhook.Answer{Status: http.StatusOK}, nil)
	late := webhookTo("https://pager.example/")
	late.Late = true
	old := webhookTo("https://pager.example/")
	old.AsOf = toldAt.Add(-rules.MaxAge - time.Second)
	counted := webhookTo("https://pager.example/")
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
		if _, err := w.Notify(t.Context(), c.d); err != nil {
			t.Fatal(err)
		}
		if all := calls(); !strings.Contains(string(all[len(all)-1].Body), c.want) {
			t.Errorf("the body is %s, want %s in it", all[len(all)-1].Body, c.want)
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
