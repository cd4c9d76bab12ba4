package twilio_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"gavel/internal/twilio"
)

// Sockets are real where they matter. Where time matters it is virtual, and a
// function in place of the transport plays Twilio.

const apiKey = "SK25e16e9a716a4a8617a7c83f58e30482"

type caller struct {
	*twilio.Client
	accounts *twilio.Accounts
	registry *prometheus.Registry
}

func newCaller(t *testing.T, base string, transport http.RoundTripper, key twilio.APIKey) caller {
	t.Helper()
	c := caller{registry: prometheus.NewRegistry()}
	var err error
	if c.accounts, err = twilio.NewAccounts([]twilio.Account{{Sid: account, Tokens: twilio.KeyRing{Current: token}, APIKey: key}}); err != nil {
		t.Fatal(err)
	}
	c.Client = twilio.NewClient(twilio.ClientConfig{
		Base: base, Accounts: c.accounts, Metrics: twilio.NewClientMetrics(c.registry), Transport: transport,
	})
	t.Cleanup(c.Close)
	return c
}

// metric is a sum over the labels that are not named ("status=429").
func (c caller) metric(t *testing.T, name string, labels ...string) (sum float64) {
	t.Helper()
	families, err := c.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && has(m, labels) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func has(m *dto.Metric, labels []string) bool {
	for _, l := range m.GetLabel() {
		labels = slices.DeleteFunc(slices.Clone(labels), func(wanted string) bool { return wanted == l.GetName()+"="+l.GetValue() })
	}
	return len(labels) == 0
}

func (c caller) want(t *testing.T, value float64, name string, labels ...string) {
	t.Helper()
	if got := c.metric(t, name, labels...); got != value {
		t.Errorf("%s %q is %v, want %v", name, labels, got, value)
	}
}

var ending = twilio.Call{
	AccountSid: account, Kind: "end", Method: http.MethodPost, Form: "Status=completed",
	Path: "/2010-04-01/Accounts/" + account + "/Conferences/CF1.json",
}

func TestRequestsAndAnswersAreNotChanged(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		user, password, _ := r.BasicAuth()
		mu.Lock()
		defer mu.Unlock()
		got = []string{r.Method, r.RequestURI, string(body), user, password, r.Header.Get("Content-Type")}
		w.Header().Set("Twilio-Request-Id", "RQ1")
		w.Header().Set("Location", "https://elsewhere.example.com")
		w.WriteHeader(http.StatusFound)
		_, _ = io.WriteString(w, "anything")
	}))
	t.Cleanup(server.Close)
	const form = "application/x-www-form-urlencoded"
	const label = "/2010-04-01/Accounts/AC1/Conferences/M%c3%bcller%2F7/Participants/a%20b%7c%25+.json"
	for name, c := range map[string]struct {
		key  twilio.APIKey
		call twilio.Call
		want []string
	}{
		"a form":    {twilio.APIKey{}, ending, []string{"POST", ending.Path, ending.Form, account, token, form}},
		"an escape": {twilio.APIKey{}, twilio.Call{AccountSid: strings.ToUpper(account), Method: "DELETE", Path: label}, []string{"DELETE", label, "", account, token, ""}},
		"an API key": {
			twilio.APIKey{Sid: strings.ToUpper(apiKey), Secret: "s3cret"},
			ending,
			[]string{"POST", ending.Path, ending.Form, apiKey, "s3cret", form},
		},
	} {
		answer, err := newCaller(t, server.URL+"/", nil, c.key).Call(t.Context(), c.call)
		if err != nil || answer.Status != http.StatusFound || string(answer.Body) != "anything" || answer.Header.Get("Twilio-Request-Id") != "RQ1" {
			t.Errorf("%s: answered %+v, %v", name, answer, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: Twilio got (-want +got):\n%s", name, diff)
		}
	}
}

