package announce_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"gavel/events"
	"gavel/handlers/announce"
	"gavel/internal/brakes"
	"gavel/internal/bus"
	"gavel/internal/twilio"
	"gavel/rules"
)

// nats-server with its file store, the decisions in it, the brakes and HTTP are
// real. The test signs requests as Twilio does, and sets the clock.

const (
	account = "AC0123456789abcdef0123456789abcdef"
	room    = "CF0123456789abcdef0123456789abcdef"
	caller  = "CA0123456789abcdef0123456789abcdef"
	token   = "token-of-the-account"
	phone   = "+4915112345678"
)

var (
	key  = events.Key{AccountSid: account, ConferenceSid: room}
	noon = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
)

// stage is a Gavel that has decided to announce.
type stage struct {
	*testing.T
	bus      *bus.Bus
	brakes   *brakes.Brakes
	accounts *twilio.Accounts
	config   announce.Config
	metrics  *prometheus.Registry
	log      bytes.Buffer
	server   *httptest.Server
	now      time.Time
}

func opens(t *testing.T) *stage {
	t.Helper()
	s := &stage{T: t, now: noon, metrics: prometheus.NewRegistry()}
	var err error
	s.bus, err = bus.Open(t.Context(), bus.Config{
		DataDir: t.TempDir(), Sync: bus.SyncInterval, Listen: bus.ListenOff, JournalMaxBytes: 1 << 28,
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.bus.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	s.accounts, err = twilio.NewAccounts([]twilio.Account{{Sid: account, Tokens: twilio.KeyRing{Current: token}}})
	if err != nil {
		t.Fatal(err)
	}
	clock := func() time.Time { return s.now }
	s.brakes = brakes.New(s.bus.Brakes(), clock)
	s.config = announce.Config{
		Accounts: s.accounts, Decisions: s.bus.Actions(), Brakes: s.brakes,
		Log: slog.New(slog.NewTextHandler(&s.log, nil)), Metrics: announce.NewMetrics(s.metrics), Now: clock,
	}
	s.serve()
	return s
}

// serve runs the handler behind a public URL with a prefix, which the proxy removes.
func (s *stage) serve() {
	s.Helper()
	var handler http.Handler
	s.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.StripPrefix("/gavel", handler).ServeHTTP(w, r)
	}))
	s.Cleanup(s.server.Close)
	s.config.PublicURL = s.server.URL + "/gavel"
	var err error
	if handler, err = announce.New(s.config); err != nil {
		s.Fatal(err)
	}
}

// decides stores a decision and returns the URL of its announcement.
func (s *stage) decides(n int, d rules.Decision) string {
	s.Helper()
	d.ID, d.AccountSid, d.ConferenceSid, d.Rule, d.AsOf = fmt.Sprintf("%032x", n), account, room, "still-there", noon
	data, err := json.Marshal(d)
	if err != nil {
		s.Fatal(err)
	}
	decided := events.Decided{ID: d.ID, Key: key, Rule: d.Rule, AsOf: noon, Data: data}
	if _, err := s.bus.Actions().Decide(s.Context(), []events.Decided{decided}); err != nil {
		s.Fatal(err)
	}
	address, err := s.accounts.AnnounceURL(s.config.PublicURL, key, d.ID, noon.Add(time.Hour))
	if err != nil {
		s.Fatal(err)
	}
	return address
}

func say(text string) rules.Decision {
	return rules.Decision{Do: rules.StepAnnounce, Verdict: rules.Act, Params: map[string]string{"say": text}}
}

// answer is a status and a body.
type answer struct {
	status int
	body   string
	header http.Header
}

const silence = `<?xml version="1.0" encoding="UTF-8"?>` + "\n<Response/>"

func spoken(twiml string) string {
	return `<?xml version="1.0" encoding="UTF-8"?>` + "\n<Response>" + twiml + "</Response>"
}

// post sends a request as Twilio does: a form with the call's parameters.
func (s *stage) post(address, signature string) answer {
	s.Helper()
	form := url.Values{"AccountSid": {account}, "CallSid": {caller}, "From": {phone}}.Encode()
	r := s.request(http.MethodPost, address, form)
	if signature != "" {
		r.Header.Set("X-Twilio-Signature", signature)
	}
	return s.send(r)
}

