package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gavel/events"
	"gavel/handlers/api"
	"gavel/internal/bus"
	"gavel/internal/keys"
	"gavel/projections"
	"gavel/projections/ministore"
)

// Store, keys, HTTP and, where a test needs news, NATS are real. The rebuild is
// a stand-in that a test controls, and now is a fixed moment.

const (
	account = "AC0123456789abcdef0123456789abcdef"
	other   = "AC1111111111111111111111111111111f"
	foreign = "ACffffffffffffffffffffffffffffffff"
	token   = "token1now"
)

var now = time.Date(2026, 8, 3, 12, 0, 0, 0, time.UTC)

type stack struct {
	testing.TB
	redis  *ministore.Redis
	store  *ministore.Store
	keys   *keys.Keys
	config api.Config
	api    *api.API
	server *httptest.Server
	all    credentials // an admin's key
}

type credentials struct{ user, password string }

// start serves the API on a picture of these conferences. Each change may alter
// what it is made with.
func start(t testing.TB, conferences []*projections.Conference, changes ...func(*api.Config)) *stack {
	t.Helper()
	s := assemble(t, conferences, changes...)
	s.server = httptest.NewServer(s.api)
	t.Cleanup(s.server.Close)
	t.Cleanup(s.api.Stop)
	return s
}

// assemble makes the API without a server.
func assemble(t testing.TB, conferences []*projections.Conference, changes ...func(*api.Config)) *stack {
	t.Helper()
	s := &stack{TB: t, redis: ministore.NewRedis()}
	log := slog.New(slog.DiscardHandler)
	var err error
	if s.store, err = ministore.Open(s.redis, 1, log); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.store.Close() })
	s.fill(conferences)
	if s.keys, err = keys.Open(t.Context(), forgetful{}, logins, log); err != nil {
		t.Fatal(err)
	}
	s.all = s.keyOf(keys.Admin)
	s.config = api.Config{
		Reader: s.store, Auth: s.keys, Keys: s.keys,
		Version: api.Version{Gavel: "v1.2.3", Go: "go1.26", NATS: "2.15.2"},
		Now:     func() time.Time { return now },
		Log:     log,
		Metrics: api.NewMetrics(prometheus.NewRegistry()),
	}
	for _, change := range changes {
		change(&s.config)
	}
	s.api = api.New(s.config)
	return s
}

func logins(sid string) (secrets, accounts []string) {
	if sid == account {
		return []string{token}, []string{account}
	}
	return nil, nil
}

// withNews gives the API a real stream of these facts.
func withNews(t *testing.T, facts ...events.News) func(*api.Config) {
	b := openBus(t)
	tell(t, b, facts...)
	return func(c *api.Config) { c.Timeline, c.Tail = b.News(), b.News() }
}

