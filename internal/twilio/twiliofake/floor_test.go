package twiliofake_test

import (
	"context"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gavel/internal/twilio/twiliofake"
)

const (
	account   = "AC25e16e9a716a4a8617a7c83f58e30482"
	authToken = "12345abcdef67890fedcba0987654321"
	hooks     = "http://gavel.test:8080/twilio/"
)

var opening = time.Date(2026, 8, 3, 9, 0, 0, 0, time.UTC)

// receiver replaces the network and records the requests.
type receiver struct {
	mu       sync.Mutex
	requests []received
	counts   string // the event that is counted
	counted  int
	enough   int // closing is called after that many
	closing  context.CancelFunc
	twilio   *twiliofake.Twilio
}

type received struct {
	*http.Request
	form url.Values
}

func (r *receiver) RoundTrip(request *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	if request.Method == http.MethodGet {
		body = []byte(request.URL.RawQuery)
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, received{request, form})
	if form.Get("StatusCallbackEvent") == r.counts {
		r.counted++
	}
	if r.counted == r.enough {
		r.closing()
	}
	if strings.HasSuffix(request.URL.Path, "/announcements/all") {
		twiml := "<Response><Say>We close in five minutes.</Say></Response>"
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(twiml)), Request: request}, nil
	}
	return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody, Request: request}, nil
}

// byConference groups the status callbacks by conference and sorts them by SequenceNumber.
func (r *receiver) byConference(t *testing.T) map[string][]url.Values {
	t.Helper()
	conferences := map[string][]url.Values{}
	for _, request := range r.requests {
		if request.form.Has("StatusCallbackEvent") {
			sid := request.form.Get("ConferenceSid")
			conferences[sid] = append(conferences[sid], request.form)
		}
	}
	for _, sent := range conferences {
		slices.SortStableFunc(sent, func(a, b url.Values) int { return number(t, a) - number(t, b) })
	}
	return conferences
}

// completed returns the conferences whose end was sent.
func (r *receiver) completed(t *testing.T) map[string][]url.Values {
	t.Helper()
	all := r.byConference(t)
	maps.DeleteFunc(all, func(_ string, sent []url.Values) bool {
		return sent[len(sent)-1].Get("StatusCallbackEvent") != "conference-end"
	})
	return all
}

// play runs the floor on a fast clock until that many conferences have ended.
func play(t *testing.T, conferences int, change func(*twiliofake.Config)) *receiver {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := &receiver{counts: "conference-end", enough: conferences, closing: cancel}
	config := twiliofake.Config{
		AccountSid: account,
		AuthToken:  authToken,
		Status:     twiliofake.Subscription{URL: hooks + "conference#rc=5&rp=all"},
		Recording:  twiliofake.Subscription{URL: hooks + "recording"},
		Rate:       20,
		Seed:       1,
		Clock:      twiliofake.FastForward(opening),
		Transport:  r,
	}
	if change != nil {
		change(&config)
	}
	r.twilio = twiliofake.New(config)
	if err := r.twilio.Run(ctx); err != nil {
		t.Fatalf("Run: %v", err)
	}
	return r
}

func TestFloorEndsConferencesForAllFiveReasons(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		reasons := map[string]int{}
		for _, sent := range play(t, 24, func(c *twiliofake.Config) { c.Seed = seed }).completed(t) {
			reasons[sent[len(sent)-1].Get("ReasonConferenceEnded")]++
		}
		if len(reasons) != 5 {
			t.Errorf("seed %d: reasons among 24 conferences = %v, want all five", seed, reasons)
		}
	}
}

func TestFloorKeepsItsRate(t *testing.T) {
	t.Parallel()
	const conferences = 300
	r := play(t, conferences, nil)
	var last time.Time
	for _, sent := range r.byConference(t) {
		if first := when(t, sent[0]); first.After(last) {
			last = first
		}
	}
	perMinute := conferences / last.Sub(opening).Minutes()
	if perMinute < 18 || perMinute > 22 {
		t.Errorf("%.1f conferences a minute, want about 20", perMinute)
	}
}

func TestFloorIsDecidedByItsSeed(t *testing.T) {
	t.Parallel()
	first := play(t, 40, nil).completed(t)
	second := play(t, 40, nil).completed(t)
	compared := 0
	for sid, sent := range first {
		if again, ok := second[sid]; ok {
			compared++
			if diff := cmp.Diff(sent, again); diff != "" {
				t.Errorf("conference %s differs (-first +second):\n%s", sid, diff)
			}
		}
	}
	if compared < 35 {
		t.Errorf("only %d of 40 conferences were repeated", compared)
	}
	other := play(t, 40, func(c *twiliofake.Config) { c.Seed = 2 }).completed(t)
	for sid := range other {
		if _, ok := first[sid]; ok {
			t.Errorf("seed 2 played conference %s of seed 1", sid)
		}
	}
}

func TestEveryConferenceIsLegal(t *testing.T) {
	t.Parallel()
	for sid, sent := range play(t, 300, nil).completed(t) {
		legal := newLaw(t, sid)
		for _, event := range sent {
			legal.accept(event)
		}
	}
}

