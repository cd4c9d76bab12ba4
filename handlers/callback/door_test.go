package callback_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"gavel/events"
	"gavel/handlers/callback"
	"gavel/internal/twilio"
)

func TestTheJournalEntryHasTheRequestUnchanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	form := join().Encode()
	wantStatus(t, w.post(t, callback.ConferencePath+"?queue=sales", join()), http.StatusNoContent)
	if diff := cmp.Diff([]string{conference}, w.journal.sids); diff != "" {
		t.Error(diff)
	}
	query := "queue=support&" + form
	r := httptest.NewRequest(http.MethodGet, callback.RecordingPath+"?"+query, nil)
	r.Header.Set(twilio.SignatureHeader, twilio.Sign(token, public+callback.RecordingPath+"?"+query, nil))
	wantStatus(t, w.send(r), http.StatusNoContent)
	want := []events.Entry{
		{Source: events.SourceCallback, ReceivedAt: now, Query: "queue=sales", Form: form},
		{Source: events.SourceRecording, ReceivedAt: now, Query: "queue=support", Form: form},
	}
	if diff := cmp.Diff(want, w.journal.drain()); diff != "" {
		t.Error(diff)
	}
}

// otherClock is a clock in doubt: it shows the proven time.
type otherClock struct {
	time.Time
	doubt     error
	witnessed []time.Time
}

func (c *otherClock) Doubt() error        { return c.doubt }
func (c *otherClock) Now() time.Time      { return c.Time }
func (c *otherClock) Witness(t time.Time) { c.witnessed = append(c.witnessed, t) }

// A stamp of a clock that is 40 days ahead would hold up the conference's rules until then.
func TestAnEntryHasTheProvenTimeWhileTheClockIsInDoubt(t *testing.T) {
	t.Parallel()
	clock := &otherClock{Time: now.AddDate(0, 0, -40), doubt: errors.New("40 days ahead")}
	w := newWorld(t, func(c *callback.Config) { c.Clock = clock })
	wantStatus(t, w.post(t, callback.ConferencePath, join()), http.StatusNoContent)
	if got := w.journal.drain()[0].ReceivedAt; !got.Equal(clock.Time) {
		t.Errorf("the entry was received at %v, not at %v", got, clock.Time)
	}
	signed, err := time.Parse(time.RFC1123Z, join().Get("Timestamp"))
	if err != nil || len(clock.witnessed) != 1 || !clock.witnessed[0].Equal(signed) {
		t.Errorf("the clock has seen %v, %v", clock.witnessed, err)
	}
	clock.doubt = nil
	wantStatus(t, w.post(t, callback.ConferencePath, join()), http.StatusNoContent)
	if got := w.journal.drain()[0].ReceivedAt; !got.Equal(now) {
		t.Errorf("the entry was received at %v, not at %v", got, now)
	}
}

// A listed query is separated only if Twilio's parameters follow it directly.
func TestAListedQueryIsRecognizedAsAWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	query := "queue=sales2&" + join().Encode()
	r := httptest.NewRequest(http.MethodGet, callback.ConferencePath+"?"+query, nil)
	r.Header.Set(twilio.SignatureHeader, twilio.Sign(token, public+callback.ConferencePath+"?"+query, nil))
	wantStatus(t, w.send(r), http.StatusNoContent)
	if entry := w.journal.drain()[0]; entry.Query != "" || entry.Form != query {
		t.Errorf("got %+v", entry)
	}
}

// A query may only contain what a request line may contain. HTTP/2 allows more,
// so the door checks it.
func TestAQueryWithCharactersOutsideARequestLineIsRefused(t *testing.T) {
	t.Parallel()
	for name, character := range map[string]string{"space": " ", "control": "\x01", "fragment": "#", "not ASCII": "é"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := httptest.NewRequest(http.MethodGet, callback.ConferencePath, nil)
			r.URL.RawQuery = join().Encode() + "&Note=a" + character + "b"
			r.Header.Set(twilio.SignatureHeader, twilio.Sign(token, public+callback.ConferencePath+"?"+r.URL.RawQuery, nil))
			wantStatus(t, w.send(r), http.StatusForbidden)
			if got := w.counted(t, "gavel_refused_total", "encoding"); got != 1 || len(w.journal.drain()) != 0 {
				t.Errorf("not refused for its encoding: %s", w.log)
			}
		})
	}
}

// A signature for another path, or for another query, is wrong.
func TestASignatureIsValidForOneURL(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	query := join().Encode()
	for _, signed := range []string{
		callback.RecordingPath + "?" + query, callback.ConferencePath + "?x=1&" + query, callback.ConferencePath,
	} {
		r := httptest.NewRequest(http.MethodGet, callback.ConferencePath+"?"+query, nil)
		r.Header.Set(twilio.SignatureHeader, twilio.Sign(token, public+signed, nil))
		wantStatus(t, w.send(r), http.StatusForbidden)
	}
	if got := w.counted(t, "gavel_refused_total", "signature"); got != 3 {
		t.Errorf("counted %v refusals by signature", got)
	}
}

func TestADeadLetterHasTheRequestUnchanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	form := join("Muted", "maybe")
	wantStatus(t, w.post(t, callback.ConferencePath+"?queue=sales", form), http.StatusForbidden)
	want := []events.DeadLetter{{
		Kind: events.Refused, AccountSid: account, Reason: "is neither true nor false", Field: "Muted",
		ReceivedAt: now, Source: events.SourceCallback, Query: "queue=sales", Form: form.Encode(),
	}}
	if diff := cmp.Diff(want, w.letters.drain()); diff != "" {
		t.Error(diff)
	}
}

// A signed request is answered 503 if it can be stored neither as an event nor as a dead letter.
func TestAGenuineRequestThatCannotBeStoredIsRetried(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.letters.fail = events.ErrUnavailable
	resp := w.post(t, callback.ConferencePath, join("Muted", "maybe"))
	wantStatus(t, resp, http.StatusServiceUnavailable)
	if resp.Header.Get("Retry-After") == "" || w.counted(t, "gavel_unavailable_total", "dead-letters") != 1 {
		t.Errorf("no Retry-After, or not counted: %v\n%s", resp.Header, w.log)
	}
}

func TestAJournalErrorIsAnsweredWith503(t *testing.T) {
	t.Parallel()
	for reason, err := range map[string]error{
		"journal-unavailable": fmt.Errorf("append group: %w", events.ErrUnavailable),
		"journal-budget":      fmt.Errorf("append group: %w", context.DeadlineExceeded),
		"journal-error":       errors.New("append group: something else"),
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.journal.failWith(func(context.Context, events.Entry) error { return err })
			resp := w.post(t, callback.ConferencePath, join())
			wantStatus(t, resp, http.StatusServiceUnavailable)
			if resp.Header.Get("Retry-After") == "" || w.counted(t, "gavel_unavailable_total", reason) != 1 {
				t.Errorf("no Retry-After, or not counted as %s: %s", reason, w.log)
			}
		})
	}
}

// If dead letters are never acknowledged, a request waits 12 s and no longer.
// The journal has the same budget of its own.
func TestARequestWaitsNoLongerThanItsBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.letters.hang = true
		begun := time.Now()
		wantStatus(t, w.post(t, callback.ConferencePath, join("Muted", "maybe")), http.StatusServiceUnavailable)
		if waited := time.Since(begun); waited != callback.AppendBudget {
			t.Errorf("waited %v", waited)
		}
	})
}

// The door sends no 204 before Append has returned.
func TestTheAnswerComesAfterTheAppend(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		stored, answered := make(chan struct{}), make(chan int)
		w.journal.failWith(func(context.Context, events.Entry) error { <-stored; return nil })
		go func() { answered <- w.post(t, callback.ConferencePath, join()).StatusCode }()
		synctest.Wait()
		select {
		case status := <-answered:
			t.Fatalf("answered %d before the event was stored", status)
		default:
		}
		close(stored)
		if status := <-answered; status != http.StatusNoContent {
			t.Errorf("answered %d", status)
		}
	})
}

func TestRequestsBeyondTheInFlightLimitAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const room = 10_000
	stored := make(chan struct{})
	entered := make(chan struct{}, room)
	w.journal.failWith(func(context.Context, events.Entry) error {
		entered <- struct{}{}
		<-stored
		return nil
	})
	var waiting sync.WaitGroup
	for range room {
		waiting.Go(func() {
			if status := w.post(t, callback.ConferencePath, join()).StatusCode; status != http.StatusNoContent {
				t.Errorf("within the limit: %d", status)
			}
		})
	}
	for range room {
		<-entered
	}
	resp := w.post(t, callback.ConferencePath, join())
	wantStatus(t, resp, http.StatusServiceUnavailable)
	if resp.Header.Get("Retry-After") == "" || w.counted(t, "gavel_unavailable_total", "in-flight") != 1 {
		t.Errorf("no Retry-After, or not counted: %s", w.log)
	}
	close(stored)
	waiting.Wait()
	wantStatus(t, w.post(t, callback.ConferencePath, join()), http.StatusNoContent)
}

func TestATooLargeBodyIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pad := func(size int) url.Values {
		form := join("Padding", "")
		form.Set("Padding", strings.Repeat("x", size-len(form.Encode())))
		return form
	}
	wantStatus(t, w.post(t, callback.ConferencePath, pad(64<<10)), http.StatusNoContent)
	wantStatus(t, w.post(t, callback.ConferencePath, pad(64<<10+1)), http.StatusRequestEntityTooLarge)
	// Without a Content-Length, the body is read up to the limit.
	r := httptest.NewRequest(http.MethodPost, callback.ConferencePath, io.MultiReader(strings.NewReader(pad(64<<10+1).Encode())))
	r.ContentLength = -1
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set(twilio.SignatureHeader, twilio.Sign(token, public, nil))
	wantStatus(t, w.send(r), http.StatusRequestEntityTooLarge)
	// With a Content-Length, no byte is read.
	r = httptest.NewRequest(http.MethodPost, callback.ConferencePath, brokenReader{})
	r.ContentLength = 64<<10 + 1
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set(twilio.SignatureHeader, twilio.Sign(token, public, nil))
	wantStatus(t, w.send(r), http.StatusRequestEntityTooLarge)
	r = httptest.NewRequest(http.MethodPost, callback.ConferencePath, io.MultiReader(strings.NewReader("AccountSid="), brokenReader{}))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set(twilio.SignatureHeader, twilio.Sign(token, public, nil))
	wantStatus(t, w.send(r), http.StatusBadRequest)
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

// A key of one account cannot sign events of another.
func TestAKeySignsForItsOwnAccountOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wantStatus(t, w.post(t, callback.ConferencePath, join("AccountSid", other)), http.StatusForbidden)
	if got := w.counted(t, "gavel_refused_total", "signature"); got != 1 {
		t.Errorf("counted %v refusals by signature", got)
	}
}

// New returns an error for settings that cannot work.
func TestNewRefusesWrongSettings(t *testing.T) {
	t.Parallel()
	if _, err := callback.New(callback.Config{}); err == nil {
		t.Error("a door without parts was built")
	}
	w := newWorld(t)
	cfg := callback.Config{
		PublicURL: "https://user:canary@hooks.example.com?a=1", Accounts: &twilio.Accounts{}, Journal: w.journal,
		DeadLetters: w.letters, Log: newLog(w), Metrics: newMetrics(), Now: time.Now,
	}
	if _, err := callback.New(cfg); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("a public URL with a query: %v", err)
	}
}

// The test sends names and phone numbers in every way that ends in a log line or a metric.
func TestLogsAndMetricsContainNothingPrivate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const name, number = "canary-name", "+14155550100"
	private := func(changes ...string) url.Values {
		return join(append([]string{"FriendlyName", name, "ParticipantLabel", number}, changes...)...)
	}
	for _, form := range []url.Values{
		private(), private("Muted", number), private("CallSid", name), private("Timestamp", "-"),
		private("AccountSid", name), private(name+" "+number, "1"), private("StatusCallbackEvent", name),
		private("ConferenceSid", number), private("AnnounceUrl", "https://"+name+"CallSidEndingConference"+call),
	} {
		w.post(t, callback.ConferencePath, form)
		w.post(t, callback.ConferencePath+"?caller="+url.QueryEscape(number), form)
		unsigned := httptest.NewRequest(http.MethodGet, callback.ConferencePath+"?"+form.Encode(), nil)
		unsigned.Header.Set(twilio.SignatureHeader, twilio.Sign(name, public, nil))
		w.send(unsigned)
	}
	w.journal.failWith(func(context.Context, events.Entry) error { return events.ErrUnavailable })
	w.post(t, callback.ConferencePath, private())
	left := w.log.String() + w.exposition(t)
	if !strings.Contains(left, "callback refused") {
		t.Fatal("nothing was logged, so the test proves nothing")
	}
	signature := twilio.Sign(token, public+callback.ConferencePath, params(t, private().Encode()))
	for _, secret := range []string{name, number, number[1:], url.QueryEscape(number), token, otherToken, signature} {
		if strings.Contains(left, secret) {
			t.Errorf("%q is in a log or metric:\n%s", secret, left)
		}
	}
}

// Metrics count every refusal; the log is limited.
func TestRefusalsAreLoggedUpToARate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 1000 {
		w.send(httptest.NewRequest(http.MethodPost, callback.ConferencePath, nil))
	}
	if lines := strings.Count(w.log.String(), "\n"); lines > 300 {
		t.Errorf("%d lines for 1000 refusals", lines)
	}
	if got := w.counted(t, "gavel_refused_total", "signature-missing"); got != 1000 {
		t.Errorf("counted %v", got)
	}
}

// A rotation is complete when no callback is signed with the old key any more.
func TestTheKeyThatSignedIsCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(cfg *callback.Config) {
		accounts, err := twilio.NewAccounts([]twilio.Account{{Sid: account, Tokens: twilio.KeyRing{Current: "new", Previous: token}}})
		if err != nil {
			t.Fatal(err)
		}
		cfg.Accounts = accounts
	})
	wantStatus(t, w.post(t, callback.ConferencePath, join()), http.StatusNoContent)
	if got := w.counted(t, "gavel_key_matched_total", "previous"); got != 1 {
		t.Errorf("counted %v", got)
	}
	if got := w.counted(t, "gavel_received_total", "participant-join"); got != 1 {
		t.Errorf("received %v", got)
	}
}