func TestARotatedTokenIsUsedAtOnce(t *testing.T) {
	t.Parallel()
	var password string
	c := newCaller(t, "https://api.example.com", twilioIs(func(r *http.Request) *http.Response {
		_, password, _ = r.BasicAuth()
		return answers(http.StatusOK)
	}), twilio.APIKey{})
	if err := c.accounts.Replace([]twilio.Account{{Sid: account, Tokens: twilio.KeyRing{Current: "rotated", Previous: token}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Call(t.Context(), ending); err != nil || password != "rotated" {
		t.Errorf("%q: %v", password, err)
	}
}

func TestTheErrorStatesWhetherACallWasSent(t *testing.T) {
	t.Parallel()
	silence, endless := newSilent(t), newEndless(t)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, c := range map[string]struct {
		base   string
		want   error
		status string
	}{
		"no listener":              {gone.URL, twilio.ErrUnreachable, "unsent"},
		"an untrusted certificate": {newUntrusted(t), twilio.ErrUnreachable, "unsent"},
		"no answer":                {silence, twilio.ErrSilent, "silent"},
		"an answer cut short":      {newCut(t), twilio.ErrSilent, "silent"},
		"an answer too long":       {endless, twilio.ErrSilent, "silent"},
		"an unknown host":          {"http://gavel.invalid", twilio.ErrUnreachable, "unsent"},
	} {
		caller := newCaller(t, c.base, nil, twilio.APIKey{})
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		_, err := caller.Call(ctx, ending)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if err != nil && (strings.Contains(err.Error(), token) || strings.Contains(err.Error(), "Conferences")) {
			t.Errorf("%s: the error contains too much: %v", name, err)
		}
		caller.want(t, 1, "gavel_twilio_calls_total", "kind=end", "status="+c.status)
		caller.want(t, 0, "gavel_twilio_in_flight")
	}
	_, err := newCaller(t, gone.URL, nil, twilio.APIKey{}).Call(t.Context(), twilio.Call{AccountSid: subaccount, Kind: "end"})
	if !errors.Is(err, twilio.ErrNoCredentials) {
		t.Errorf("an account that is not configured: %v", err)
	}
}

const subaccount = "ACffffffffffffffffffffffffffffffff"

func newSilent(t *testing.T) string {
	return serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // or the server does not detect that the client disconnected
		<-r.Context().Done()
	})
}

func newCut(t *testing.T) string {
	return serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "{")
	})
}

func newEndless(t *testing.T) string {
	return serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat(" ", 1<<20+1))
	})
}

func newUntrusted(t *testing.T) string {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = nil
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

func serve(t *testing.T, h http.HandlerFunc) string {
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

// twilioIs answers in place of the transport.
type twilioIs func(*http.Request) *http.Response

func (f twilioIs) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

func answers(status int, headers ...string) *http.Response {
	w := httptest.NewRecorder()
	for i := 0; i < len(headers); i += 2 {
		w.Header().Set(headers[i], headers[i+1])
	}
	w.WriteHeader(status)
	return w.Result()
}

func TestARefusedCallWaitsAsLongAsTwilioRequests(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		header   string
		min, max time.Duration
	}{
		"seconds":      {"3", 3 * time.Second, 3 * time.Second},
		"a date":       {"in 4 s", 3 * time.Second, 4 * time.Second},
		"nothing":      {"", 100 * time.Millisecond, 300 * time.Millisecond},
		"not a number": {"soon", 100 * time.Millisecond, 300 * time.Millisecond},
		"a past date":  {"Mon, 03 Aug 1998 09:15:02 GMT", 100 * time.Millisecond, 300 * time.Millisecond},
		"a fraction":   {"0.5", 100 * time.Millisecond, 300 * time.Millisecond},
		"at once":      {"0", 100 * time.Millisecond, 300 * time.Millisecond},
		"negative":     {"-5", 100 * time.Millisecond, 300 * time.Millisecond},
		"out of range": {"9999999999999999999999", 100 * time.Millisecond, 300 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			if c.header == "in 4 s" {
				c.header = time.Now().Add(4 * time.Second).UTC().Format(http.TimeFormat)
			}
			asked := 0
			caller := newCaller(t, "https://api.example.com", twilioIs(func(*http.Request) *http.Response {
				if asked++; asked == 1 {
					return answers(http.StatusTooManyRequests, "Retry-After", c.header)
				}
				return answers(http.StatusOK)
			}), twilio.APIKey{})
			began := time.Now()
			answer, err := caller.Call(t.Context(), ending)
			if took := time.Since(began); err != nil || answer.Status != http.StatusOK || took < c.min || took > c.max {
				t.Errorf("%s: %d after %s, %v", name, answer.Status, took, err)
			}
		})
	}
}

func TestARefusalIsTheAnswerIfNoTimeIsLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		caller := newCaller(t, "https://api.example.com", twilioIs(func(*http.Request) *http.Response {
			asked++
			return answers(http.StatusTooManyRequests, "Retry-After", "5")
		}), twilio.APIKey{})
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		defer cancel()
		began := time.Now()
		answer, err := caller.Call(ctx, ending)
		if took := time.Since(began); err != nil || answer.Status != 429 || answer.Header.Get("Retry-After") != "5" || asked != 2 || took != 5*time.Second {
			t.Errorf("%d after %s and %d tries, %v", answer.Status, took, asked, err)
		}
		// Another attempt would begin, and have no time for its answer.
		hurried, cancel := context.WithTimeout(t.Context(), 5500*time.Millisecond)
		defer cancel()
		if answer, err := caller.Call(hurried, ending); err != nil || answer.Status != 429 || asked != 3 {
			t.Errorf("%d after %d tries, %v", answer.Status, asked, err)
		}
		caller.want(t, 3, "gavel_twilio_calls_total", "kind=end", "status=429")
	})
}