func TestOneConferenceOfANameAtATime(t *testing.T) {
	t.Parallel()
	type span struct{ from, to time.Time }
	spans := map[string][]span{}
	for _, sent := range play(t, 300, nil).completed(t) {
		name := sent[0].Get("FriendlyName")
		spans[name] = append(spans[name], span{when(t, sent[0]), when(t, sent[len(sent)-1])})
	}
	again := 0
	for name, used := range spans {
		slices.SortFunc(used, func(a, b span) int { return a.from.Compare(b.from) })
		for i := 1; i < len(used); i++ {
			again++
			if used[i].from.Before(used[i-1].to) {
				t.Errorf("two conferences named %s at once: %v and %v", name, used[i-1], used[i])
			}
		}
	}
	if again == 0 {
		t.Error("no name was used twice")
	}
}

func TestRequestsLookLikeTwilios(t *testing.T) {
	t.Parallel()
	tokens := map[string]bool{}
	for _, request := range play(t, 40, nil).requests {
		address := request.URL.String()
		if strings.Contains(address, "#") || !strings.HasPrefix(address, hooks) {
			t.Fatalf("request went to %s", address)
		}
		want := http.Header{
			"Content-Type":               {"application/x-www-form-urlencoded; charset=UTF-8"},
			"User-Agent":                 {"TwilioProxy/1.1"},
			"Accept":                     {"*/*"},
			"X-Home-Region":              {"us1"},
			"X-Twilio-Signature":         {twiliofake.Signature(authToken, address, request.form)},
			"I-Twilio-Idempotency-Token": request.Header["I-Twilio-Idempotency-Token"],
		}
		if diff := cmp.Diff(want, request.Header); diff != "" {
			t.Fatalf("headers (-want +got):\n%s", diff)
		}
		token := request.Header.Get("I-Twilio-Idempotency-Token")
		if len(token) != 36 || tokens[token] {
			t.Fatalf("idempotency token %q is malformed or repeated", token)
		}
		tokens[token] = true
	}
}

func TestRecordingsComeToAnEnd(t *testing.T) {
	t.Parallel()
	statuses := map[string][]string{}
	for _, request := range play(t, 100, nil).requests {
		if sid := request.form.Get("RecordingSid"); sid != "" {
			if !strings.HasSuffix(request.URL.Path, "/recording") || request.form.Has("SequenceNumber") {
				t.Errorf("recording callback %v went to %s", request.form, request.URL)
			}
			statuses[sid] = append(statuses[sid], request.form.Get("RecordingStatus"))
		}
	}
	finished := 0
	for sid, sent := range statuses {
		switch strings.Join(sent, " ") {
		case "in-progress completed":
			finished++
		case "in-progress": // the floor stopped before it was ready
		default:
			t.Errorf("recording %s has the statuses %v", sid, sent)
		}
	}
	if finished < 10 {
		t.Errorf("%d recordings completed among 100 conferences", finished)
	}
}

func TestFaultsHappenAboutAsOftenAsConfigured(t *testing.T) {
	t.Parallel()
	calm := play(t, 150, nil)
	rough := play(t, 150, func(c *twiliofake.Config) {
		c.Faults = twiliofake.Faults{Lose: 0.1, Duplicate: 0.2, Reorder: 0.1, Delay: time.Second}
	})
	times := map[string]int{}
	for _, request := range rough.requests {
		times[request.Header.Get("I-Twilio-Idempotency-Token")]++
	}
	if got := rough.twilio.Accepted(); got != int64(len(times)) {
		t.Errorf("Accepted = %d, want %d", got, len(times))
	}
	twice := 0
	for _, n := range times {
		twice += n - 1
	}
	if share := float64(twice) / float64(len(times)); share < 0.15 || share > 0.25 {
		t.Errorf("%.2f of the callbacks came twice, want about 0.2", share)
	}
	if share := arrived(t, rough); share < 0.85 || share > 0.95 {
		t.Errorf("%.2f of the callbacks came, want about 0.9", share)
	}
	if share := arrived(t, calm); share != 1 {
		t.Errorf("%.2f of the callbacks came without faults", share)
	}
	if n := disordered(t, calm); n != 0 {
		t.Errorf("%d callbacks out of order without faults", n)
	}
	if n := disordered(t, rough); n < 20 {
		t.Errorf("%d callbacks out of order with faults, want many", n)
	}
}

// arrived is the share of the callbacks that arrived, computed from the gaps in
// the numbers of each conference.
func arrived(t *testing.T, r *receiver) float64 {
	t.Helper()
	came, sent := 0, 0
	for _, requests := range r.byConference(t) {
		numbers := map[int]bool{}
		least, most := math.MaxInt, 0
		for _, form := range requests {
			if form.Has("SequenceNumber") {
				n := number(t, form)
				numbers[n], least, most = true, min(least, n), max(most, n)
			}
		}
		if len(numbers) > 0 {
			came, sent = came+len(numbers), sent+most-least+1
		}
	}
	return float64(came) / float64(sent)
}

// disordered counts callbacks that arrived after a later one.
func disordered(t *testing.T, r *receiver) int {
	t.Helper()
	highest, late := map[string]int{}, 0
	for _, request := range r.requests {
		if !request.form.Has("SequenceNumber") {
			continue
		}
		sid, n := request.form.Get("ConferenceSid"), number(t, request.form)
		if n < highest[sid] {
			late++
		}
		highest[sid] = max(highest[sid], n)
	}
	return late
}

func number(t *testing.T, form url.Values) int {
	t.Helper()
	n, err := strconv.Atoi(form.Get("SequenceNumber"))
	if err != nil {
		t.Fatalf("SequenceNumber: %v", err)
	}
	return n
}

func when(t *testing.T, form url.Values) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC1123Z, form.Get("Timestamp"))
	if err != nil {
		t.Fatalf("Timestamp: %v", err)
	}
	return at
}