func openBus(t *testing.T) *bus.Bus {
	t.Helper()
	b, err := bus.Open(t.Context(), bus.Config{DataDir: t.TempDir(), Sync: bus.SyncInterval}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return b
}

func tell(t *testing.T, b *bus.Bus, facts ...events.News) {
	t.Helper()
	for _, fact := range facts { // one by one, for their order
		if err := b.News().Publish(t.Context(), []events.News{fact}); err != nil {
			t.Fatal(err)
		}
	}
}

// fill makes the picture, as after a start.
func (s *stack) fill(conferences []*projections.Conference) {
	s.Helper()
	var records []projections.Stored
	for _, c := range conferences {
		records = append(records, projections.Stored{Conference: c, Book: projections.Book{Version: 1}})
	}
	s.put(records)
}

// put makes the picture of records with what stands beside them.
func (s *stack) put(records []projections.Stored) {
	s.Helper()
	build, err := s.store.Build(s.Context(), 0)
	if err != nil {
		s.Fatal(err)
	}
	var writes []projections.Write
	for _, r := range records {
		writes = append(writes, r.First())
	}
	if err := build.Put(s.Context(), writes); err != nil {
		s.Fatal(err)
	}
	if err := build.Commit(s.Context(), events.Position{Sequence: 1}, nil); err != nil {
		s.Fatal(err)
	}
}

// key makes a viewer's key for these accounts, or for all.
func (s *stack) key(accounts ...string) credentials {
	s.Helper()
	return s.keyOf(keys.Viewer, accounts...)
}

func (s *stack) keyOf(role keys.Role, accounts ...string) credentials {
	s.Helper()
	k, secret, err := s.keys.Create(s.Context(), "test", role, accounts)
	if err != nil {
		s.Fatal(err)
	}
	return credentials{k.Sid, secret}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// get sends a GET with the admin's key.
func (s *stack) get(path string) answer {
	s.Helper()
	return s.as(s.all, http.MethodGet, path, "")
}

func (s *stack) as(who credentials, method, path, body string) answer {
	s.Helper()
	response := s.open(s.Context(), who, method, path, body)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(text)}
}

func (s *stack) open(ctx context.Context, who credentials, method, path, body string, headers ...string) *http.Response {
	s.Helper()
	r, err := http.NewRequestWithContext(ctx, method, s.server.URL+"/v1/"+path, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	if who.user != "" {
		r.SetBasicAuth(who.user, who.password)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	return response
}

// read decodes a success.
func read[T any](t testing.TB, a answer) (v T) {
	t.Helper()
	if a.status != http.StatusOK {
		t.Fatalf("%d: %s", a.status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return v
}

func sid(prefix string, n int) string { return fmt.Sprintf("%s%032x", prefix, n) }

// at is a moment of 3 August 2026, UTC.
func at(clock string) projections.Instant {
	t, err := time.Parse(time.DateTime, "2026-08-03 "+clock)
	if err != nil {
		panic(err)
	}
	return projections.At(t)
}

// room is a conference in progress.
func room(in string, n int, name string, created projections.Instant) *projections.Conference {
	return &projections.Conference{
		AccountSid: in, ConferenceSid: sid("CF", n),
		FriendlyName: projections.Stated[string]{Value: name},
		Created:      created, Updated: created + 10,
		Start: &projections.Moment{Seq: 1, At: created + 5},
	}
}

func completed(c *projections.Conference) *projections.Conference {
	c.Updated += 600
	c.End = &projections.Ending{
		Moment: projections.Moment{Seq: 9, At: c.Updated}, Reason: projections.EndedByExitLeft,
		Text: "Participant left", CallSid: sid("CA", 1), Label: "agent",
	}
	return c
}

// fact is news of a conference: its event and number, at a place in the journal.
func fact(in string, n int, kind events.Kind, number string, position uint64) events.News {
	e := events.Event{
		ID: fmt.Sprintf("%s-%d-%s-%s", in[:4], n, kind, number), Kind: kind, AccountSid: in, ConferenceSid: sid("CF", n),
		OccurredAt: now, ReceivedAt: now,
		Params: events.Params{{Name: "StatusCallbackEvent", Value: string(kind)}},
	}
	if number != "" {
		e.Params = append(e.Params, events.Param{Name: "SequenceNumber", Value: number})
	}
	return events.News{
		Key: e.Key(), Kind: kind, ID: e.ID, Position: events.Position{Sequence: position},
		Data: events.AppendCloudEvent(nil, &e, false, []byte(`{}`)),
	}
}

// forgetful is a bucket that keeps nothing: keys live as long as the test.
type forgetful struct{}

func (forgetful) List(context.Context) (map[string][]byte, error) { return nil, nil }
func (forgetful) Put(context.Context, string, []byte) error       { return nil }
func (forgetful) Delete(context.Context, string) error            { return nil }
func (forgetful) Lost(context.Context) ([]string, error)          { return nil, nil }

func (forgetful) Watch(ctx context.Context, _ func(string, []byte)) error {
	<-ctx.Done()
	return ctx.Err()
}
