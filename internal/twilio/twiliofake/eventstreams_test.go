package twiliofake_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gavel/internal/twilio/twiliofake"
)

const sinkURL = "http://gavel.test:8080/twilio/events"

// sink receives Event Streams and forwards everything else.
type sink struct {
	others http.RoundTripper
	give   func(attempt int) int // the status of each answer

	mu       sync.Mutex
	requests []*http.Request
	bodies   [][]byte
}

func (s *sink) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Path != "/twilio/events" {
		return s.others.RoundTrip(request)
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests, s.bodies = append(s.requests, request), append(s.bodies, body)
	return &http.Response{StatusCode: s.give(len(s.bodies)), Body: http.NoBody, Request: request}, nil
}

type streamed struct {
	SpecVersion string `json:"specversion"`
	ID          string `json:"id"`
	Type        string `json:"type"`
	Data        struct {
		Request struct {
			Method     string            `json:"method"`
			URL        string            `json:"url"`
			Parameters map[string]string `json:"parameters"`
		} `json:"request"`
		Response struct{ ResponseCode int }
	} `json:"data"`
}

// items returns all events that arrived, in order.
func (s *sink) items(t *testing.T) (items []streamed) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, body := range s.bodies {
		var batch []streamed
		if err := json.Unmarshal(body, &batch); err != nil {
			t.Fatalf("a batch is not a JSON array: %s", body)
		}
		items = append(items, batch...)
	}
	return items
}

// streams starts a fake with a sink that answers with the given statuses.
func streams(t *testing.T, give func(attempt int) int, change func(*twiliofake.Config)) (*exchange, *sink) {
	t.Helper()
	s := &sink{give: give}
	x := opens(t, func(c *twiliofake.Config) {
		s.others = c.Transport
		c.EventStreams, c.Transport = sinkURL+"#rc=0", s
		if change != nil {
			change(c)
		}
	})
	return x, s
}

func accepted(int) int { return http.StatusNoContent }

func TestEventStreamsCarryTheEventsOfCallbacks(t *testing.T) {
	t.Parallel()
	x, s := streams(t, accepted, func(c *twiliofake.Config) { c.Faults.Lose = 1 })
	sid, _, customer := x.talk("support-1")
	x.do("POST", "Conferences/"+sid+".json", "AnnounceUrl", "https://example.com/a.mp3")
	x.settles(5 * time.Second)
	x.do("POST", "Conferences/"+sid+".json", "Status", "completed")
	x.settles(time.Minute)
	eventually(t, func() bool { return len(s.items(t)) == 11 })
	if len(x.receiver.requests) != 0 {
		t.Errorf("%d callbacks arrived although all are lost", len(x.receiver.requests))
	}
	items := s.items(t)
	types := map[string]int{}
	for _, item := range items {
		types[item.Type]++
	}
	const voice = "com.twilio.voice.status-callback."
	want := map[string]int{
		voice + "conference.participant.updated": 4, voice + "conference.updated": 2,
		voice + "announcement.processed": 1, voice + "recording.processed": 2,
		"com.twilio.voice.api-request.conference.modified": 2,
	}
	if diff := cmp.Diff(want, types); diff != "" {
		t.Errorf("types (-want +got):\n%s", diff)
	}
	ended := slices.IndexFunc(items, func(item streamed) bool { return item.Data.Request.Parameters["Status"] == "completed" })
	if ended < 0 || items[ended].Data.Response.ResponseCode != http.StatusOK || !strings.HasSuffix(items[ended].Data.Request.URL, "/Conferences/"+sid+".json") {
		t.Errorf("the request that ended the conference is missing, or wrong: %+v", items)
	}
	at := slices.IndexFunc(items, func(item streamed) bool { // batches may overtake each other
		return item.Data.Request.Parameters["StatusCallbackEvent"] == "participant-join" && item.Data.Request.Parameters["CallSid"] == customer.CallSid()
	})
	if at < 0 {
		t.Fatal("the customer's join is missing")
	}
	join := items[at]
	if join.SpecVersion != "1.0" || len(join.ID) != 34 || join.Data.Request.Method != http.MethodPost || join.Data.Request.URL != hooks+"conference" ||
		join.Data.Request.Parameters["SequenceNumber"] != "1" {
		t.Errorf("the customer's join is %+v", join)
	}
}

func TestBatchesAreSignedOverTheirHash(t *testing.T) {
	t.Parallel()
	x, s := streams(t, accepted, nil)
	x.talk("support-1")
	eventually(t, func() bool { return len(s.items(t)) == 4 })
	for i, request := range s.requests {
		sum := sha256.Sum256(s.bodies[i])
		address := sinkURL + "?bodySHA256=" + hex.EncodeToString(sum[:])
		if request.URL.String() != address {
			t.Errorf("sent to %s, want %s", request.URL, address)
		}
		if got, want := request.Header.Get("X-Twilio-Signature"), twiliofake.Signature(authToken, address, nil); got != want {
			t.Errorf("signature %s, want %s", got, want)
		}
	}
}

func TestABatchIsSentAgainForFourHours(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		give  func(int) int
		least int
		most  time.Duration
	}{
		"until it is accepted": {func(n int) int {
			if n < 6 {
				return 503
			}
			return 204
		}, 6, time.Hour},
		"never": {func(int) int { return 503 }, 50, 4 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := twiliofake.FastForward(opening)
			x, s := streams(t, c.give, func(config *twiliofake.Config) { config.Clock = clock })
			if _, _, err := x.Join("support-1", twiliofake.Leg{Status: twiliofake.Subscription{URL: hooks + "conference"}}); err != nil {
				t.Fatal(err)
			}
			attempts := func() int { s.mu.Lock(); defer s.mu.Unlock(); return len(s.bodies) }
			eventually(t, func() bool { return attempts() >= c.least })
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, body := range s.bodies {
				if string(body) != string(s.bodies[0]) {
					t.Error("the batch changed between attempts")
				}
			}
			if passed := clock.Now().Sub(opening); passed > c.most {
				t.Errorf("%v passed", passed)
			}
		})
	}
}