// A call with a check before it is checked right before it is sent, and sent once.
func TestACallWithACheckBeforeItIsSentOnce(t *testing.T) {
	t.Parallel()
	tries := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		tries++
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer server.Close()
	c := newCaller(t, server.URL, nil, twilio.APIKey{})
	call := ending
	call.Before = func(context.Context) error { return nil }
	answer, err := c.Call(t.Context(), call)
	if err != nil || answer.Status != http.StatusTooManyRequests || tries != 1 || answer.RetryAfter() != 7*time.Second {
		t.Errorf("%d tries: %d after %s, %v", tries, answer.Status, answer.RetryAfter(), err)
	}

	stop := errors.New("stop")
	call.Before = func(context.Context) error { return stop }
	if _, err := c.Call(t.Context(), call); !errors.Is(err, stop) || tries != 1 {
		t.Errorf("%d tries: %v", tries, err)
	}
}

func TestOnlyARefusedCallIsSentAgain(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 204, 400, 404, 408, 500, 502, 503, 504} {
		asked := 0
		caller := newCaller(t, "https://api.example.com", twilioIs(func(*http.Request) *http.Response {
			asked++
			return answers(status, "Retry-After", "1")
		}), twilio.APIKey{})
		if answer, err := caller.Call(t.Context(), ending); err != nil || answer.Status != status || asked != 1 {
			t.Errorf("%d: %d after %d tries, %v", status, answer.Status, asked, err)
		}
	}
}

// crowd is a Twilio that accepts a number of calls at a time, each for a
// second, and refuses the others at once.
type crowd struct {
	takes int

	mu            sync.Mutex
	inside, most  int
	refused, done int
}

func (c *crowd) RoundTrip(r *http.Request) (*http.Response, error) {
	if !c.enter() {
		return answers(http.StatusTooManyRequests), nil
	}
	select {
	case <-time.After(time.Second): // virtual
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	c.leave()
	return answers(http.StatusOK), nil
}

func (c *crowd) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inside == c.takes {
		c.refused++
		return false
	}
	c.inside++
	c.most = max(c.most, c.inside)
	return true
}

func (c *crowd) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inside--
	c.done++
}

func (c *crowd) calls(t *testing.T, caller caller, n int) {
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			if answer, err := caller.Call(t.Context(), ending); err != nil || answer.Status != http.StatusOK {
				t.Errorf("%d, %v", answer.Status, err)
			}
		})
	}
	all.Wait()
}

func TestCallsAtOnceGrowToTwiliosLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		twilios := &crowd{takes: 1000}
		caller := newCaller(t, "https://api.example.com", twilios, twilio.APIKey{})
		caller.want(t, 10, "gavel_twilio_limit")
		twilios.calls(t, caller, 10)
		if twilios.most != 10 {
			t.Errorf("%d at once at first", twilios.most)
		}
		twilios.calls(t, caller, 10000)
		if twilios.most != 100 || twilios.refused > 0 {
			t.Errorf("%d at once at last, %d refused", twilios.most, twilios.refused)
		}
		caller.want(t, 100, "gavel_twilio_limit")
	})
}

func TestCallsAtOnceShrinkToTwiliosLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		twilios := &crowd{takes: 3}
		caller := newCaller(t, "https://api.example.com", twilios, twilio.APIKey{})
		twilios.calls(t, caller, 300)
		if twilios.done != 300 {
			t.Errorf("%d of 300 were carried out", twilios.done)
		}
		// The limit exceeds Twilio's now and then, which is how it is found;
		// most calls are not refused.
		if twilios.refused > 150 {
			t.Errorf("%d of 300 calls were refused", twilios.refused)
		}
		caller.want(t, 0, "gavel_twilio_waiting")
	})
}

func TestARoundOfRefusalsLowersTheLimitOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		var mu sync.Mutex
		caller := newCaller(t, "https://api.example.com", twilioIs(func(*http.Request) *http.Response {
			<-time.After(time.Second) // virtual
			mu.Lock()
			defer mu.Unlock()
			if asked++; asked <= 10 {
				return answers(http.StatusTooManyRequests, "Retry-After", "5")
			}
			return answers(http.StatusNotFound)
		}), twilio.APIKey{})
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() { _, _ = caller.Call(t.Context(), ending) })
		}
		<-time.After(2 * time.Second) // virtual: all were refused, none was sent again
		caller.want(t, 5, "gavel_twilio_limit")
		all.Wait()
	})
}

func TestACallWithoutASlotIsNotSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		leave, asked := make(chan struct{}), 0
		var mu sync.Mutex
		caller := newCaller(t, "https://api.example.com", twilioIs(func(*http.Request) *http.Response {
			mu.Lock()
			asked++
			mu.Unlock()
			<-leave
			return answers(http.StatusOK)
		}), twilio.APIKey{})
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() { _, _ = caller.Call(t.Context(), ending) })
		}
		synctest.Wait()
		// The call gives up while there would still be time to send it: a call
		// sent too late gets no answer, and its effect is unknown.
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		_, err := caller.Call(ctx, ending)
		if took := time.Since(began); !errors.Is(err, twilio.ErrCrowded) || took != 2*time.Second {
			t.Errorf("the eleventh: %v after %s", err, took)
		}
		all.Go(func() { _, _ = caller.Call(t.Context(), ending) })
		synctest.Wait()
		caller.want(t, 1, "gavel_twilio_waiting")
		close(leave)
		all.Wait()
		if asked != 11 {
			t.Errorf("Twilio got %d requests", asked)
		}
		caller.want(t, 0, "gavel_twilio_waiting")
	})
}

// A spare call is sent while half of the slots are free and no other call waits, so that it never
// keeps an action waiting.
func TestASpareCallWaitsForAllOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		leave, sent := make(chan struct{}), make(chan string, 100)
		caller := newCaller(t, "https://api.example.com", twilioIs(func(r *http.Request) *http.Response {
			sent <- r.Method
			<-leave
			return answers(http.StatusOK)
		}), twilio.APIKey{})
		spare := twilio.Call{AccountSid: account, Kind: "fetch-ended", Method: http.MethodGet, Path: ending.Path, Spare: true}
		var all sync.WaitGroup
		call := func(c twilio.Call, times int) {
			for range times {
				all.Go(func() { _, _ = caller.Call(t.Context(), c) })
			}
			synctest.Wait()
		}
		count := func(method string) (n int) {
			for range len(sent) {
				if m := <-sent; m == method {
					n++
				}
			}
			return n
		}
		call(spare, 8)
		if got := count(http.MethodGet); got != 5 {
			t.Errorf("%d of 8 spare calls are sent, want half of the 10 slots", got)
		}
		call(ending, 6)
		if got := count(http.MethodPost); got != 5 {
			t.Errorf("%d actions are sent beside 5 spare calls, want the other 5 slots", got)
		}
		caller.want(t, 4, "gavel_twilio_waiting")
		leave <- struct{}{} // a slot is free: the action takes it, before the spare calls that waited longer
		synctest.Wait()
		if got := count(http.MethodPost); got != 1 {
			t.Errorf("%d actions follow, want the one that waited", got)
		}
		close(leave)
		all.Wait()
		caller.want(t, 0, "gavel_twilio_waiting")
	})
}

// A spare call that Twilio refuses gives its slot back at once, and one without a slot is not sent.
func TestASpareCallHoldsNoSlot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		spare, leave := twilio.Call{AccountSid: account, Method: http.MethodGet, Path: ending.Path, Spare: true}, make(chan struct{})
		asked := 0
		var mu sync.Mutex
		caller := newCaller(t, "https://api.example.com", twilioIs(func(r *http.Request) *http.Response {
			mu.Lock()
			asked++
			mu.Unlock()
			if r.Method == http.MethodPost {
				<-leave
				return answers(http.StatusOK)
			}
			return answers(http.StatusTooManyRequests, "Retry-After", "1")
		}), twilio.APIKey{})
		if answer, err := caller.Call(t.Context(), spare); err != nil || answer.Status != http.StatusTooManyRequests || asked != 1 {
			t.Errorf("%d after %d tries, %v", answer.Status, asked, err)
		}
		var all sync.WaitGroup
		for range 5 { // the refusal halved the limit
			all.Go(func() { _, _ = caller.Call(t.Context(), ending) })
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if _, err := caller.Call(ctx, spare); !errors.Is(err, twilio.ErrCrowded) || asked != 6 {
			t.Errorf("beside five actions: %v after %d requests", err, asked)
		}
		close(leave)
		all.Wait()
	})
}

// Whatever the header contains, the wait is bounded.
func FuzzRetryAfter(f *testing.F) {
	now := time.Date(2026, 8, 3, 12, 0, 0, 0, time.UTC)
	for _, value := range []string{"", "0", "3", "-1", "1e9", "4294967295", "Mon, 03 Aug 2026 12:00:07 GMT", "Mon, 03 Aug 9999 12:00:07 GMT"} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if d := twilio.ParseRetryAfter(value, now); d < 0 || d > 24*time.Hour {
			t.Errorf("%q is %s", value, d)
		}
	})
}
