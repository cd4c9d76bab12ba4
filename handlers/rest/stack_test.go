package rest_test

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
	"gavel/handlers/rest"
	"gavel/internal/keys"
	"gavel/projections"
	"gavel/projections/ministore"
)

// Everything here is real (store, journal, keys, HTTP, Twilio's Go client),
// except: the bucket of the keys keeps nothing, api.twilio.com resolves to
// Gavel, and Twilio is the stand-in (floor_test.go).

const (
	account   = "AC0123456789abcdef0123456789abcdef"
	foreign   = "ACffffffffffffffffffffffffffffffff"
	token     = "token1now"
	itsTokens = "token2foreign"
)

type stack struct {
	testing.TB
	redis  *ministore.Redis
	store  *ministore.Store
	keys   *keys.Keys
	config rest.Config
	server *httptest.Server
	saved  uint64
}

// start runs the API on a picture of these conferences.
func start(t testing.TB, conferences ...*projections.Conference) *stack {
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
	s.config = rest.Config{Auth: s.keys, Now: time.Now, Log: log}
	s.serve(s.store)
	return s
}

func (s *stack) serve(reader projections.Reader) {
	s.server = httptest.NewServer(s.handler(reader))
	s.Cleanup(s.server.Close)
}

func (s *stack) handler(reader projections.Reader) http.Handler {
	c := s.config
	c.Reader, c.Metrics = reader, rest.NewMetrics(prometheus.NewRegistry())
	return rest.New(c)
}

func logins(sid string) (secrets, accounts []string) {
	switch sid {
	case account:
		return []string{token}, []string{account}
	case foreign:
		return []string{itsTokens}, []string{foreign}
	}
	return nil, nil
}

// fill makes the picture, as after a start.
func (s *stack) fill(conferences []*projections.Conference) {
	s.Helper()
	build, err := s.store.Build(s.Context(), 0)
	if err != nil {
		s.Fatal(err)
	}
	var records []projections.Write
	for _, c := range conferences {
		records = append(records, projections.Write{After: c, Book: projections.Book{Version: 1}})
	}
	if err := build.Put(s.Context(), records); err != nil {
		s.Fatal(err)
	}
	if err := build.Commit(s.Context(), events.Position{Sequence: 1}, nil); err != nil {
		s.Fatal(err)
	}
	if err := s.store.Check(s.Context(), 0, 1); err != nil {
		s.Fatal(err)
	}
	s.saved = 1
}

// arrive saves one more conference, as the projector does.
func (s *stack) arrive(c *projections.Conference) {
	s.Helper()
	s.saved++
	at := events.Position{Sequence: s.saved}
	writes := []projections.Write{{After: c, Book: projections.Book{Version: 1, Applied: at}}}
	if err := s.store.Save(s.Context(), 0, writes); err != nil {
		s.Fatal(err)
	}
	if err := s.store.NoteApplied(s.Context(), 0, at, nil, ""); err != nil {
		s.Fatal(err)
	}
}

// answer is the response to a request.
type answer struct {
	status int
	header http.Header
	body   string
}

// get sends a request with the account's own token; path is relative to the account.
func (s *stack) get(path string) answer {
	s.Helper()
	return s.do(http.MethodGet, "/2010-04-01/Accounts/"+account+path, account, token)
}

func (s *stack) do(method, path, user, password string) answer {
	s.Helper()
	return s.send(s.request(method, path, user, password, ""))
}

// request makes a request, with a form unless form is empty.
func (s *stack) request(method, path, user, password, form string) *http.Request {
	s.Helper()
	r, err := http.NewRequestWithContext(s.Context(), method, s.server.URL+path, strings.NewReader(form))
	if err != nil {
		s.Fatal(err)
	}
	if user != "" {
		r.SetBasicAuth(user, password)
	}
	if form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r
}

func (s *stack) send(r *http.Request) answer {
	s.Helper()
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(body)}
}

