package api_test

import (
	"bufio"
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gavel/events"
	"gavel/handlers/api"
	"gavel/projections"
)

// follower reads a stream of server-sent events.
type follower struct {
	testing.TB
	lines *bufio.Scanner
	end   context.CancelFunc
}

func (s *stack) follow(who credentials, path string, headers ...string) *follower {
	s.Helper()
	ctx, end := context.WithTimeout(s.Context(), 30*time.Second)
	s.Cleanup(end)
	response := s.open(ctx, who, http.MethodGet, path, "", headers...)
	s.Cleanup(func() { _ = response.Body.Close() })
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "text/event-stream" {
		s.Fatalf("%d %s", response.StatusCode, response.Header.Get("Content-Type"))
	}
	return &follower{s.TB, bufio.NewScanner(response.Body), end}
}

// next returns the id of the next event and what its CloudEvent is about.
func (f *follower) next() (id, source string) {
	f.Helper()
	for f.lines.Scan() {
		line := f.lines.Text()
		if v, ok := strings.CutPrefix(line, "id: "); ok {
			id = v
		}
		if v, ok := strings.CutPrefix(line, "data: "); ok {
			return id, read[struct{ Source string }](f.TB, answer{status: 200, body: v}).Source
		}
	}
	f.Fatalf("the stream ended: %v", f.lines.Err())
	return "", ""
}

func source(account string, n int) string {
	return "/accounts/" + account + "/conferences/" + sid("CF", n)
}

func fourFacts() []events.News {
	return []events.News{
		fact(account, 1, events.ParticipantJoin, "1", 10),
		fact(account, 1, events.ParticipantLeave, "2", 11),
		fact(other, 2, events.ParticipantJoin, "1", 12),
		fact(account, 3, events.ParticipantJoin, "1", 13),
	}
}

func TestTailResumesBehindWhatWasSeen(t *testing.T) {
	t.Parallel()
	s := start(t, []*projections.Conference{room(account, 3, "third", at("09:00:00"))}, withNews(t, fourFacts()...))
	for name, c := range map[string]struct {
		who     credentials
		query   string
		headers []string
		want    []string
	}{
		"everything":             {s.all, "?after=1", nil, []string{"2", "3", "4"}},
		"by Last-Event-ID":       {s.all, "?after=1", []string{"Last-Event-ID", "2"}, []string{"3", "4"}},
		"one account":            {s.all, "?after=1&account=" + account, nil, []string{"2", "4"}},
		"one conference":         {s.all, "?after=1&conference=" + sid("CF", 1), nil, []string{"2"}},
		"one conference by name": {s.all, "?after=1&conference=third", nil, []string{"4"}},
		"what the key may see":   {s.key(account), "?after=1", nil, []string{"2", "4"}},
		"two of three accounts":  {s.key(other, foreign), "?after=1", nil, []string{"3"}},
		"a bearer":               {credentials{}, "?after=1", []string{"Authorization", "Bearer " + s.all.user + ":" + s.all.password}, []string{"2", "3", "4"}},
	} {
		f := s.follow(c.who, "tail"+c.query, c.headers...)
		for _, want := range c.want {
			if id, _ := f.next(); id != want {
				t.Errorf("%s: id %s, want %s", name, id, want)
			}
		}
		f.end()
	}
}

func TestTailStreamsNewEvents(t *testing.T) {
	t.Parallel()
	var publish func(...events.News)
	s := start(t, nil, func(c *api.Config) {
		b := openBus(t)
		tell(t, b, fourFacts()...)
		publish = func(facts ...events.News) { tell(t, b, facts...) }
		c.Tail = b.News()
	})
	f := s.follow(s.all, "tail?after=3")
	if _, about := f.next(); about != source(account, 3) {
		t.Errorf("about %s", about)
	}
	publish(fact(other, 4, events.ParticipantJoin, "1", 14), fact(account, 5, events.ParticipantJoin, "1", 15))
	for _, want := range []string{source(other, 4), source(account, 5)} {
		if _, about := f.next(); about != want {
			t.Errorf("about %s, want %s", about, want)
		}
	}
}

func TestTailIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t, nil, withNews(t))
	for name, c := range map[string]struct {
		query, lastID string
		who           credentials
		want          int
	}{
		"an id of somebody else": {"", "abc", s.all, 400},
		"a bent id":              {"?after=-1", "", s.all, 422},
		"a foreign account":      {"?account=" + other, "", s.key(account), 404},
		"no such name":           {"?conference=nobody", "", s.all, 404},
		"a stranger":             {"", "", credentials{"SK", "x"}, 401},
	} {
		headers := []string{}
		if c.lastID != "" {
			headers = []string{"Last-Event-ID", c.lastID}
		}
		response := s.open(t.Context(), c.who, http.MethodGet, "tail"+c.query, "", headers...)
		_ = response.Body.Close()
		if response.StatusCode != c.want {
			t.Errorf("%s: %d, want %d", name, response.StatusCode, c.want)
		}
	}
}

// A server that shuts down waits for its requests: Stop ends those that would never end.
func TestStopEndsTheStreams(t *testing.T) {
	t.Parallel()
	s := start(t, nil, withNews(t, fourFacts()...))
	f := s.follow(s.all, "tail?after=3")
	f.next()
	s.api.Stop()
	for f.lines.Scan() {
	}
	if err := f.lines.Err(); err != nil {
		t.Errorf("the stream broke off: %v", err)
	}
	if a := s.get("version"); a.status != http.StatusOK {
		t.Errorf("other requests: %d", a.status)
	}
}

// silent is a tail on which nothing happens.
type silent struct{ ended chan struct{} }

func (q silent) Tail(ctx context.Context, _ uint64, _, _ string, _ func(events.StoredNews) error) error {
	defer close(q.ended)
	<-ctx.Done()
	return ctx.Err()
}

// line is a client's connection, in memory.
type line struct {
	*httptest.ResponseRecorder
	broken atomic.Bool
}

func (l *line) SetWriteDeadline(time.Time) error { return nil }

func (l *line) Write(b []byte) (int, error) {
	if l.broken.Load() {
		return 0, http.ErrHandlerTimeout
	}
	return l.ResponseRecorder.Write(b)
}

// Time is virtual here, so there are no sockets.
func TestASilentTailBeats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		quiet := silent{make(chan struct{})}
		s := assemble(t, nil, func(c *api.Config) { c.Tail = quiet })
		r := httptest.NewRequest(http.MethodGet, "/v1/tail", nil)
		r.SetBasicAuth(s.all.user, s.all.password)
		w := &line{ResponseRecorder: httptest.NewRecorder()}
		done := make(chan struct{})
		go func() { defer close(done); s.api.ServeHTTP(w, r) }()

		<-time.After(46 * time.Second) // virtual
		synctest.Wait()
		if beats := bytes.Count(w.Body.Bytes(), []byte(":\n\n")); beats != 3 || !bytes.HasPrefix(w.Body.Bytes(), []byte(": gavel\n\n")) {
			t.Errorf("after 46 s: %q", w.Body)
		}
		w.broken.Store(true) // noticed by the next beat, and the tail is given up
		<-done
		<-quiet.ended
	})
}
