package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"

	"gavel/events"
)

// The bench measures rates. These tests check what the rates depend on: the load is genuine, each
// side processes all of it, and the table shows what was measured.

func TestEveryCallbackIsSignedAndIsNoDuplicate(t *testing.T) {
	t.Parallel()
	const (
		count = 2 * liveConferences * conferenceEvents
		some  = 20 // checking every 20th conference is enough
	)
	began := time.Now()
	seen := make(map[string]bool)
	next := make(map[string]int64)
	for n := 0; n < count; n += some {
		e, err := events.Parse(callbackAt(n, began).entry(began))
		if err != nil {
			t.Fatalf("callback %d: %v", n, err)
		}
		if seen[e.ID] {
			t.Fatalf("callback %d is a duplicate", n)
		}
		seen[e.ID] = true
		if e.SequenceNumber != next[e.ConferenceSid] {
			t.Fatalf("callback %d has SequenceNumber %d, not %d", n, e.SequenceNumber, next[e.ConferenceSid])
		}
		next[e.ConferenceSid]++
	}
	if want := 2 * liveConferences / some; len(next) != want {
		t.Errorf("there are %d conferences, not %d", len(next), want)
	}
}

func TestNoBatchHoldsAConferenceTwice(t *testing.T) {
	t.Parallel()
	const longestBatch = 640
	held := make(map[string]int)
	for n := range 5 * liveConferences {
		sid := callbackAt(n, time.Now()).conferenceSid
		if last, ok := held[sid]; ok && n-last < longestBatch {
			t.Fatalf("callbacks %d and %d belong to one conference", last, n)
		}
		held[sid] = n
	}
}

func TestCallbacksAreAsLongAsTwilios(t *testing.T) {
	t.Parallel()
	c := callbackAt(10*liveConferences, time.Now())
	if n := len(c.params); n != 16 {
		t.Errorf("a participant's callback has %d parameters, not 16", n)
	}
	if n := len(c.params.Encode()); n < 580 || n > 660 {
		t.Errorf("its body has %d bytes, not about 620", n)
	}
}

// receiver answers like a door and records the requests.
type receiver struct {
	mu     sync.Mutex
	bodies map[string]int
	status int
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	if req.URL.Path == doorPath && req.Header.Get("X-Twilio-Signature") != "" {
		r.bodies[string(body)]++
	}
	w.WriteHeader(r.status)
}

func loadOn(t *testing.T, r *receiver, count int, l load) (loaded, error) {
	t.Helper()
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	l.addr, l.requests = strings.TrimPrefix(server.URL, "http://"), filepath.Join(t.TempDir(), "requests")
	if err := writeRequests(l.requests, count); err != nil {
		t.Fatal(err)
	}
	return l.send(t.Context())
}

func TestLoaderSendsEachRequestOnceAndCountsItsAnswer(t *testing.T) {
	t.Parallel()
	r := &receiver{bodies: make(map[string]int), status: http.StatusNoContent}
	done, err := loadOn(t, r, 600, load{lasting: time.Minute, rate: 1000, first: 100})
	if err != nil {
		t.Fatal(err)
	}
	if done.Sent != 500 || len(r.bodies) != 500 {
		t.Errorf("%d requests were answered and %d arrived, want 500", done.Sent, len(r.bodies))
	}
	for body, times := range r.bodies {
		form, err := url.ParseQuery(body)
		if err != nil || times != 1 || form.Get("AccountSid") != accountSid {
			t.Fatalf("came %d times: %q (%v)", times, body, err)
		}
	}
}

func TestLoaderFailsOnAnyAnswerExcept204(t *testing.T) {
	t.Parallel()
	r := &receiver{bodies: make(map[string]int), status: http.StatusServiceUnavailable}
	_, err := loadOn(t, r, 100, load{lasting: time.Minute})
	if err == nil || !strings.Contains(err.Error(), "503 Service Unavailable") {
		t.Errorf("got %v, want an error that names the answer", err)
	}
}

