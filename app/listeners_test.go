package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gavel/handlers/rest"
	"gavel/internal/keys"
)

// A callback that comes while the process still waits for NATS is answered at once, so that Twilio
// tries again; once wired, the same connection gets the real answer.
func TestAListenerAnswersFromTheFirstMoment(t *testing.T) {
	t.Parallel()
	l, err := Listen(t.Context(), "127.0.0.1:0", 0)
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + l.Address()
	for path, want := range map[string]int{"/twilio/conference": http.StatusServiceUnavailable, "/readyz": http.StatusServiceUnavailable, "/healthz": http.StatusOK} {
		r := fetch(t, url+path)
		if r.StatusCode != want {
			t.Errorf("%s answers %d before it is wired, want %d", path, r.StatusCode, want)
		}
		if again := r.Header.Get("Retry-After"); (again != "") != (want == http.StatusServiceUnavailable) {
			t.Errorf("%s has Retry-After %q", path, again)
		}
	}
	// Twilio's clients read an error only in the form of Twilio's API.
	r := fetch(t, url+rest.Prefix+"Accounts/AC/Conferences.json")
	var fault struct{ Status, Code int }
	if err := json.NewDecoder(r.Body).Decode(&fault); err != nil || fault.Status != r.StatusCode || r.StatusCode != http.StatusServiceUnavailable || fault.Code == 0 {
		t.Errorf("Twilio's API before it is wired: %d, %+v, %v", r.StatusCode, fault, err)
	}
	l.Show(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	if r := fetch(t, url+"/twilio/conference"); r.StatusCode != http.StatusNoContent {
		t.Errorf("answers %d once wired", r.StatusCode)
	}
	if err := l.Stop(context.Background()); err != nil {
		t.Errorf("stop: %v", err)
	}
	if err := <-l.Ended(); !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("server ended with %v", err)
	}
}

// Callbacks do not pass through net/http's server, and are answered in the same way.
func TestAListenerReadsCallbacksItself(t *testing.T) {
	t.Parallel()
	l, err := Listen(t.Context(), "127.0.0.1:0", 0)
	if err != nil {
		t.Fatal(err)
	}
	post := func() *http.Response {
		t.Helper()
		r, err := http.Post("http://"+l.Address()+"/twilio/conference", "application/x-www-form-urlencoded", strings.NewReader("a=b"))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		return r
	}
	if r := post(); r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
		t.Errorf("before it is wired: %s, %v", r.Status, r.Header)
	}
	l.Show(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, own := r.Body.(interface{ Whole() }); own {
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	if r := post(); r.StatusCode != http.StatusNoContent || r.Close {
		t.Errorf("once wired: %s, closes: %t", r.Status, r.Close)
	}
	l.leave()
	if r := post(); r.StatusCode != http.StatusNoContent || !r.Close {
		t.Errorf("after leave: %s, closes: %t", r.Status, r.Close)
	}
	if err := l.Stop(context.Background()); err != nil {
		t.Errorf("stop: %v", err)
	}
	if err := <-l.Ended(); !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("server ended with %v", err)
	}
}

// A base URL that ends in a slash makes paths with an empty element. A redirect of a write
// would be taken for its success, and a redirected callback loses its parameters.
func TestNoPathIsRedirected(t *testing.T) {
	t.Parallel()
	named := func(status int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	}
	mux := http.NewServeMux()
	mux.Handle("/v1/", named(http.StatusOK))
	a := &App{rest: rest.New(rest.Config{Auth: anyone{}, Now: time.Now, Log: slog.New(slog.DiscardHandler), Metrics: rest.NewMetrics(prometheus.NewRegistry())})}
	for path, want := range map[string]int{
		"/v1/conferences": http.StatusOK, "//v1/conferences": http.StatusNotFound, "/v1/../v1/conferences": http.StatusNotFound,
		"//2010-04-01/Accounts/AC25e16e9a716a4a8617a7c83f58e30482/Conferences.json":  http.StatusNotFound,
		"/2010-04-01//Accounts/AC25e16e9a716a4a8617a7c83f58e30482/Conferences.json":  http.StatusNotFound,
		"/2010-04-01/./Accounts/AC25e16e9a716a4a8617a7c83f58e30482/Conferences.json": http.StatusNotFound,
		"/2010-04-01": http.StatusNotFound, "/x/../2010-04-01/": http.StatusNotFound,
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
			w := httptest.NewRecorder()
			a.straight(mux).ServeHTTP(w, httptest.NewRequest(method, path, nil))
			if w.Code != want {
				t.Errorf("%s %s answers %d, want %d", method, path, w.Code, want)
			}
			if strings.Contains(path, "2010") && !strings.Contains(w.Body.String(), `"code":20404`) {
				t.Errorf("%s %s is not in Twilio's shape: %s", method, path, w.Body)
			}
		}
	}
}

// anyone is an authenticator that accepts every caller.
type anyone struct{}

func (anyone) Authenticate(context.Context, string, string) (keys.Identity, bool) {
	return keys.Identity{}, true
}

func fetch(t *testing.T, url string) *http.Response {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return r
}
