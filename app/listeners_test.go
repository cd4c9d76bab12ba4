package app

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
)

// A callback that comes while the process still waits for NATS is answered at once, so that Twilio
// tries again; once wired, the same connection gets the real answer.
func TestAListenerAnswersFromTheFirstMoment(t *testing.T) {
	t.Parallel()
	l, err := Listen(t.Context(), "127.0.0.1:0")
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

func fetch(t *testing.T, url string) *http.Response {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		t.Fatal(err)
	}
	return r
}