// page is one page of any list.
type page struct {
	Conferences  []struct{ Sid, Status string }
	Participants []struct {
		CallSid string `json:"call_sid"`
		Status  string
	}
	Recordings []struct{ Sid string }
	Start, End int
	Page       int
	PageSize   int     `json:"page_size"`
	First      string  `json:"first_page_uri"`
	Next       *string `json:"next_page_uri"`
	Previous   *string `json:"previous_page_uri"`
	URI        string
}

// list reads a page; path is relative to the account, or a page's URI.
func (s *stack) list(path string) page {
	s.Helper()
	a := s.get(strings.TrimPrefix(path, "/2010-04-01/Accounts/"+account))
	if a.status != http.StatusOK {
		s.Fatalf("%s: %d %s", path, a.status, a.body)
	}
	var p page
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		s.Fatalf("%s: %v: %s", path, err, a.body)
	}
	return p
}

// ids are the numbers of the items, in the order of the page.
func (p page) ids() (ids []int) {
	for _, c := range p.Conferences {
		ids = append(ids, number(c.Sid))
	}
	for _, c := range p.Participants {
		ids = append(ids, number(c.CallSid))
	}
	for _, r := range p.Recordings {
		ids = append(ids, number(r.Sid))
	}
	return ids
}

func number(sid string) (n int) {
	_, _ = fmt.Sscanf(sid[2:], "%x", &n)
	return n
}

func sid(prefix string, n int) string { return fmt.Sprintf("%s%032x", prefix, n) }

// at is a moment of 2026, UTC: "08-03 09:15:02".
func at(moment string) projections.Instant {
	t, err := time.Parse(time.DateTime, "2026-"+moment)
	if err != nil {
		panic(err)
	}
	return projections.At(t)
}

// room is a conference in progress, without participants unless legs are given.
func room(n int, name string, created projections.Instant, legs ...*projections.Participant) *projections.Conference {
	return &projections.Conference{
		AccountSid: account, ConferenceSid: sid("CF", n),
		FriendlyName: projections.Stated[string]{Value: name},
		Created:      created, Updated: created + 10,
		Start:        &projections.Moment{Seq: 1, At: created + 5},
		Participants: legs,
	}
}

func completed(c *projections.Conference, ended projections.Instant) *projections.Conference {
	c.Updated = ended
	c.End = &projections.Ending{
		Moment: projections.Moment{Seq: 99, At: ended}, Reason: projections.EndedByLastLeft, CallSid: sid("CA", 1),
	}
	return c
}

// leg is a live participant.
func leg(n int, label string, joined projections.Instant, flags projections.Flags) *projections.Participant {
	on := projections.Turn{Seq: int64(n), At: joined, On: true}
	return &projections.Participant{
		CallSid: sid("CA", n), Created: joined, Updated: joined, Present: []projections.Turn{on}, Last: on,
		Label: projections.Stated[string]{Value: label}, Flags: projections.Stated[projections.Flags]{Value: flags},
	}
}

func gone(p *projections.Participant) *projections.Participant {
	off := projections.Turn{Seq: p.Last.Seq + 50, At: p.Last.At + 30}
	p.Present, p.Last, p.Updated = append(p.Present, off), off, off.At
	return p
}

func recording(n int, started projections.Instant) *projections.Recording {
	return &projections.Recording{
		Sid: sid("RE", n), StartedAt: started, Duration: 116, Channels: 1, Statuses: []string{"completed"},
	}
}

// forgetful is a bucket that stores nothing: keys live as long as the test.
type forgetful struct{}

func (forgetful) List(context.Context) (map[string][]byte, error) { return nil, nil }
func (forgetful) Put(context.Context, string, []byte) error       { return nil }
func (forgetful) Delete(context.Context, string) error            { return nil }
func (forgetful) Lost(context.Context) ([]string, error)          { return nil, nil }

func (forgetful) Watch(ctx context.Context, _ func(string, []byte)) error {
	<-ctx.Done()
	return ctx.Err()
}