func TestSidesRunForwardAndBackwardInTurn(t *testing.T) {
	t.Parallel()
	var order []string
	of := func(name string, values ...float64) side {
		return side{name, func(context.Context, *workshop) (figure, error) {
			order = append(order, name)
			value := values[0]
			values = values[1:]
			return figure{value: value}, nil
		}}
	}
	g := &group{
		unit:    perSecond,
		prepare: func(context.Context, *workshop) error { return nil },
		sides:   []side{of("a", 10, 20, 30), of("b", 20, 80, 40), of("unused")},
		ratios:  []ratio{{name: "wanted", side: "a", over: "b", bar: 0.5}, {name: "other", side: "unused", over: "a"}},
	}
	g.keep(func(name string) bool { return name == "wanted" })
	lines, err := g.measure(t.Context(), &workshop{settings: settings{rounds: 3}}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "b", "b", "a", "a", "b"}, order); diff != "" {
		t.Errorf("order of the sides (-want +got):\n%s", diff)
	}
	if want := (spread{0.25, 0.5, 0.75}); len(lines) != 1 || lines[0].spread != want || lines[0].verdict != pass {
		t.Errorf("got %+v, want one line with %v that passes", lines, want)
	}
}

// TestTwoBuildsTakeTurns checks that a round measures both builds and that their order alternates.
func TestAComparisonAlternatesTheOrderOfTheBuilds(t *testing.T) {
	t.Parallel()
	now := &workshop{root: "new", settings: settings{rounds: 3}}
	before := &workshop{root: "old"}
	var order []string
	values := map[string][]float64{"new": {20, 90, 30}, "old": {40, 30, 30}}
	measured := side{"measured", func(_ context.Context, shop *workshop) (figure, error) {
		order = append(order, shop.root)
		value := values[shop.root][0]
		values[shop.root] = values[shop.root][1:]
		return figure{value: value, cpu: time.Duration(value) * time.Microsecond}, nil
	}}
	g := &group{
		unit:    perSecond,
		prepare: func(context.Context, *workshop) error { return nil },
		sides:   []side{measured, {"baseline", nil}},
		ratios:  []ratio{{name: "row", side: "measured", over: "baseline", bar: 5}},
	}
	lines, err := g.compare(t.Context(), now, before, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"new", "old", "old", "new", "new", "old"}, order); diff != "" {
		t.Errorf("order of the builds (-want +got):\n%s", diff)
	}
	if want := (spread{0.5, 1, 3}); len(lines) != 1 || lines[0].spread != want || lines[0].verdict != pass {
		t.Errorf("got %+v, want one line with %v that passes", lines, want)
	}
	if want := "CPU 30.0 µs per callback over 30.0 µs (1.00)"; !strings.HasSuffix(lines[0].aside, want) {
		t.Errorf("got %q, want %q at its end", lines[0].aside, want)
	}
}

func TestARatioPassesUpToItsBar(t *testing.T) {
	t.Parallel()
	figures := func(values ...float64) (f []figure) {
		for _, v := range values {
			f = append(f, figure{value: v, behind: time.Duration(v) * time.Second})
		}
		return f
	}
	g := &group{unit: perSecond}
	for name, c := range map[string]struct {
		r    ratio
		side []figure
		want string
	}{
		"at the bar":       {ratio{bar: 2}, figures(2, 1, 3), pass},
		"below the bar":    {ratio{bar: 2}, figures(1, 1, 3), below},
		"at the most":      {ratio{bar: 2, most: true}, figures(2, 1, 3), pass},
		"above the most":   {ratio{bar: 2, most: true}, figures(3, 3, 1), below},
		"picture keeps up": {ratio{bar: 1, behind: 2 * time.Second}, figures(2, 1, 3), pass},
		"picture behind":   {ratio{bar: 1, behind: time.Second}, figures(2, 1, 3), below},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := c.r.line(g, c.side, figures(1, 1, 1)).verdict; got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestQuantileCountsOnlyWhatWasAddedBetweenTwoReadings(t *testing.T) {
	t.Parallel()
	histogram := func(counts ...uint64) *dto.Histogram {
		h := &dto.Histogram{}
		for i, bound := range []float64{0.001, 0.002, 0.004} {
			h.Bucket = append(h.Bucket, &dto.Bucket{UpperBound: &bound, CumulativeCount: &counts[i]})
		}
		h.SampleCount = &counts[len(counts)-1]
		return h
	}
	before, after := histogram(5, 5, 5), histogram(5, 25, 45)
	for q, want := range map[float64]time.Duration{0.25: 1500 * time.Microsecond, 0.5: 2 * time.Millisecond, 0.75: 3 * time.Millisecond} {
		if got := quantile(q, before, after); got != want {
			t.Errorf("quantile %v is %s, want %s", q, got, want)
		}
	}
}
