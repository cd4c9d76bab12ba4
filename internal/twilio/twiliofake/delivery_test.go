package twiliofake_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gavel/internal/twilio/twiliofake"
)

// answers fails or answers each attempt of a callback in turn, and then stops the fake.
type answers struct {
	attempts []*http.Request
	give     func(attempt int) (status int, err error)
}

func (a *answers) RoundTrip(request *http.Request) (*http.Response, error) {
	a.attempts = append(a.attempts, request)
	status, err := a.give(len(a.attempts))
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Body: http.NoBody, Request: request}, nil
}

var errConnect = &net.OpError{Op: "dial", Err: errors.New("connection refused")}

// oneCall plays the floor for a minute, with a subscription to ends of
// conferences only, and returns the attempts that were made.
func oneCall(t *testing.T, callbackURL string, give func(attempt int) (int, error)) (made []*http.Request) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a := &answers{give: give}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		twilio := twiliofake.New(twiliofake.Config{
			AccountSid: account,
			AuthToken:  authToken,
			Status:     twiliofake.Subscription{URL: callbackURL, Events: []string{"end"}},
			Rate:       1,
			Transport:  a,
		})
		if err := twilio.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
		made = a.attempts
	})
	return made
}

func TestRetriesFollowTheConnectionOverrides(t *testing.T) {
	t.Parallel()
	always := func(status int, err error) func(int) (int, error) {
		return func(int) (int, error) { return status, err }
	}
	for _, c := range []struct {
		name, fragment string
		give           func(int) (int, error)
		want           int
	}{
		{"answered", "", always(204, nil), 1},
		{"default: again when the connection fails", "", always(0, errConnect), 2},
		{"default: again when TLS fails", "", always(0, &tls.CertificateVerificationError{Err: errors.New("self-signed")}), 2},
		{"default: never after an answer", "", always(503, nil), 1},
		{"default: never after a lost answer", "", always(0, errors.New("reset")), 1},
		{"all", "#rc=5&rp=all", always(503, nil), 6},
		{"all, until the time limit", "#rc=5&rp=all&tt=1000", always(503, nil), 4},
		{"5xx only, and it is one", "#rc=2&rp=5xx", always(500, nil), 3},
		{"5xx only, and it is not one", "#rc=2&rp=5xx", always(403, nil), 1},
		{"two policies", "#rc=1&rp=4xx,ct", always(403, nil), 2},
		{"out of range counts as absent", "#rc=9&rp=ct", always(0, errConnect), 2},
		{"until one succeeds", "#rc=5&rp=all", func(n int) (int, error) {
			if n < 3 {
				return 503, nil
			}
			return 204, nil
		}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			made := oneCall(t, hooks+"conference"+c.fragment, c.give)
			token, attempts := "", 0
			for _, request := range made {
				if token == "" {
					token = request.Header.Get("I-Twilio-Idempotency-Token")
				}
				if request.Header.Get("I-Twilio-Idempotency-Token") == token {
					attempts++
				}
			}
			if attempts != c.want {
				t.Errorf("%d attempts with the token of the first callback, want %d", attempts, c.want)
			}
		})
	}
}

func TestGetCarriesAndSignsEverythingInTheURL(t *testing.T) {
	t.Parallel()
	r := firstRequest(t, twiliofake.Subscription{URL: hooks + "conference?queue=sales#rc=2", Method: http.MethodGet})
	address := r.URL.String()
	if !strings.HasPrefix(address, hooks+"conference?queue=sales&") || r.URL.Query().Get("AccountSid") != account {
		t.Errorf("GET %s", address)
	}
	if got, want := r.Header.Get("X-Twilio-Signature"), twiliofake.Signature(authToken, address, nil); got != want {
		t.Errorf("signature = %s, want %s", got, want)
	}
	if r.Header.Get("Content-Type") != "" {
		t.Error("a GET has no content type")
	}
}

func TestHTTPSIsSignedWithoutItsPort(t *testing.T) {
	t.Parallel()
	for callbackURL, signed := range map[string]string{
		"https://gavel.test:8443/twilio/conference": "https://gavel.test/twilio/conference",
		"https://[2001:db8::1]:8443/x":              "https://[2001:db8::1]/x",
		"http://gavel.test:8080/twilio/conference":  "http://gavel.test:8080/twilio/conference",
	} {
		r := firstRequest(t, twiliofake.Subscription{URL: callbackURL})
		if r.URL.String() != callbackURL {
			t.Errorf("sent to %s, want %s", r.URL, callbackURL)
		}
		if got, want := r.Header.Get("X-Twilio-Signature"), twiliofake.Signature(authToken, signed, r.form); got != want {
			t.Errorf("signature of %s is not that of %s", callbackURL, signed)
		}
	}
}

// firstRequest returns the first request that is sent.
func firstRequest(t *testing.T, status twiliofake.Subscription) received {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := &receiver{enough: 1, counts: "participant-join", closing: cancel}
	twilio := twiliofake.New(twiliofake.Config{
		AccountSid: account, AuthToken: authToken, Status: status, Rate: 20,
		Clock: twiliofake.FastForward(opening), Transport: r,
	})
	if err := twilio.Run(ctx); err != nil {
		t.Fatalf("Run: %v", err)
	}
	return r.requests[0]
}

func TestOnlySubscribedEventsAreSentAndNumbered(t *testing.T) {
	t.Parallel()
	r := play(t, 20, func(c *twiliofake.Config) { c.Status.Events = []string{"join", "end"} })
	for sid, sent := range r.completed(t) {
		for i, event := range sent {
			kind := event.Get("StatusCallbackEvent")
			if number(t, event) != i || kind != "participant-join" && kind != "conference-end" {
				t.Errorf("conference %s: event %d is %s with number %s", sid, i, kind, event.Get("SequenceNumber"))
			}
		}
	}
}

func TestCallbacksTravelOverRealHTTP(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	got := make(chan *http.Request, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Errorf("ParseForm: %v", err)
		}
		select {
		case got <- r:
			cancel()
		default:
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	userinfo := strings.Replace(server.URL, "http://", "http://user:password@", 1)
	twilio := twiliofake.New(twiliofake.Config{
		AccountSid: account,
		AuthToken:  authToken,
		Status:     twiliofake.Subscription{URL: userinfo + "/twilio/conference?queue=sales#rc=2"},
		Rate:       20,
	})
	if err := twilio.Run(ctx); err != nil {
		t.Fatalf("Run: %v", err)
	}
	r := <-got
	want := twiliofake.Signature(authToken, server.URL+"/twilio/conference?queue=sales", r.PostForm)
	if r.Header.Get("X-Twilio-Signature") != want {
		t.Error("the signature is not that of the URL without userinfo and fragment")
	}
	if r.Header.Get("Authorization") != "" {
		t.Error("credentials were sent without a challenge")
	}
}

func TestCredentialsInTheURLAreSentAfterAChallenge(t *testing.T) {
	t.Parallel()
	var sent []string
	made := oneCall(t, "http://gavel:open@gavel.test/twilio/conference", func(attempt int) (int, error) {
		if attempt == 1 {
			return http.StatusUnauthorized, nil
		}
		return http.StatusNoContent, nil
	})
	for _, request := range made[:2] {
		user, password, _ := request.BasicAuth()
		sent = append(sent, user+":"+password)
	}
	if sent[0] != ":" || sent[1] != "gavel:open" {
		t.Errorf("credentials of the two requests are %q", sent)
	}
	if made[0].Header.Get("X-Twilio-Signature") != made[1].Header.Get("X-Twilio-Signature") {
		t.Error("the signatures differ")
	}
}