func (s *stage) signed(address string) string {
	return twilio.Sign(token, address, events.Params{{Name: "AccountSid", Value: account}, {Name: "CallSid", Value: caller}, {Name: "From", Value: phone}})
}

func (s *stage) request(method, address, form string) *http.Request {
	s.Helper()
	r, err := http.NewRequestWithContext(s.Context(), method, address, strings.NewReader(form))
	if err != nil {
		s.Error(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func (s *stage) send(r *http.Request) answer {
	s.Helper()
	got, err := s.server.Client().Do(r)
	if err != nil {
		s.Error(err)
		return answer{}
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	if err != nil {
		s.Error(err)
	}
	return answer{got.StatusCode, string(body), got.Header}
}

func (s *stage) expect(got answer, status int, body string) {
	s.Helper()
	if got.status != status || got.body != body {
		s.Errorf("answered %d %q, want %d %q", got.status, got.body, status, body)
	}
}

// counted returns how many requests had that result.
func (s *stage) counted(result string) (n float64) {
	s.Helper()
	families, err := s.metrics.Gather()
	if err != nil {
		s.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if labelled(m, result) {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

func labelled(m *dto.Metric, value string) bool {
	return len(m.GetLabel()) == 1 && m.GetLabel()[0].GetValue() == value
}

func TestAnAnnouncementIsPlayedOnce(t *testing.T) {
	t.Parallel()
	s := opens(t)
	address := s.decides(1, say(`Is <anybody> still "there" & well?`))
	first := s.post(address, s.signed(address))
	s.expect(first, http.StatusOK, spoken(`<Say>Is &lt;anybody&gt; still &#34;there&#34; &amp; well?</Say>`))
	if got := first.header.Get("Content-Type"); got != "text/xml; charset=utf-8" {
		t.Errorf("Content-Type is %s", got)
	}
	if got := first.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control is %s", got)
	}
	s.expect(s.post(address, s.signed(address)), http.StatusOK, silence)
	s.expect(s.send(s.request(http.MethodGet, address, "")), http.StatusOK, silence)
	if s.counted("served") != 1 || s.counted("repeated") != 2 {
		t.Errorf("%v served, %v repeated", s.counted("served"), s.counted("repeated"))
	}
	if logged := s.log.String(); !strings.Contains(logged, "rule=still-there") || strings.Contains(logged, "anybody") ||
		strings.Contains(logged, phone) || strings.Contains(logged, "mac=") {
		t.Errorf("the log is %s", logged)
	}
}

func TestOfConcurrentRequestsOneGetsTheAnnouncement(t *testing.T) {
	t.Parallel()
	s := opens(t)
	address := s.decides(1, say("hello"))
	var wg sync.WaitGroup
	answers := make(chan answer, 20)
	for range cap(answers) {
		wg.Go(func() {
			a := s.post(address, "")
			// The stop must be read within 500 ms, which fails on a busy machine.
			for a.status == http.StatusServiceUnavailable && t.Context().Err() == nil {
				a = s.post(address, "")
			}
			answers <- a
		})
	}
	wg.Wait()
	close(answers)
	played := 0
	for a := range answers {
		if a.status != http.StatusOK {
			t.Errorf("answered %d", a.status)
		}
		if strings.Contains(a.body, "hello") {
			played++
		}
	}
	if played != 1 {
		t.Errorf("played %d times", played)
	}
}

func TestTheTwiMLOfEachKindOfAnnouncement(t *testing.T) {
	t.Parallel()
	s := opens(t)
	for n, c := range []struct {
		params map[string]string
		want   string
	}{
		{map[string]string{"say": "Hallo", "language": "de-DE", "voice": `Polly."x"`}, spoken(`<Say voice="Polly.&#34;x&#34;" language="de-DE">Hallo</Say>`)},
		{map[string]string{"file": "https://media.example/a.mp3?x=1&y=</Play>"}, spoken(`<Play>https://media.example/a.mp3?x=1&amp;y=&lt;/Play&gt;</Play>`)},
		{map[string]string{"url": "https://twiml.example/more?a=1&b=2"}, spoken(`<Redirect>https://twiml.example/more?a=1&amp;b=2</Redirect>`)},
		{map[string]string{"say": "bell \x07, no UTF-8 \xff"}, spoken("<Say>bell \ufffd, no UTF-8 \ufffd</Say>")},
		{map[string]string{"say": ""}, silence},
	} {
		address := s.decides(n+1, rules.Decision{Do: rules.StepAnnounce, Verdict: rules.Act, Params: c.params})
		s.expect(s.post(address, ""), http.StatusOK, c.want)
	}
}

func TestAGetRequestIsSignedOverItsQuery(t *testing.T) {
	t.Parallel()
	s := opens(t)
	address := s.decides(1, say("hello")) + "&AccountSid=" + account + "&From=%2B4915112345678"
	r := s.request(http.MethodGet, address, "")
	r.Header.Set("X-Twilio-Signature", twilio.Sign(token, address, nil))
	s.expect(s.send(r), http.StatusOK, spoken("<Say>hello</Say>"))
}

// In the middle of a migration the token signs some requests and the shared key others, by either algorithm.
func TestASharedKeySignsAsWell(t *testing.T) {
	t.Parallel()
	s := opens(t)
	const secret = "the secret of the shared key"
	err := s.accounts.Replace([]twilio.Account{{
		Sid: account, Tokens: twilio.KeyRing{Current: token}, SharedKeys: []twilio.SharedKey{{ID: "webhooks_sharedkey_1", Secret: secret}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	params := events.Params{{Name: "AccountSid", Value: account}, {Name: "CallSid", Value: caller}, {Name: "From", Value: phone}}
	for n, sign := range []func(address string) string{
		func(address string) string { return twilio.SignSHA256(secret, address, params) },
		func(address string) string { return twilio.Sign(secret, address, params) },
		func(address string) string { return twilio.Sign(token, address, params) },
	} {
		address := s.decides(n+1, say("hello"))
		s.expect(s.post(address, sign(address)), http.StatusOK, spoken("<Say>hello</Say>"))
	}
}

func TestAForgedRequestIsRefused(t *testing.T) {
	t.Parallel()
	s := opens(t)
	address := s.decides(1, say("hello"))
	at, query, _ := strings.Cut(address, "?")
	for name, c := range map[string]struct {
		address, signature string
		status             int
	}{
		"another's signature": {address, twilio.Sign("another token", address, nil), http.StatusForbidden},
		"no signature at all": {address, "none", http.StatusForbidden},
		"without its code":    {at, "", http.StatusForbidden},
		"with another's code": {strings.Replace(address, "mac=", "mac=00", 1), "", http.StatusForbidden},
		"for longer":          {strings.Replace(address, "exp=1", "exp=2", 1), "", http.StatusForbidden},
		"another decision":    {strings.Replace(address, fmt.Sprintf("%032x", 1), fmt.Sprintf("%032x", 2), 1), "", http.StatusForbidden},
		"another account":     {strings.Replace(address, account, "AC"+strings.Repeat("f", 32), 1), "", http.StatusNotFound},
		"another path":        {at + "/?" + query, "", http.StatusNotFound},
		"another spelling":    {strings.Replace(address, "/announce/", "/announce%2F", 1), "", http.StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			s.expect(s.post(c.address, c.signature), c.status, "")
		})
	}
	s.expect(s.post(address, s.signed(address)), http.StatusOK, spoken("<Say>hello</Say>"))
}

func TestOtherMethodsAndPathsAreRefused(t *testing.T) {
	t.Parallel()
	s := opens(t)
	address := s.decides(1, say("hello"))
	refused := s.send(s.request(http.MethodPut, address, ""))
	s.expect(refused, http.StatusMethodNotAllowed, "")
	if got := refused.header.Get("Allow"); got != "GET, HEAD, POST" {
		t.Errorf("Allow is %s", got)
	}
	long := s.request(http.MethodPost, address, "a="+strings.Repeat("x", 64<<10))
	long.Header.Set("X-Twilio-Signature", s.signed(address))
	s.expect(s.send(long), http.StatusRequestEntityTooLarge, "")
	bent := s.request(http.MethodPost, address, "a=%zz")
	bent.Header.Set("X-Twilio-Signature", s.signed(address))
	s.expect(s.send(bent), http.StatusForbidden, "")
	looked := s.send(s.request(http.MethodHead, address, ""))
	s.expect(looked, http.StatusOK, "")
	s.expect(s.post(address, ""), http.StatusOK, spoken("<Say>hello</Say>"))
}

func TestAnExpiredAnnouncementIsNotPlayed(t *testing.T) {
	t.Parallel()
	s := opens(t)
	address := s.decides(1, say("hello"))
	s.now = noon.Add(time.Hour)
	s.expect(s.post(address, ""), http.StatusOK, silence)
	s.expect(s.post(address, twilio.Sign("another token", address, nil)), http.StatusForbidden, "")
	s.now = noon
	s.expect(s.post(address, ""), http.StatusOK, spoken("<Say>hello</Say>"))
}

func TestAStopPlaysNothing(t *testing.T) {
	t.Parallel()
	s := opens(t)
	address := s.decides(1, say("hello"))
	if err := s.brakes.Stop(t.Context(), "drill", "kate"); err != nil {
		t.Fatal(err)
	}
	s.expect(s.post(address, ""), http.StatusOK, silence)
	if err := s.brakes.Resume(t.Context(), "drill is over", "kate"); err != nil {
		t.Fatal(err)
	}
	s.expect(s.post(address, ""), http.StatusOK, spoken("<Say>hello</Say>"))
}

func TestOtherDecisionsAreNotServed(t *testing.T) {
	t.Parallel()
	s := opens(t)
	for n, d := range []rules.Decision{
		{Do: rules.StepEnd, Verdict: rules.Act},
		{Do: rules.StepAnnounce, Verdict: rules.Would, Params: map[string]string{"say": "hello"}},
	} {
		s.expect(s.post(s.decides(n+1, d), ""), http.StatusNotFound, "")
	}
}

// broken is a NATS that does not answer.
type broken struct {
	announce.Decisions
	get, served error
}

func (b broken) Get(ctx context.Context, key events.Key, id string) (events.Decided, error) {
	if b.get != nil {
		return events.Decided{}, b.get
	}
	return b.Decisions.Get(ctx, key, id)
}

func (b broken) Served(ctx context.Context, key events.Key, id string) (bool, error) {
	if b.served != nil {
		return true, b.served
	}
	return b.Decisions.Served(ctx, key, id)
}

type unavailableBrakes struct{}

func (unavailableBrakes) Stopped(context.Context) (bool, brakes.Stop, error) {
	return true, brakes.Stop{}, errors.New("no answer")
}

func TestWithoutNATSTheAnswerIs503(t *testing.T) {
	t.Parallel()
	s := opens(t)
	address := s.decides(1, say("hello"))
	whole := s.config
	for name, bend := range map[string]func(*announce.Config){
		"decisions": func(c *announce.Config) { c.Decisions = broken{Decisions: c.Decisions, get: errors.New("no answer")} },
		"stop":      func(c *announce.Config) { c.Brakes = unavailableBrakes{} },
		"served": func(c *announce.Config) {
			c.Decisions = broken{Decisions: c.Decisions, served: errors.New("no answer")}
		},
	} {
		c := whole
		bend(&c)
		got := s.ask(c, address)
		s.expect(got, http.StatusServiceUnavailable, "")
		if got.header.Get("Retry-After") != "1" {
			t.Errorf("%s: Retry-After is %q", name, got.header.Get("Retry-After"))
		}
	}
	if s.counted("unavailable") != 3 || !strings.Contains(s.log.String(), "no answer") {
		t.Errorf("%v counted, the log is %s", s.counted("unavailable"), s.log.String())
	}
	s.expect(s.ask(whole, address), http.StatusOK, spoken("<Say>hello</Say>"))
}

// ask sends a request to a handler with that configuration.
func (s *stage) ask(c announce.Config, address string) answer {
	s.Helper()
	h, err := announce.New(c)
	if err != nil {
		s.Fatal(err)
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(s.Context(), http.MethodPost, address, nil)
	http.StripPrefix("/gavel", h).ServeHTTP(w, r)
	return answer{w.Code, w.Body.String(), w.Header()}
}

func TestAPublicURLIsRequired(t *testing.T) {
	t.Parallel()
	if _, err := announce.New(announce.Config{PublicURL: "nowhere"}); err == nil {
		t.Error("accepted")
	}
}
